//! Root mean square normalization.

use burn::tensor::{Tensor, assert_shape};

/// `x / √(mean(x²) + epsilon) · gamma` over the last axis (Zhang & Sennrich 2019, eq. 4; `torch.nn.RMSNorm`).
///
/// # Shapes
///
/// - input: `[..., d_model]`
/// - gamma: `[d_model]`
/// - output: `[..., d_model]`
///
/// # Panics
///
/// Panics if gamma has another length than the last axis of the input.
pub fn rms_norm<const D: usize>(input: Tensor<D>, gamma: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let d_model = input.dims()[D - 1];
    assert_shape!(gamma, [d_model]);
    let mean_square = input.clone().square().mean_dim(D - 1); // [..., 1]
    let inverse_root = mean_square.add_scalar(epsilon).sqrt().recip();
    input * inverse_root * gamma.unsqueeze()
}
