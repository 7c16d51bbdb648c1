//! Layer normalization.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor, assert_shape, module};

use crate::backends::tracked;
use crate::in_f32::in_f32;

/// `(x − mean) / √(variance + epsilon) · gamma + beta` over the last axis, with the biased variance
/// (Ba et al. 2016; `torch.nn.LayerNorm`). Inputs of 16 bits are normalized in f32.
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
    in_f32(input, [gamma, beta], |input, [gamma, beta]| {
        Tensor::from_dispatch(Dispatch::fused_layer_norm(
            input.into_dispatch(),
            gamma.into_dispatch(),
            beta.into_dispatch(),
            epsilon,
        ))
    })
}

/// The same from Burn's primitives alone: the reference that [`layer_norm`] is tested against.
pub fn layer_norm_primitive<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    module::layer_norm(input, gamma, Some(beta), epsilon)
}

/// Layer normalization as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait LayerNormOps: Backend {
    /// See [`layer_norm`].
    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::layer_norm(input, gamma, Some(beta), epsilon)
    }

    /// The gradient of the input: with x̂ the normalized input, σ the deviation and h = grad · gamma,
    /// `(h − mean(h) − x̂ mean(h x̂)) / σ`.
    fn fused_layer_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        composed_layer_norm_backward::<Self>(input, gamma, grad, epsilon)
    }
}

/// The gradient of the input from primitives.
fn composed_layer_norm_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let axis = input.shape().num_dims() - 1;
    let gamma = in_last_axis::<B>(gamma, &input);
    let mean = B::float_mean_dim(input.clone(), axis);
    let centred = B::float_sub(input, mean);
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), axis);
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
    let normalized = B::float_div(centred, deviation.clone());
    let scaled = B::float_mul(grad, gamma);
    let mean_scaled = B::float_mean_dim(scaled.clone(), axis);
    let mean_product = B::float_mean_dim(B::float_mul(scaled.clone(), normalized.clone()), axis);
    let inner = B::float_sub(
        B::float_sub(scaled, mean_scaled),
        B::float_mul(normalized, mean_product),
    );
    B::float_div(inner, deviation)
}

/// `[d]` as `[1, ..., d]`, with the axes of the other.
pub(crate) fn in_last_axis<B: Backend>(vector: FloatTensor<B>, other: &FloatTensor<B>) -> FloatTensor<B> {
    let shape = other.shape();
    let axis = shape.num_dims() - 1;
    let mut broadcast = vec![1; axis];
    broadcast.push(shape[axis]);
    B::float_reshape(vector, Shape::from(broadcast))
}

impl<B: LayerNormOps, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if gamma.is_tracked() || beta.is_tracked() {
            return <Self as ModuleOps<Self>>::layer_norm(input, gamma, Some(beta), epsilon);
        }
        let node = input.node();
        let [input, gamma, beta] = [input, gamma, beta].map(FloatTensor::<Self>::into_primitive);
        tracked::<B, C, _, 1>(
            [node],
            (input, gamma, epsilon),
            |(input, gamma, epsilon)| B::fused_layer_norm(input, gamma, beta, epsilon),
            |(input, gamma, epsilon), grad| [B::fused_layer_norm_backward(input, gamma, grad, epsilon)],
        )
    }
}

#[cfg(test)]
mod tests;
