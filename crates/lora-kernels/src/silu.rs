//! The sigmoid linear unit, also called swish: `silu(x) = x σ(x)`, and `silu'(x) = σ(x) (1 + x (1 − σ(x)))` for the backward pass.

#[cfg(feature = "flex")]
mod flex;
pub(crate) mod gated;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::backends::differentiable_elementwise;

pub use gated::gated_silu;

/// `x σ(x)` (Elfwing et al. 2017; `torch.nn.functional.silu`).
///
/// On Flex in f32 the difference to the exact value is at most 5e-7 of it for x ≥ −44; below, the output is 0 (the value itself
/// is under 4e-18 there).
///
/// # Shapes
///
/// - input, output: any, the same
pub fn silu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_silu(input.into_dispatch()))
}

/// Silu as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait SiluOps: Backend {
    /// `x σ(x)`.
    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_silu::<Self>(input)
    }

    /// `grad σ(x) (1 + x (1 − σ(x)))`.
    fn fused_silu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_silu_backward::<Self>(input, grad)
    }
}

/// Silu from primitives.
fn composed_silu<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(input.clone(), B::sigmoid(input))
}

/// The gradient of the input from primitives.
fn composed_silu_backward<B: Backend>(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let sigmoid = B::sigmoid(input.clone());
    let rest = B::float_add_scalar(B::float_neg(sigmoid.clone()), 1.0.into());
    let slope = B::float_mul(
        sigmoid,
        B::float_add_scalar(B::float_mul(input, rest), 1.0.into()),
    );
    B::float_mul(slope, grad)
}

differentiable_elementwise!(SiluOps, fused_silu, fused_silu_backward);

#[cfg(test)]
mod tests;
