//! Root mean square normalization.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, assert_shape};

use crate::backends::tracked;
use crate::in_f32::in_f32;
use crate::layer_norm::in_last_axis;

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
        Tensor::from_dispatch(Dispatch::fused_rms_norm(
            input.into_dispatch(),
            gamma.into_dispatch(),
            epsilon,
        ))
    })
}

/// Root mean square normalization as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait RmsNormOps: Backend {
    /// See [`rms_norm`].
    fn fused_rms_norm(input: FloatTensor<Self>, gamma: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        composed_rms_norm::<Self>(input, gamma, epsilon)
    }

    /// The gradient of the input: with the root r = √(mean(x²) + epsilon) and h = grad · gamma, `(h − x mean(h x) / r²) / r`.
    fn fused_rms_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        composed_rms_norm_backward::<Self>(input, gamma, grad, epsilon)
    }
}

/// Root mean square normalization from primitives.
fn composed_rms_norm<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let inverse = inverse_root::<B>(&input, epsilon);
    let gamma = in_last_axis::<B>(gamma, &input);
    B::float_mul(B::float_mul(input, inverse), gamma)
}

/// The gradient of the input from primitives.
fn composed_rms_norm_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let axis = input.shape().num_dims() - 1;
    let inverse = inverse_root::<B>(&input, epsilon);
    let scaled = B::float_mul(grad, in_last_axis::<B>(gamma, &input));
    let normalized = B::float_mul(input, inverse.clone());
    let mean = B::float_mean_dim(B::float_mul(scaled.clone(), normalized.clone()), axis);
    B::float_mul(B::float_sub(scaled, B::float_mul(normalized, mean)), inverse)
}

/// `1 / √(mean(x²) + epsilon)`, `[..., 1]`.
fn inverse_root<B: Backend>(input: &FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let axis = input.shape().num_dims() - 1;
    let square = B::float_mul(input.clone(), input.clone());
    let mean = B::float_mean_dim(square, axis);
    B::float_recip(B::float_sqrt(B::float_add_scalar(mean, epsilon.into())))
}

impl<B: RmsNormOps, C: CheckpointStrategy> RmsNormOps for Autodiff<B, C> {
    fn fused_rms_norm(input: FloatTensor<Self>, gamma: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        if gamma.is_tracked() {
            return composed_rms_norm::<Self>(input, gamma, epsilon);
        }
        let node = input.node();
        let [input, gamma] = [input, gamma].map(FloatTensor::<Self>::into_primitive);
        tracked::<B, C, _, 1>(
            [node],
            (input, gamma, epsilon),
            |(input, gamma, epsilon)| B::fused_rms_norm(input, gamma, epsilon),
            |(input, gamma, epsilon), grad| [B::fused_rms_norm_backward(input, gamma, grad, epsilon)],
        )
    }
}

#[cfg(test)]
mod tests;
