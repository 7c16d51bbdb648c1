//! Root mean square normalization as a module.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lora_kernels::rms_norm;

/// See [`lora_kernels::rms_norm`].
#[derive(Module, Debug)]
pub struct RmsNorm {
    gamma: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl RmsNorm {
    /// A norm with this parameter, `[d_model]`.
    pub fn new(gamma: Param<Tensor<1>>, epsilon: f64) -> Self {
        Self { gamma, epsilon }
    }

    /// # Shapes
    ///
    /// - input, output: `[..., d_model]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        rms_norm(input, self.gamma.val(), self.epsilon)
    }
}
