//! Scaled dot-product attention with an additive bias.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, assert_shape};

/// `softmax(Q Kᵀ / √d_head + bias) V` (Vaswani et al. 2017, eq. 1).
///
/// # Shapes
///
/// - query: `[batch, n_heads, seq, d_head]`
/// - key, value: `[batch, n_heads, seq_key, d_head]`
/// - bias: broadcastable to `[batch, n_heads, seq, seq_key]`; see [`padding_bias`]
/// - output: `[batch, n_heads, seq, d_head]`
///
/// # Panics
///
/// Panics if the shapes do not agree.
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let [batch, n_heads, _, d_head] = query.dims();
    let [_, _, seq_key, _] = key.dims();
    assert_shape!(key, [batch, n_heads, seq_key, d_head]);
    assert_shape!(value, [batch, n_heads, seq_key, d_head]);

    // Scaling the query touches seq·d_head numbers, scaling the scores seq·seq_key.
    let query = query.mul_scalar(1.0 / (d_head as f64).sqrt());
    let scores = query.matmul(key.transpose()); // [batch, n_heads, seq, seq_key]
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    softmax(scores, 3).matmul(value)
}

/// The bias that hides padded keys: 0 where a token is real, a large negative number where it is padding.
///
/// The number is finite, so that a row of padding alone still gives finite outputs (as in Hugging Face).
///
/// # Shapes
///
/// - `attention_mask`: `[batch, seq]`, 1 for a real token, 0 for padding
/// - output: `[batch, 1, 1, seq]`
pub fn padding_bias(attention_mask: Tensor<2>) -> Tensor<4> {
    // Far below every real score, yet its sum with one stays finite in f16 too.
    const HIDDEN: f64 = -3.0e4;
    let [batch, seq] = attention_mask.dims();
    attention_mask
        .sub_scalar(1.0)
        .mul_scalar(-HIDDEN)
        .reshape([batch, 1, 1, seq])
}
