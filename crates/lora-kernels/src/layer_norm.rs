//! Layer normalization.

use burn::tensor::{Tensor, assert_shape};

/// `(x − mean) / √(variance + epsilon) · gamma + beta` over the last axis, with the biased variance
/// (Ba et al. 2016; `torch.nn.LayerNorm`).
///
/// # Shapes
///
/// - input: `[..., d_model]`
/// - gamma, beta: `[d_model]`
/// - output: `[..., d_model]`
///
/// # Panics
///
/// Panics if gamma or beta has another length than the last axis of the input.
pub fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let d_model = input.dims()[D - 1];
    assert_shape!(gamma, [d_model]);
    assert_shape!(beta, [d_model]);
    burn::tensor::module::layer_norm(input, gamma, Some(beta), epsilon)
}
