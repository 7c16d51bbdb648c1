//! Bottleneck adapters: two small linears with an activation between, after a block.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::{gelu, linear, silu};
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;
use crate::random::parameter_generator;

/// `y = h + f(h W_down + b_down) W_up + b_up` on the output `h` of a block, before residual and norm (Houlsby et al. 2019,
/// arXiv 1902.00751, figure 2).
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// `[d_model, d_bottleneck]`.
    pub down: Param<Tensor<2>>,
    /// `[d_bottleneck]`.
    pub down_bias: Param<Tensor<1>>,
    /// `[d_bottleneck, d_model]`.
    pub up: Param<Tensor<2>>,
    /// `[d_model]`.
    pub up_bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: BottleneckActivation,
}

/// Settings of bottleneck adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BottleneckConfig {
    /// After which blocks they stand.
    pub placement: Placement,
    /// `d_bottleneck`, at least 1.
    pub size: usize,
    /// The function `f`.
    pub activation: BottleneckActivation,
    /// Modules that are trained in full, by the end of their path.
    pub modules_to_save: Vec<String>,
}

/// After which blocks of a layer bottlenecks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// After attention and after the feed-forward block (Houlsby et al. 2019).
    Houlsby,
    /// After the feed-forward block alone (Pfeiffer et al. 2021, arXiv 2005.00247).
    Pfeiffer,
}

/// The blocks of a transformer layer after whose last linear a [`Bottleneck`] may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BottleneckBlock {
    /// Attention, with its output projection.
    Attention,
    /// The feed-forward block.
    FeedForward,
}

/// The function between the two linears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckActivation {
    /// `max(x, 0)`.
    Relu,
    /// `x Φ(x)`.
    Gelu,
    /// `x σ(x)`, also called swish.
    Silu,
}

impl Placement {
    /// Whether a bottleneck stands after this block.
    pub fn is_after(self, block: BottleneckBlock) -> bool {
        match self {
            Self::Houlsby => true,
            Self::Pfeiffer => block == BottleneckBlock::FeedForward,
        }
    }

    /// The activation that the method is known with: gelu in the code of Houlsby et al., relu in that of Pfeiffer et al.
    pub fn default_activation(self) -> BottleneckActivation {
        match self {
            Self::Houlsby => BottleneckActivation::Gelu,
            Self::Pfeiffer => BottleneckActivation::Relu,
        }
    }
}

impl BottleneckConfig {
    /// The default settings of a placement, with 64 features: the best single size in Houlsby et al. 2019, section 3.3.
    pub fn new(placement: Placement) -> Self {
        Self {
            placement,
            size: 64,
            activation: placement.default_activation(),
            modules_to_save: Vec::new(),
        }
    }

    /// Checks what can be checked without a model.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroRank`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.size == 0 {
            return Err(ConfigError::ZeroBottleneck);
        }
        Ok(())
    }
}

impl Bottleneck {
    /// A bottleneck that changes nothing: `W_up` and both biases are zero, `W_down` is drawn from `(seed, path)` as in Houlsby
    /// et al. 2019, section 3.6: normal with deviation 0.01, cut off at two deviations. (There `W_up` is drawn too, which
    /// changes the pretrained model a little.)
    pub(crate) fn init(
        path: &str,
        d_model: usize,
        config: &BottleneckConfig,
        seed: u64,
        device: &Device,
    ) -> Self {
        let normal = Normal::new(0.0_f32, 1.0).expect("the deviation is positive");
        let values: Vec<f32> = normal
            .sample_iter(&mut parameter_generator(seed, &format!("{path}.adapter_down")))
            .filter(|value| value.abs() <= 2.0)
            .map(|value| 0.01 * value)
            .take(d_model * config.size)
            .collect();
        let zeros = |length| Param::from_tensor(Tensor::zeros([length], device));
        Self {
            down: Param::from_tensor(Tensor::from_data(
                TensorData::new(values, [d_model, config.size]),
                device,
            )),
            down_bias: zeros(config.size),
            up: Param::from_tensor(Tensor::zeros([config.size, d_model], device)),
            up_bias: zeros(d_model),
            activation: config.activation,
        }
    }

    /// # Shapes
    ///
    /// - input, output: `[..., d_model]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let hidden = linear(input.clone(), self.down.val(), Some(self.down_bias.val())); // [..., d_bottleneck]
        let hidden = match self.activation {
            BottleneckActivation::Relu => relu(hidden),
            BottleneckActivation::Gelu => gelu(hidden),
            BottleneckActivation::Silu => silu(hidden),
        };
        input + linear(hidden, self.up.val(), Some(self.up_bias.val()))
    }
}
