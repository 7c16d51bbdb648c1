//! Rotary position embedding: the turn itself; angles are the caller's.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice, Tensor, assert_shape};

use crate::backends::tracked;

/// Turns feature `i` of every head together with feature `i + d_head/2` by an angle of its position (Su et al. 2021, eq. 34, in the
/// order of the LLaMA checkpoints):
///
/// ```text
/// y_i          = x_i cos − x_{i + d_head/2} sin
/// y_{i+d_head/2} = x_{i + d_head/2} cos + x_i sin
/// ```
///
/// # Shapes
///
/// - heads, output: `[batch, n_heads, seq, d_head]`
/// - cos, sin: `[seq, d_head/2]`
///
/// # Panics
///
/// Panics if the shapes do not agree.
pub fn rotary(heads: Tensor<4>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<4> {
    let [_, _, seq, d_head] = heads.dims();
    assert!(d_head.is_multiple_of(2), "{d_head} features are no pairs");
    assert_shape!(cos, [seq, d_head / 2]);
    assert_shape!(sin, [seq, d_head / 2]);
    Tensor::from_dispatch(Dispatch::fused_rotary(
        heads.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        Turn::Forward,
    ))
}

/// Which way heads are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// By the angles.
    Forward,
    /// Back by them, as gradients are.
    Back,
}

impl Turn {
    fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Back,
            Self::Back => Self::Forward,
        }
    }
}

/// The turn as a backend operation; the body here serves every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait RotaryOps: Backend {
    /// See [`rotary`].
    fn fused_rotary(
        heads: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        turn: Turn,
    ) -> FloatTensor<Self> {
        composed_rotary::<Self>(heads, cos, sin, turn)
    }
}

/// The turn from primitives.
fn composed_rotary<B: Backend>(
    heads: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    turn: Turn,
) -> FloatTensor<B> {
    let [batch, n_heads, seq, d_head] = heads.shape().dims();
    let half = d_head / 2;
    let [first, second] = [0, half].map(|start| {
        let ranges = [0..batch, 0..n_heads, 0..seq, start..start + half].map(Slice::from);
        B::float_slice(heads.clone(), &ranges)
    });
    drop(heads);
    let [cos, sin] = [cos, sin].map(|of| B::float_reshape(of, Shape::new([1, 1, seq, half])));
    let sin = match turn {
        Turn::Forward => sin,
        Turn::Back => B::float_neg(sin),
    };
    let turned_first = B::float_sub(
        B::float_mul(first.clone(), cos.clone()),
        B::float_mul(second.clone(), sin.clone()),
    );
    let turned_second = B::float_add(B::float_mul(second, cos), B::float_mul(first, sin));
    B::float_cat(vec![turned_first, turned_second], 3)
}

impl<B: RotaryOps, C: CheckpointStrategy> RotaryOps for Autodiff<B, C> {
    /// Angles get no gradient.
    fn fused_rotary(
        heads: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        turn: Turn,
    ) -> FloatTensor<Self> {
        let node = heads.node();
        let [heads, cos, sin] = [heads, cos, sin].map(FloatTensor::<Self>::into_primitive);
        tracked::<B, C, _, 1>(
            [node],
            (cos, sin, turn),
            |(cos, sin, turn)| B::fused_rotary(heads, cos, sin, turn),
            |(cos, sin, turn), grad| [B::fused_rotary(grad, cos, sin, turn.reversed())],
        )
    }
}

#[cfg(test)]
mod tests;
