//! The Gaussian error linear unit: `gelu(x) = x Φ(x)`, and `gelu'(x) = Φ(x) + x φ(x)` for the backward pass.
//!
//! Φ and φ are the distribution function and the density of the standard normal (Hendrycks & Gimpel 2016). Backends use
//! their own primitives; on Flex, whose primitives compute one number at a time on one thread, [`flex`] replaces both.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Tensor, activation};

/// `x Φ(x)`, exact by erf.
///
/// On Flex in f32 the difference to the exact value is at most 1e-6 of it for x ≥ −5; below, at most 1e-6 in absolute
/// terms (the value itself is under 2e-6 there).
///
/// # Shapes
///
/// - input, output: any, the same
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_gelu(input.into_dispatch()))
}

/// The same from Burn's primitives alone: the reference that [`gelu`] is tested against.
pub fn gelu_primitive<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activation::gelu(input)
}

/// Gelu as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait GeluOps: Backend {
    /// `x Φ(x)`.
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(input)
    }

    /// `grad (Φ(x) + x φ(x))`.
    fn fused_gelu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu_backward(input, grad)
    }
}

#[cfg(feature = "ndarray")]
impl GeluOps for burn::backend::NdArray {}

#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda",
    feature = "rocm"
))]
impl GeluOps for burn::backend::Cube {}

impl<B: GeluOps, C: CheckpointStrategy> GeluOps for Autodiff<B, C> {
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Gelu;

        impl<B: GeluOps> Backward<B, 1> for Gelu {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let input = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                    B::fused_gelu_backward(input, grad)
                });
            }
        }

        let node = input.node();
        match Gelu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let input = input.into_primitive();
                prep.finish(input.clone(), B::fused_gelu(input))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_gelu(input.into_primitive())),
        }
    }
}

#[cfg(test)]
mod tests;
