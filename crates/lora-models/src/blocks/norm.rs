//! Layer normalization as a module.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lora_kernels::layer_norm;

/// See [`lora_kernels::layer_norm`].
#[derive(Module, Debug)]
pub struct LayerNorm {
    gamma: Param<Tensor<1>>,
    beta: Option<Param<Tensor<1>>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    /// A layer norm with these parameters, both `[d_model]`.
    pub fn new(gamma: Param<Tensor<1>>, beta: Param<Tensor<1>>, epsilon: f64) -> Self {
        let beta = Some(beta);
        Self { gamma, beta, epsilon }
    }

    /// A layer norm whose beta is zero and no parameter (`bias=False`).
    pub fn without_bias(gamma: Param<Tensor<1>>, epsilon: f64) -> Self {
        let beta = None;
        Self { gamma, beta, epsilon }
    }

    /// # Shapes
    ///
    /// - input, output: `[..., d_model]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let gamma = self.gamma.val();
        let beta = match &self.beta {
            Some(beta) => beta.val(),
            None => Tensor::zeros(gamma.dims(), &gamma.device()),
        };
        layer_norm(input, gamma, beta, self.epsilon)
    }
}
