//! Attention against its formula in tensor operations, forward and backward, on the layouts that models use.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor, activation::softmax};

use super::{attention, padding_bias, scaled_attention};
use crate::drawn;

#[cfg(feature = "flex")]
fn device() -> Device {
    Device::flex()
}

#[cfg(all(feature = "ndarray", not(feature = "flex")))]
#[expect(deprecated, reason = "a second opinion on numbers")]
fn device() -> Device {
    Device::ndarray()
}

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    drawn::normal(shape, 0.0, 1.0, &device().autodiff())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn formula(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let scores = query.matmul(key.swap_dims(2, 3)).mul_scalar(scale);
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3).matmul(value)
}

fn assert_close(found: &[f32], reference: &[f32], what: &str) {
    let largest = reference
        .iter()
        .fold(1e-30_f32, |largest, x| largest.max(x.abs()));
    for (found, reference) in found.iter().zip(reference) {
        let difference = (found - reference).abs() / largest;
        assert!(difference < 5e-6, "{what}: {found} and {reference}");
    }
}

/// Batch, heads, queries, keys, features of a head.
const SHAPES: [[usize; 5]; 5] = [
    [1, 1, 1, 1, 1],
    [2, 3, 7, 7, 5],
    [1, 2, 3, 9, 8],
    [3, 12, 64, 64, 32],
    [2, 2, 33, 70, 64],
];

/// The heads of a projection: written as `[batch, seq, heads, d_head]`, read as `[batch, heads, seq, d_head]`.
fn projected([batch, n_heads, seq, d_head]: [usize; 4]) -> Tensor<4> {
    normal([batch, seq, n_heads, d_head])
}

#[test]
fn attention_equals_its_formula_forward_and_backward() {
    for [batch, n_heads, seq, seq_key, d_head] in SHAPES {
        let biases = [
            None,
            Some(normal([batch, 1, 1, seq_key])),
            Some(normal([1, 1, seq, seq_key])),
            Some(normal([batch, n_heads, seq, seq_key])),
            Some(normal([1, 1, seq, 1])),
        ];
        for bias in biases {
            let query = projected([batch, n_heads, seq, d_head]).require_grad();
            let [key, value] = [0, 1].map(|_| projected([batch, n_heads, seq_key, d_head]).require_grad());
            let weights = projected([batch, n_heads, seq, d_head]);
            let [fused, reference] = [scaled_attention, formula].map(|f| {
                let [query, key, value] = [&query, &key, &value].map(|x| x.clone().swap_dims(1, 2));
                f(query, key, value, bias.clone(), 0.3).swap_dims(1, 2)
            });
            assert_close(&numbers(fused.clone()), &numbers(reference.clone()), "output");
            let [fused, reference] = [fused, reference].map(|output| {
                let gradients = (output * weights.clone()).sum().backward();
                [&query, &key, &value].map(|x| numbers(x.grad(&gradients).unwrap()))
            });
            for ((found, reference), what) in fused.iter().zip(&reference).zip(["query", "key", "value"]) {
                assert_close(found, reference, what);
            }
        }
    }
}

#[test]
fn a_trained_bias_gets_its_gradient() {
    let bias = normal([2, 2, 3, 3]).require_grad();
    let [query, key, value] = [0, 1, 2].map(|_| normal([2, 2, 3, 4]));
    let weights = normal([2, 2, 3, 4]);
    let [fused, reference] = [scaled_attention, formula].map(|f| {
        let output = f(query.clone(), key.clone(), value.clone(), Some(bias.clone()), 0.5);
        numbers(bias.grad(&(output * weights.clone()).sum().backward()).unwrap())
    });
    assert_close(&fused, &reference, "bias");
}

#[test]
fn hidden_keys_change_nothing() {
    let [query, key, value] = [0, 1, 2].map(|_| normal([1, 2, 4, 8]));
    let mask = Tensor::<2>::from_floats([[1.0, 1.0, 1.0, 0.0]], &device().autodiff());
    let all = attention(
        query.clone(),
        key.clone(),
        value.clone(),
        Some(padding_bias(mask)),
    );
    let [key, value] = [key, value].map(|x| x.narrow(2, 0, 3));
    assert_close(
        &numbers(all),
        &numbers(attention(query, key, value, None)),
        "output",
    );
}

#[test]
fn large_scores_overflow_nothing_and_nan_stays_nan() {
    let query = Tensor::<4>::full([1, 1, 1, 1], 1e4, &device());
    let key = Tensor::<4>::from_floats([[[[1e4], [-1e4]]]], &device());
    let value = Tensor::<4>::from_floats([[[[3.0], [5.0]]]], &device());
    let output = attention(query.clone(), key.clone(), value.clone(), None);
    assert_eq!(numbers(output), [3.0]);
    let nan = Tensor::<4>::full([1, 1, 1, 1], f32::NAN, &device());
    assert!(numbers(attention(query * nan, key, value, None))[0].is_nan());
}
