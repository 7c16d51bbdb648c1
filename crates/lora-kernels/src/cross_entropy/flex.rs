//! Cross-entropy on Flex: each row of logits through the caches, on all threads; the gradient in their place.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

use super::{CrossEntropyOps, composed_cross_entropy, composed_cross_entropy_backward};
use crate::flex::{
    CHUNK, SMALLEST_WEIGHT, changed, exp, for_rows, inlined, largest, numbers, sum_of, tensor_of, vanishing,
};

impl CrossEntropyOps for Flex {
    fn fused_cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        if logits.dtype() != DType::F32 {
            return composed_cross_entropy::<Self>(logits, targets);
        }
        let targets = places(targets);
        let logits = logits.to_contiguous();
        let [batch, classes] = logits.shape().dims();
        let logits = numbers(&logits);
        let mut losses = vec![0.0; batch];
        for_rows(
            &mut losses,
            1,
            rows_per_task(classes),
            inlined!(|loss, row| {
                let logits = &logits[row * classes..][..classes];
                let largest = largest(logits);
                let sum = sum_of(
                    logits,
                    logits,
                    inlined!(|logit, _| vanishing(exp(logit - largest), SMALLEST_WEIGHT)),
                );
                loss[0] = sum.ln() - (logits[targets[row]] - largest);
            }),
        );
        let sum: f64 = losses.iter().copied().map(f64::from).sum();
        tensor_of(vec![(sum / batch as f64) as f32], [1])
    }

    fn fused_cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if logits.dtype() != DType::F32 {
            return composed_cross_entropy_backward::<Self>(logits, targets, grad);
        }
        let targets = places(targets);
        let grad = grad.to_contiguous();
        let [batch, classes] = logits.shape().dims();
        let share = numbers(&grad)[0] / batch as f32;
        changed(
            logits,
            classes,
            rows_per_task(classes),
            inlined!(|row, index| {
                let largest = largest(row);
                for logit in row.iter_mut() {
                    *logit = vanishing(exp(*logit - largest), SMALLEST_WEIGHT);
                }
                let sum = sum_of(row, row, inlined!(|exponential, _| exponential));
                let share_of_sum = share / sum;
                for exponential in row.iter_mut() {
                    *exponential = vanishing(*exponential * share_of_sum, f32::MIN_POSITIVE);
                }
                row[targets[index]] -= share;
            }),
        )
    }
}

/// Rows that a thread takes at a time.
fn rows_per_task(classes: usize) -> usize {
    (CHUNK / classes.max(1)).max(1)
}

fn places(targets: IntTensor<Flex>) -> Vec<usize> {
    let targets = targets.into_data();
    targets
        .iter::<i64>()
        .map(|target| usize::try_from(target).expect("a class is not negative"))
        .collect()
}
