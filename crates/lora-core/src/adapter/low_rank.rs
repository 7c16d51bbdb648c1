//! LoRA's two factors.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use lora_kernels::{LinearWeight, LowRankBranch, lora_linear};

use super::{Constants, folded_shape, noise, param};
use crate::config::LowRankSettings;
use crate::pass::Pass;

/// LoRA's two factors: the update is `s · A B`, in Burn's orientation `[d_input, d_output]`.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `A: [d_input, rank]`, the transpose of PEFT's `lora_A`.
    pub a: Param<Tensor<2>>,
    /// `B: [rank, d_output]`, the transpose of PEFT's `lora_B`.
    pub b: Param<Tensor<2>>,
    /// `[d_output]`: PEFT's `lora_bias`. It is no part of a rank-one term, so masks do not drop it; every pass adds the
    /// same `s · E[m_A m_B] · bias`, which is what a reader of the file adds.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    constants: Constants,
}

impl LowRank {
    /// An adapter with given factors.
    ///
    /// # Shapes
    ///
    /// - a: `[d_input, rank]`
    /// - b: `[rank, d_output]`
    ///
    /// # Panics
    ///
    /// Panics if the ranks of the factors and of the settings differ.
    pub fn from_factors(a: Tensor<2>, b: Tensor<2>, settings: &LowRankSettings) -> Self {
        assert_eq!(
            [a.dims()[1], b.dims()[0]],
            [settings.rank; 2],
            "both factors have the rank of the settings"
        );
        Self {
            a: param(a),
            b: param(b),
            bias: None,
            constants: Constants {
                scale: settings.scale,
                mean_factor: settings.mean_factor,
            },
        }
    }

    /// The same adapter with a bias of zeros.
    #[must_use]
    pub fn with_bias(mut self, device: &Device) -> Self {
        self.bias = Some(param(Tensor::zeros([self.b.dims()[1]], device)));
        self
    }

    /// Rank of the update.
    pub fn rank(&self) -> usize {
        self.a.dims()[1]
    }

    /// The factor `s`.
    pub fn scale(&self) -> f64 {
        self.constants.scale
    }

    /// What a pass without masks multiplies the product of the factors by.
    pub(crate) fn mean_scale(&self) -> f64 {
        self.constants.scale * self.constants.mean_factor
    }

    /// `y = x W + b + s · ((x ⊙ m_A) A B) ⊙ m_B`; see [`lora_linear`].
    pub(crate) fn forward<const D: usize>(
        &self,
        path: &str,
        input: Tensor<D>,
        weight: LinearWeight,
        bias: Option<Tensor<1>>,
        pass: &Pass,
    ) -> Tensor<D> {
        let branch = self.branch(path, folded_shape(&input), pass);
        lora_linear(input, weight, self.with_own_bias(bias), branch)
    }

    /// The bias of every pass: the pretrained layer's and the adapter's.
    pub(crate) fn with_own_bias(&self, bias: Option<Tensor<1>>) -> Option<Tensor<1>> {
        match (bias, self.bias_delta()) {
            (Some(bias), Some(delta)) => Some(bias + delta),
            (bias, delta) => bias.or(delta),
        }
    }

    /// What the adapter adds to the linear at `path` in this pass; `shape` is that of the input with its inner axes as one.
    pub(crate) fn branch(&self, path: &str, shape: [usize; 3], pass: &Pass) -> LowRankBranch {
        let (scale, masks, input_noise) = noise(path, shape, &self.constants, pass, &self.a.device());
        LowRankBranch {
            a: self.a.val(),
            b: self.b.val(),
            scale,
            masks,
            factor_noise: pass.factor_noise(path),
            input_noise,
            group_tokens: pass.group_tokens(),
        }
    }

    /// The dense update of [`Pass::Mean`], `[d_input, d_output]`: what merging adds to the weight.
    pub fn delta(&self) -> Tensor<2> {
        self.a.val().matmul(self.b.val()).mul_scalar(self.mean_scale())
    }

    /// What merging adds to the bias, `[d_output]`.
    pub fn bias_delta(&self) -> Option<Tensor<1>> {
        self.bias
            .as_ref()
            .map(|bias| bias.val().mul_scalar(self.mean_scale()))
    }
}
