//! The trainable parameters of an adapted linear, in its three forms.

mod initialization;
mod low_rank;
mod svd;
mod weight_decomposed;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lora_kernels::LinearWeight;

pub(crate) use initialization::{InitError, InitialFactors, initial_factors};
pub use low_rank::LowRank;
pub use svd::{SvdFactors, SvdForm};
pub use weight_decomposed::WeightDecomposed;

use crate::pass::Pass;

/// The forms an adapter can take.
#[derive(Module, Debug)]
pub enum Adapter {
    /// LoRA: two factors.
    LowRank(LowRank),
    /// DoRA: two factors for the direction of each weight column and a vector for its length.
    WeightDecomposed(WeightDecomposed),
    /// AdaLoRA: two factors and the weights of their triplets.
    Svd(SvdForm),
}

/// A dense update of a linear: what merging adds.
#[derive(Clone, Debug)]
pub struct Delta {
    /// `[d_input, d_output]`, added to the weight.
    pub weight: Tensor<2>,
    /// `[d_output]`, added to the bias (`lora_bias`).
    pub bias: Option<Tensor<1>>,
}

impl Adapter {
    /// Rank of the update.
    pub fn rank(&self) -> usize {
        match self {
            Self::LowRank(adapter) => adapter.rank(),
            Self::WeightDecomposed(adapter) => adapter.low_rank.rank(),
            Self::Svd(adapter) => adapter.rank(),
        }
    }

    /// PEFT's name of the form.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LowRank(_) => "LoRA",
            Self::WeightDecomposed(_) => "DoRA",
            Self::Svd(_) => "AdaLoRA",
        }
    }

    /// The output of the linear at `path` with this adapter.
    pub(crate) fn forward<const D: usize>(
        &self,
        path: &str,
        input: Tensor<D>,
        weight: LinearWeight,
        bias: Option<Tensor<1>>,
        pass: &Pass,
    ) -> Tensor<D> {
        match self {
            Self::LowRank(adapter) => adapter.forward(path, input, weight, bias, pass),
            Self::WeightDecomposed(adapter) => adapter.forward(path, input, weight, bias, pass),
            Self::Svd(adapter) => adapter.forward(path, input, weight, bias, pass),
        }
    }

    /// The dense update of [`Pass::Mean`] on a base weight.
    pub fn delta(&self, weight: &Tensor<2>) -> Delta {
        match self {
            Self::LowRank(adapter) => Delta {
                weight: adapter.delta(),
                bias: adapter.bias_delta(),
            },
            Self::WeightDecomposed(adapter) => Delta {
                weight: adapter.merged(weight.clone()) - weight.clone(),
                bias: None,
            },
            Self::Svd(adapter) => Delta {
                weight: adapter.delta(weight),
                bias: None,
            },
        }
    }
}

/// Values that belong to an adapter but are not trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constants {
    pub scale: f64,
    pub mean_factor: f64,
}

/// The masks and the noise of a pass for the adapter at a path, and the factor for what is left without masks.
pub(crate) fn noise(
    path: &str,
    shape: [usize; 3],
    constants: &Constants,
    pass: &Pass,
    device: &burn::tensor::Device,
) -> (f64, Option<lora_kernels::KeepMasks>, Option<Tensor<3>>) {
    let (masks, input_noise) = match pass {
        Pass::Mean | Pass::Chosen(_) | Pass::Tapped(_) => (None, None),
        Pass::Stochastic(noise) => (
            noise.keep_masks(path).cloned(),
            noise.input_noise(path, shape, device),
        ),
    };
    let factor = if masks.is_some() {
        1.0
    } else {
        constants.mean_factor
    };
    (constants.scale * factor, masks, input_noise)
}

/// `[batch, product of the inner axes, d_input]` of an input.
pub(crate) fn folded_shape<const D: usize>(input: &Tensor<D>) -> [usize; 3] {
    let dims = input.dims();
    [dims[0], dims[1..D - 1].iter().product(), dims[D - 1]]
}

pub(crate) fn param<const D: usize>(tensor: Tensor<D>) -> Param<Tensor<D>> {
    Param::from_tensor(tensor)
}
