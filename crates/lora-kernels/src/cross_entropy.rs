//! Softmax cross-entropy.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};

/// Mean over the batch of `−log softmax(logits)[target]`, in nats.
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
    log_softmax(logits, 1)
        .gather(1, targets.reshape([batch, 1]))
        .mean()
        .neg()
}
