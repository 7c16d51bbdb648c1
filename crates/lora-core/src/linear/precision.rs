//! How products with the frozen weight are computed, and what it is held in for that.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{FloatDType, Tensor};
use lora_kernels::{Fp32Precision, LinearWeight};

use super::{BaseTraining, LoraLinear};

impl LoraLinear {
    /// The same linear with another precision of its products, for as long as its weight is frozen. For [`Fp32Precision::Bf16`] the
    /// weight is held in bf16, and nothing else of it is kept.
    #[must_use]
    pub fn in_precision(mut self, precision: Fp32Precision) -> Self {
        let weight = self.wide_weight();
        self.precision = precision;
        self.base.weight = self.as_held(weight);
        self
    }

    /// How its products are computed.
    pub fn precision(&self) -> Fp32Precision {
        match self.training {
            BaseTraining::Frozen | BaseTraining::Bias => self.precision,
            BaseTraining::Pretrained | BaseTraining::Full => Fp32Precision::Ieee,
        }
    }

    /// The weight as a product reads it.
    pub fn weight(&self) -> LinearWeight {
        self.weight_of(&self.base)
    }

    pub(super) fn weight_of(&self, base: &Linear) -> LinearWeight {
        LinearWeight {
            values: base.weight.val(),
            precision: self.precision(),
        }
    }

    /// The weight in the type that everything else has, whatever it is held in.
    pub(crate) fn wide_weight(&self) -> Tensor<2> {
        self.weight().widened()
    }

    /// A weight that is not trained, in the type that it is held in.
    pub(crate) fn as_held(&self, weight: Tensor<2>) -> Param<Tensor<2>> {
        let weight = match self.precision() {
            Fp32Precision::Bf16 => weight.cast(FloatDType::BF16),
            Fp32Precision::Ieee | Fp32Precision::Bf16x3 => weight,
        };
        Param::from_tensor(weight.detach()).set_require_grad(false)
    }
}
