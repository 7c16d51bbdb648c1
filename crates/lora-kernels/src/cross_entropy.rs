//! Softmax cross-entropy.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{IndexingUpdateOp, Int, Shape, Tensor, assert_shape};

use crate::backends::tracked;

/// A class whose logit is further below the largest adds nothing to the sum of exponentials in f32: e⁻⁶⁰ is 9e-27. So its
/// probability is taken for that; else it would be subnormal at a distance of 87.
const FARTHEST: f64 = -60.0;

/// Mean over the batch of `−log softmax(logits)[target]`, in nats (`torch.nn.functional.cross_entropy`).
///
/// Its gradient is `(softmax(logits) − one-hot of the target) / batch`. On Flex it takes the place of the logits, which are the largest
/// tensor of a language model, and probabilities below 2⁻⁶⁴ are 0 in it.
///
/// # Shapes
///
/// - logits: `[batch, classes]`
/// - targets: `[batch]`, each in `0..classes`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if `targets` has another length than the batch.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    assert_shape!(targets, [batch]);
    Tensor::from_dispatch(Dispatch::fused_cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
    ))
}

/// Cross-entropy as a backend operation; the bodies here serve every backend. Shapes as in [`cross_entropy`].
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait CrossEntropyOps: Backend {
    /// See [`cross_entropy`].
    fn fused_cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        composed_cross_entropy::<Self>(logits, targets)
    }

    /// The gradient of the logits, for that of the loss, `[1]`.
    fn fused_cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_cross_entropy_backward::<Self>(logits, targets, grad)
    }
}

/// Cross-entropy from primitives.
fn composed_cross_entropy<B: Backend>(logits: FloatTensor<B>, targets: IntTensor<B>) -> FloatTensor<B> {
    let shifted = shifted::<B>(logits);
    let log_sum = B::float_log(B::float_sum_dim(exponentials::<B>(shifted.clone()), 1)); // [batch, 1]
    let of_targets = B::float_gather(1, shifted, as_column::<B>(targets));
    B::float_mean(B::float_sub(log_sum, of_targets))
}

/// The gradient of the logits from primitives.
fn composed_cross_entropy_backward<B: Backend>(
    logits: FloatTensor<B>,
    targets: IntTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let batch = logits.shape()[0];
    let exponentials = exponentials::<B>(shifted::<B>(logits));
    let sum = B::float_sum_dim(exponentials.clone(), 1); // [batch, 1]
    let share = B::float_div_scalar(B::float_reshape(grad, Shape::new([1, 1])), (batch as f64).into());
    let gradient = B::float_mul(B::float_div(exponentials, sum), share.clone());
    let of_targets = B::float_repeat_dim(B::float_neg(share), 0, batch);
    B::float_scatter(
        1,
        gradient,
        as_column::<B>(targets),
        of_targets,
        IndexingUpdateOp::Add,
    )
}

/// The logits less the largest of their row.
fn shifted<B: Backend>(logits: FloatTensor<B>) -> FloatTensor<B> {
    let largest = B::float_max_dim(logits.clone(), 1);
    B::float_sub(logits, largest)
}

fn exponentials<B: Backend>(shifted: FloatTensor<B>) -> FloatTensor<B> {
    B::float_exp(B::float_clamp_min(shifted, FARTHEST.into()))
}

/// `[batch]` as `[batch, 1]`.
fn as_column<B: Backend>(targets: IntTensor<B>) -> IntTensor<B> {
    let batch = targets.shape()[0];
    B::int_reshape(targets, Shape::new([batch, 1]))
}

impl<B: CrossEntropyOps, C: CheckpointStrategy> CrossEntropyOps for Autodiff<B, C> {
    fn fused_cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let node = logits.node();
        tracked::<B, C, _, 1>(
            [node],
            (logits.into_primitive(), targets),
            |(logits, targets)| B::fused_cross_entropy(logits, targets),
            |(logits, targets), grad| [B::fused_cross_entropy_backward(logits, targets, grad)],
        )
    }
}

#[cfg(test)]
mod tests;
