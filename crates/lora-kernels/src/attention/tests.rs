//! Attention against its formula in tensor operations, forward and backward, on the layouts that models use.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::sync::Arc;

use burn::tensor::{Device, Tensor, activation::softmax};

use super::{HIDDEN, attention, packed_attention, padding_bias, scaled_attention};
use crate::drawn;

fn device() -> Device {
    Device::default()
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

/// Keys and values once for each head of queries.
fn repeated(x: Tensor<4>, group: usize) -> Tensor<4> {
    let [batch, n_key_heads, seq, d_head] = x.dims();
    x.unsqueeze_dim::<5>(2) // [batch, n_key_heads, 1, seq, d_head]
        .repeat_dim(2, group)
        .reshape([batch, n_key_heads * group, seq, d_head])
}

/// With biases for all heads, for all queries of a head, and causal over more than one span.
#[test]
fn heads_of_a_group_read_the_same_keys_forward_and_backward() {
    for (n_key_heads, group) in [(1, 3), (3, 3), (2, 4)] {
        for [batch, _, seq, seq_key, d_head] in SHAPES.into_iter().chain([[2, 0, 130, 130, 16]]) {
            let mut biases = vec![
                None,
                Some(normal([batch, n_key_heads, 1, seq_key])),
                Some(normal([1, n_key_heads, seq, seq_key])),
            ];
            if seq == seq_key {
                biases.push(Some(causal(seq, seq)));
            }
            for bias in biases {
                let query = projected([batch, n_key_heads * group, seq, d_head]).require_grad();
                let [key, value] =
                    [0, 1].map(|_| projected([batch, n_key_heads, seq_key, d_head]).require_grad());
                let weights = projected([batch, n_key_heads * group, seq, d_head]);
                let heads = |x: &Tensor<4>| x.clone().swap_dims(1, 2);
                let fused = scaled_attention(heads(&query), heads(&key), heads(&value), bias.clone(), 0.3);
                let bias = bias.map(|bias| match bias.dims()[1] {
                    1 => bias,
                    _ => repeated(bias, group),
                });
                let [of_key, of_value] = [&key, &value].map(|x| repeated(heads(x), group));
                let reference = formula(heads(&query), of_key, of_value, bias, 0.3);
                let [fused, reference] = [fused, reference].map(|output| {
                    let gradients = (output.clone() * heads(&weights)).sum().backward();
                    let of_inputs = [&query, &key, &value].map(|x| numbers(x.grad(&gradients).unwrap()));
                    (numbers(output), of_inputs)
                });
                assert_close(&fused.0, &reference.0, "output");
                for ((found, reference), what) in
                    fused.1.iter().zip(&reference.1).zip(["query", "key", "value"])
                {
                    assert_close(found, reference, what);
                }
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

/// Rows of which 1 to `seq` keys are real, as a mask.
fn ragged_mask(batch: usize, seq: usize) -> Vec<f32> {
    let lengths = (0..batch).map(|row| 1 + (row * 7 + 3) % seq);
    lengths
        .flat_map(|length| (0..seq).map(move |place| if place < length { 1.0 } else { 0.0 }))
        .collect()
}

/// Causal attention of all tokens, or of the last four.
fn causal(seq: usize, window: usize) -> Tensor<4> {
    let hidden = |query: usize, key: usize| key > query || key + window <= query;
    let bias: Vec<f32> = (0..seq * seq)
        .map(|at| {
            if hidden(at / seq, at % seq) {
                HIDDEN as f32
            } else {
                0.0
            }
        })
        .collect();
    Tensor::<1>::from_floats(bias.as_slice(), &device().autodiff()).reshape([1, 1, seq, seq])
}

/// Where a loss reads real tokens alone, so that gradients are those of real tokens alone.
#[test]
fn attention_over_padding_and_the_past_equals_its_formula_at_real_tokens() {
    for [batch, n_heads, seq, _, d_head] in SHAPES {
        let mask = ragged_mask(batch, seq);
        let mask = Tensor::<1>::from_floats(mask.as_slice(), &device().autodiff()).reshape([batch, seq]);
        let padding = padding_bias(mask.clone());
        let real = mask.reshape([batch, 1, seq, 1]);
        for bias in [
            padding.clone(),
            causal(seq, seq) + padding.clone(),
            causal(seq, 4) + padding,
            causal(seq, 4),
        ] {
            let [query, key, value] =
                [0, 1, 2].map(|_| projected([batch, n_heads, seq, d_head]).require_grad());
            let weights = projected([batch, n_heads, seq, d_head]).swap_dims(1, 2) * real.clone();
            let [fused, reference] = [scaled_attention, formula].map(|f| {
                let [query, key, value] = [&query, &key, &value].map(|x| x.clone().swap_dims(1, 2));
                f(query, key, value, Some(bias.clone()), 0.3)
            });
            assert_close(
                &numbers(fused.clone() * real.clone()),
                &numbers(reference.clone() * real.clone()),
                "output",
            );
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
fn packed_rows_have_the_output_and_the_gradients_that_they_have_alone() {
    let (n_heads, d_head) = (3, 5);
    let lengths: [Arc<[usize]>; 2] = [[4, 1, 7].into(), [4, 20, 3].into()];
    let [queries, keys] = [12, 27];
    let of = |tokens| projected([1, n_heads, tokens, d_head]).require_grad();
    let inputs = [of(queries), of(keys), of(keys)];
    let weights = projected([1, n_heads, queries, d_head]).swap_dims(1, 2);
    // A graph is consumed by its backward pass: each version has views of its own.
    let heads = || inputs.clone().map(|x| x.swap_dims(1, 2));
    let [query, key, value] = heads();
    let packed = packed_attention(query, key, value, lengths.each_ref());
    let [query, key, value] = heads();
    let (mut next, mut alone) = ([0, 0], Vec::new());
    for (of_queries, of_keys) in lengths[0].iter().zip(lengths[1].iter()) {
        let query = query.clone().narrow(2, next[0], *of_queries);
        let [key, value] = [&key, &value].map(|x| x.clone().narrow(2, next[1], *of_keys));
        alone.push(attention(query, key, value, None));
        next = [next[0] + of_queries, next[1] + of_keys];
    }
    let alone = Tensor::cat(alone, 2);
    assert_eq!(numbers(packed.clone()), numbers(alone.clone()));
    let [packed, alone] = [packed, alone].map(|output| {
        let gradients = (output * weights.clone()).sum().backward();
        inputs.each_ref().map(|x| numbers(x.grad(&gradients).unwrap()))
    });
    assert_eq!(packed, alone);
}

/// The bits of a row depend neither on the rest of its batch nor on padding.
#[test]
fn padding_changes_no_bit() {
    if !drawn::is_on_flex() {
        return;
    }
    let [query, key, value] = [0, 1, 2].map(|_| normal([1, 2, 50, 8]));
    for length in [1, 5, 16, 17, 33] {
        let [query, key, value] = [&query, &key, &value].map(|x| x.clone().narrow(2, 0, length));
        let alone = numbers(attention(query.clone(), key.clone(), value.clone(), None));
        for padding in [1, 7, 16, 40] {
            let seq = length + padding;
            let [query, key, value] =
                [&query, &key, &value].map(|x| Tensor::cat(vec![x.clone(), normal([1, 2, padding, 8])], 2));
            let mask: Vec<f32> = (0..seq)
                .map(|place| if place < length { 1.0 } else { 0.0 })
                .collect();
            let mask = Tensor::<1>::from_floats(mask.as_slice(), &device().autodiff()).reshape([1, seq]);
            let padded = attention(query, key, value, Some(padding_bias(mask)));
            assert_eq!(numbers(padded.narrow(2, 0, length)), alone);
        }
    }
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
