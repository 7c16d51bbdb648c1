//! Silu of a gate times what it lets through: `silu(g) ⊙ u`, the inner part of `SwiGLU` (Shazeer 2020).

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::{composed_silu, composed_silu_backward};
use crate::backends::tracked;

/// `silu(gate) ⊙ up`, with [`silu`](crate::silu) as it is.
///
/// # Shapes
///
/// - gate, up, output: any, the same
///
/// # Panics
///
/// Panics if the shapes differ.
pub fn gated_silu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "gate and up have one shape");
    Tensor::from_dispatch(Dispatch::fused_gated_silu(
        gate.into_dispatch(),
        up.into_dispatch(),
    ))
}

/// Gated silu as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait GatedSiluOps: Backend {
    /// `silu(gate) up`.
    fn fused_gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_gated_silu::<Self>(gate, up)
    }

    /// The gradients of gate and up: `grad up silu'(gate)` and `grad silu(gate)`.
    fn fused_gated_silu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_gated_silu_backward::<Self>(gate, up, grad)
    }
}

/// Gated silu from primitives.
pub(super) fn composed_gated_silu<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(composed_silu::<B>(gate), up)
}

/// Both gradients from primitives.
pub(super) fn composed_gated_silu_backward<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let through_up = B::float_mul(grad.clone(), up);
    (
        composed_silu_backward::<B>(gate.clone(), through_up),
        B::float_mul(grad, composed_silu::<B>(gate)),
    )
}

impl<B: GatedSiluOps, C: CheckpointStrategy> GatedSiluOps for Autodiff<B, C> {
    fn fused_gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        tracked::<B, C, _, 2>(
            nodes,
            [gate, up].map(FloatTensor::<Self>::into_primitive),
            |[gate, up]| B::fused_gated_silu(gate, up),
            |[gate, up], grad| {
                let (of_gate, of_up) = B::fused_gated_silu_backward(gate, up, grad);
                [of_gate, of_up]
            },
        )
    }
}
