//! Softmax cross-entropy.

use burn::tensor::{Int, Tensor, assert_shape};

/// A class whose logit is further below the largest adds nothing to the sum of exponentials in f32: e⁻⁶⁰ is 9e-27. So its
/// probability is taken for that, and its gradient for 0; else both would be subnormal at a distance of 87.
const FARTHEST: f64 = -60.0;

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
    let shifted = logits.clone() - logits.detach().max_dim(1);
    let log_sum = shifted.clone().clamp_min(FARTHEST).exp().sum_dim(1).log(); // [batch, 1]
    let of_targets = shifted.gather(1, targets.reshape([batch, 1]));
    (log_sum - of_targets).mean()
}
