//! Root mean square normalization.

use burn::tensor::{Tensor, assert_shape};

use crate::in_f32::in_f32;

/// `x / √(mean(x²) + epsilon) · gamma` over the last axis (Zhang & Sennrich 2019, eq. 4; `torch.nn.RMSNorm`).
///
/// Inputs of 16 bits are normalized in f32.
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
    in_f32(input, [gamma], |input, [gamma]| {
        let mean_square = input.clone().square().mean_dim(D - 1); // [..., 1]
        let inverse_root = mean_square.add_scalar(epsilon).sqrt().recip();
        input * inverse_root * gamma.unsqueeze()
    })
}
