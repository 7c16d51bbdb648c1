//! Scaled dot-product attention with an additive bias.

#[cfg(feature = "flex")]
mod flex;

use std::ops::Range;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Device, Shape, Slice, Tensor, assert_shape};

use crate::backends::tracked;

/// `softmax(Q Kᵀ / √d_head + bias) V` (Vaswani et al. 2017, eq. 1).
///
/// # Shapes
///
/// - query: `[batch, n_heads, seq, d_head]`
/// - key, value: `[batch, n_key_heads, seq_key, d_head]`; query head h reads key head `⌊h / (n_heads / n_key_heads)⌋` (grouped-query
///   attention, Ainslie et al. 2023)
/// - bias: broadcastable to `[batch, n_key_heads, seq, seq_key]`; see [`padding_bias`]
/// - output: `[batch, n_heads, seq, d_head]`
///
/// # Panics
///
/// Panics if the shapes do not agree.
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let d_head = query.dims()[3];
    scaled_attention(query, key, value, bias, 1.0 / (d_head as f64).sqrt())
}

/// [`attention`] with another scale than `1 / √d_head`.
///
/// # Shapes
///
/// As [`attention`].
///
/// # Panics
///
/// As [`attention`].
pub fn scaled_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let [batch, n_heads, seq, d_head] = query.dims();
    let [_, n_key_heads, seq_key, _] = key.dims();
    assert_shape!(key, [batch, n_key_heads, seq_key, d_head]);
    assert_shape!(value, [batch, n_key_heads, seq_key, d_head]);
    assert!(
        n_heads.is_multiple_of(n_key_heads),
        "{n_key_heads} heads of keys do not divide {n_heads} heads"
    );
    if let Some(bias) = &bias {
        let shape = bias.dims();
        let full = [batch, n_key_heads, seq, seq_key];
        assert!(
            shape
                .iter()
                .zip(full)
                .all(|(&found, full)| found == full || found == 1),
            "a bias of {shape:?} cannot be broadcast to {full:?}"
        );
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &query.device()));
    Tensor::from_dispatch(Dispatch::fused_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        bias.into_dispatch(),
        scale,
        None,
    ))
}

/// [`attention`] of the rows of a packed batch: their tokens stand end to end, without padding, and each sees those of its row.
///
/// # Shapes
///
/// - query: `[1, n_heads, queries, d_head]`
/// - key, value: `[1, n_heads, keys, d_head]`
/// - lengths: for each row how many queries and how many keys it has, of which there is at least one
/// - output: `[1, n_heads, queries, d_head]`
///
/// # Panics
///
/// Panics if the shapes do not agree, or if the lengths are not those of all tokens.
pub fn packed_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    lengths: [&Arc<[usize]>; 2],
) -> Tensor<4> {
    let [_, n_heads, queries, d_head] = query.dims();
    let [_, _, keys, _] = key.dims();
    assert_shape!(query, [1, n_heads, queries, d_head]);
    assert_shape!(key, [1, n_heads, keys, d_head]);
    assert_shape!(value, [1, n_heads, keys, d_head]);
    let [of_queries, of_keys] = lengths;
    assert_eq!(of_queries.len(), of_keys.len(), "each row has queries and keys");
    assert_eq!(
        [of_queries, of_keys].map(|lengths| lengths.iter().sum::<usize>()),
        [queries, keys],
        "the rows hold all tokens"
    );
    assert!(of_keys.iter().all(|keys| *keys > 0), "each row has a key");
    let bias = Tensor::<4>::zeros([1, 1, 1, 1], &query.device());
    Tensor::from_dispatch(Dispatch::fused_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        bias.into_dispatch(),
        1.0 / (d_head as f64).sqrt(),
        Some(PackedRows {
            queries: of_queries.clone(),
            keys: of_keys.clone(),
        }),
    ))
}

/// Whether passes over a batch are faster on this device when its padding is left out and rows of different lengths stand end to
/// end: on Flex, where [`packed_attention`] and groups of unequal size cost no more than others.
pub fn packs_rows(device: &Device) -> bool {
    crate::is_flex(device)
}

/// How many queries and keys each row of a packed batch has.
#[derive(Clone, Debug)]
pub(crate) struct PackedRows {
    queries: Arc<[usize]>,
    keys: Arc<[usize]>,
}

impl PackedRows {
    /// Where the queries and the keys of each row lie.
    fn ranges(&self) -> impl Iterator<Item = [Range<usize>; 2]> {
        let mut next = [0; 2];
        self.queries
            .iter()
            .zip(self.keys.iter())
            .map(move |(queries, keys)| {
                let first = next;
                next = [first[0] + queries, first[1] + keys];
                [first[0]..next[0], first[1]..next[1]]
            })
    }
}

/// What is added to a score that is to have no weight: far below every real score, yet its sum with one stays finite in f16
/// too. Where all scores are hidden, all weights are equal (as in Hugging Face).
pub const HIDDEN: f64 = -3.0e4;

/// The bias that hides padded keys: 0 where a token is real, a large negative number where it is padding.
///
/// The number is finite, so that a row of padding alone still gives finite outputs (as in Hugging Face).
///
/// # Shapes
///
/// - `attention_mask`: `[batch, seq]`, 1 for a real token, 0 for padding
/// - output: `[batch, 1, 1, seq]`
pub fn padding_bias(attention_mask: Tensor<2>) -> Tensor<4> {
    let [batch, seq] = attention_mask.dims();
    attention_mask
        .sub_scalar(1.0)
        .mul_scalar(-HIDDEN)
        .reshape([batch, 1, 1, seq])
}

/// Attention as a backend operation; the bodies here serve every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait AttentionOps: Backend {
    /// See [`scaled_attention`].
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
        rows: Option<PackedRows>,
    ) -> FloatTensor<Self> {
        composed_attention::<Self>(query, key, value, bias, scale, rows)
    }

    /// The gradients of query, key and value. With the weights P and dP = grad Vᵀ they are scale · dS K, scale · dSᵀ Q
    /// and Pᵀ grad, where dS = P ⊙ (dP − Σⱼ P dP). P is computed again, which costs less than keeping it.
    fn fused_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f64,
        rows: Option<PackedRows>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_attention_backward::<Self>(query, key, value, bias, grad, scale, rows)
    }
}

/// The weights P, `[batch, n_heads, seq, seq_key]`.
fn attention_weights<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    bias: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    // Scaling the query touches seq·d_head values, scaling the scores seq·seq_key.
    let query = B::float_mul_scalar(query, scale.into());
    let scores = B::float_matmul(query, B::float_swap_dims(key, 2, 3));
    B::softmax(B::float_add(scores, bias), 3)
}

/// Tokens `range` of a `[batch, n_heads, seq, d_head]` tensor.
fn tokens_of<B: Backend>(tensor: &FloatTensor<B>, range: Range<usize>) -> FloatTensor<B> {
    let [batch, n_heads, _, d_head] = tensor.shape().dims();
    let ranges = [0..batch, 0..n_heads, range, 0..d_head].map(Slice::from);
    B::float_slice(tensor.clone(), &ranges)
}

/// Attention from primitives.
fn composed_attention<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    bias: FloatTensor<B>,
    scale: f64,
    rows: Option<PackedRows>,
) -> FloatTensor<B> {
    let Some(rows) = rows else {
        let shape = query.shape();
        let (query, bias) = stacked::<B>(query, bias, &key);
        let output = B::float_matmul(attention_weights::<B>(query, key, bias, scale), value);
        return B::float_reshape(output, shape);
    };
    let outputs = rows.ranges().map(|[queries, keys]| {
        let query = tokens_of::<B>(&query, queries);
        let [key, value] = [&key, &value].map(|tensor| tokens_of::<B>(tensor, keys.clone()));
        composed_attention::<B>(query, key, value, bias.clone(), scale, None)
    });
    B::float_cat(outputs.collect(), 2)
}

/// The gradients of query, key and value from primitives.
fn composed_attention_backward<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    bias: FloatTensor<B>,
    grad: FloatTensor<B>,
    scale: f64,
    rows: Option<PackedRows>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    if let Some(rows) = rows {
        let mut grads = [const { Vec::new() }; 3];
        for [queries, keys] in rows.ranges() {
            let [query, grad] = [&query, &grad].map(|tensor| tokens_of::<B>(tensor, queries.clone()));
            let [key, value] = [&key, &value].map(|tensor| tokens_of::<B>(tensor, keys.clone()));
            let of_row = composed_attention_backward::<B>(query, key, value, bias.clone(), grad, scale, None);
            for (grads, grad) in grads.iter_mut().zip([of_row.0, of_row.1, of_row.2]) {
                grads.push(grad);
            }
        }
        let [query, key, value] = grads.map(|grads| B::float_cat(grads, 2));
        return (query, key, value);
    }
    let shape = query.shape();
    let (query, bias) = stacked::<B>(query, bias, &key);
    let grad = B::float_reshape(grad, query.shape());
    let weights = attention_weights::<B>(query.clone(), key.clone(), bias, scale);
    let value_grad = B::float_matmul(B::float_swap_dims(weights.clone(), 2, 3), grad.clone());
    let weights_grad = B::float_matmul(grad, B::float_swap_dims(value, 2, 3));
    let mean = B::float_sum_dim(B::float_mul(weights.clone(), weights_grad.clone()), 3);
    let scores_grad = B::float_mul(weights, B::float_sub(weights_grad, mean));
    let scores_grad = B::float_mul_scalar(scores_grad, scale.into());
    (
        B::float_reshape(B::float_matmul(scores_grad.clone(), key), shape),
        B::float_matmul(B::float_swap_dims(scores_grad, 2, 3), query),
        value_grad,
    )
}

/// The heads of a group one below the other, as more queries of their key head: `[batch, n_key_heads, group · seq, d_head]`; and the
/// bias for them.
fn stacked<B: Backend>(
    query: FloatTensor<B>,
    bias: FloatTensor<B>,
    key: &FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [batch, n_heads, seq, d_head] = query.shape().dims();
    let n_key_heads = key.shape()[1];
    let group = n_heads / n_key_heads;
    if group == 1 {
        return (query, bias);
    }
    let bias = match bias.shape()[2] {
        1 => bias,
        _ => B::float_repeat_dim(bias, 2, group),
    };
    let shape = Shape::new([batch, n_key_heads, group * seq, d_head]);
    (B::float_reshape(query, shape), bias)
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
        rows: Option<PackedRows>,
    ) -> FloatTensor<Self> {
        if bias.is_tracked() {
            return composed_attention::<Self>(query, key, value, bias, scale, rows);
        }
        let nodes = [query.node(), key.node(), value.node()];
        let inputs = [query, key, value].map(FloatTensor::<Self>::into_primitive);
        let bias = bias.into_primitive();
        tracked::<B, C, _, 3>(
            nodes,
            (inputs, bias, scale, rows),
            |([query, key, value], bias, scale, rows)| {
                B::fused_attention(query, key, value, bias, scale, rows)
            },
            |([query, key, value], bias, scale, rows), grad| {
                let (query, key, value) =
                    B::fused_attention_backward(query, key, value, bias, grad, scale, rows);
                [query, key, value]
            },
        )
    }
}

#[cfg(test)]
mod tests;
