//! What attention keeps to itself: weights and gradients of scores, on padded batches.

use burn::tensor::{Shape, TensorData};

use super::*;
use crate::attention::HIDDEN;

/// Values in (−1, 1) that look random.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|index| ((index * 7919 + seed * 104_729) as f32 * 0.618_034).sin())
        .collect()
}

fn tensor(shape: [usize; 4], size: f32, seed: usize) -> FloatTensor<Flex> {
    let values: Vec<f32> = numbers(shape.iter().product(), seed)
        .iter()
        .map(|x| x * size)
        .collect();
    FloatTensor::<Flex>::from_data(TensorData::new(values, Shape::from(shape)))
}

/// A batch of 5 rows of which 1 to 9 keys are real. Scores go from ±0.3 to ±300: a trained model has some of ±100.
fn padded(size: f32) -> Inputs {
    let (query, key, value) = (
        tensor([5, 3, 9, 8], size, 1),
        tensor([5, 3, 9, 8], size, 2),
        tensor([5, 3, 9, 8], 1.0, 3),
    );
    let bias: Vec<f32> = (0..5 * 9_usize)
        .map(|at| {
            if at % 9 <= 2 * (at / 9) {
                0.0
            } else {
                HIDDEN as f32
            }
        })
        .collect();
    let bias = FloatTensor::<Flex>::from_data(TensorData::new(bias, Shape::from([5, 1, 1, 9])));
    Inputs::new([query, key, value], bias, 1.0)
}

fn subnormal(numbers: &[f32]) -> usize {
    numbers.iter().filter(|number| number.is_subnormal()).count()
}

#[test]
fn neither_weights_nor_gradients_of_scores_are_subnormal() {
    let mut vanished = 0;
    for size in [0.3, 3.0, 6.0, 9.0] {
        let inputs = padded(size);
        for example in inputs.examples(None) {
            for (head, spans) in inputs.heads(&example) {
                let mut weights = vec![0.0; 81];
                let _ = inputs.weights(&example, head, &spans, &mut weights);
                assert_eq!(subnormal(&weights), 0, "weights at size {size}");
                let [span] = &spans[..] else { panic!("one span") };
                vanished += weights
                    .chunks(9)
                    .flat_map(|row| &row[span.keys.clone()])
                    .filter(|weight| **weight == 0.0)
                    .count();
                // Gradients of weights as small as those of a model that has learnt its examples.
                let mut scores_grad: Vec<f32> = numbers(81, head).iter().map(|x| x * 1e-12).collect();
                let weights = Matrix::new(&weights, [9, 9], 9);
                through_softmax(&mut scores_grad, 9, span, span.of(weights), inputs.scale);
                assert_eq!(subnormal(&scores_grad), 0, "gradients at size {size}");
            }
        }
    }
    // The sizes are such that the rule is needed.
    assert!(vanished > 100, "{vanished} weights vanished");
}

#[test]
fn hidden_keys_are_outside_of_the_spans_of_their_row() {
    let inputs = padded(1.0);
    for (example, keys) in inputs.examples(None).iter().zip([1, 3, 5, 7, 9]) {
        for (_, spans) in inputs.heads(example) {
            assert_eq!(
                spans,
                [QueryBlock {
                    queries: 0..9,
                    keys: 0..keys
                }]
            );
        }
    }
}
