//! Attention on Flex: one example and head at a time in the caches, heads read where the projections wrote them, and only keys that
//! are seen.

mod spans;

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use super::{AttentionOps, PackedRows, composed_attention, composed_attention_backward};
use crate::flex::{
    Matrix, Packed, Product, SMALLEST_WEIGHT, contiguous_mut, exp, for_rows, has_no_subnormal, inlined,
    largest, new_tensor, parts, sum_of, vanishing,
};
use spans::{QueryBlock, spans};

impl AttentionOps for Flex {
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
        rows: Option<PackedRows>,
    ) -> FloatTensor<Self> {
        if query.dtype() != DType::F32 {
            return composed_attention::<Self>(query, key, value, bias, scale, rows);
        }
        let inputs = Inputs::new([query, key, value], bias, scale);
        let [batch, n_heads, seq, d_head] = inputs.query.shape().dims();
        let examples = inputs.examples(rows.as_ref());
        // The layout of the projections, so that joining the heads copies nothing.
        let mut output = new_tensor([batch, seq, n_heads, d_head]);
        let width = n_heads * d_head;
        let lengths = examples.iter().map(|example| example.queries.len() * width);
        parts(contiguous_mut(&mut output), lengths)
            .into_par_iter()
            .zip(&examples)
            .for_each(|(output, example)| {
                let mut weights = vec![0.0; example.queries.len() * example.keys.len()];
                for (head, spans) in inputs.heads(example) {
                    let weights = inputs.weights(example, head, &spans, &mut weights);
                    let value = example.key_rows(&inputs.value, head / inputs.group());
                    for span in spans {
                        let out = &mut output[span.queries.start * width + head * d_head..];
                        multiply(span.of(weights), value.rows_in(&span.keys), out, width);
                    }
                }
            });
        output.transpose(1, 2)
    }

    fn fused_attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f64,
        rows: Option<PackedRows>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if query.dtype() != DType::F32 {
            return composed_attention_backward::<Self>(query, key, value, bias, grad, scale, rows);
        }
        let inputs = Inputs::new([query, key, value], bias, scale);
        let grad = with_contiguous_rows(grad);
        let [batch, n_heads, seq, d_head] = inputs.query.shape().dims();
        let examples = inputs.examples(rows.as_ref());
        let group = inputs.group();
        let n_key_heads = n_heads / group;
        let (width, key_width) = (n_heads * d_head, n_key_heads * d_head);
        let mut query_grad = new_tensor([batch, seq, n_heads, d_head]);
        let [mut key_grad, mut value_grad] =
            [0, 1].map(|_| new_tensor([batch, inputs.key.shape()[2], n_key_heads, d_head]));
        let queries = || examples.iter().map(|example| example.queries.len() * width);
        let keys = || examples.iter().map(|example| example.keys.len() * key_width);
        parts(contiguous_mut(&mut query_grad), queries())
            .into_par_iter()
            .zip(parts(contiguous_mut(&mut key_grad), keys()))
            .zip(parts(contiguous_mut(&mut value_grad), keys()))
            .zip(&examples)
            .for_each(|(((query_grad, key_grad), value_grad), example)| {
                let seq_key = example.keys.len();
                let mut weights = vec![0.0; example.queries.len() * seq_key];
                let mut scores_grad = weights.clone();
                for (head, spans) in inputs.heads(example) {
                    let (at, key_head) = (head * d_head, head / group);
                    let grad = example.query_rows(&grad, head);
                    let query = example.query_rows(&inputs.query, head);
                    let [value, key] = [&inputs.value, &inputs.key].map(|x| example.key_rows(x, key_head));
                    let weights = inputs.weights(example, head, &spans, &mut weights);
                    for span in &spans {
                        let grad = grad.rows_in(&span.queries);
                        let weights = span.of(weights);
                        let start = span.queries.start * seq_key + span.keys.start;
                        let value = value.rows_in(&span.keys);
                        multiply(grad, value.transposed(), &mut scores_grad[start..], seq_key);
                        through_softmax(&mut scores_grad, seq_key, span, weights, inputs.scale);
                        let scores_grad = Matrix::new(&scores_grad[start..], weights.dims(), seq_key);
                        let out = &mut query_grad[span.queries.start * width + at..];
                        multiply(scores_grad, key.rows_in(&span.keys), out, width);
                        // The first to write its place.
                        let is_alone = spans.len() == 1 && head.is_multiple_of(group);
                        let query = query.rows_in(&span.queries);
                        let start = span.keys.start * key_width + key_head * d_head;
                        for (left, right, out) in [
                            (weights, grad, &mut value_grad[start..]),
                            (scores_grad, query, &mut key_grad[start..]),
                        ] {
                            if is_alone {
                                multiply(left.transposed(), right, out, key_width);
                            } else {
                                add_product(left.transposed(), right, out, key_width);
                            }
                        }
                    }
                }
            });
        (
            query_grad.transpose(1, 2),
            key_grad.transpose(1, 2),
            value_grad.transpose(1, 2),
        )
    }
}

/// What both directions read.
struct Inputs {
    query: FloatTensor<Flex>,
    key: FloatTensor<Flex>,
    value: FloatTensor<Flex>,
    bias: FloatTensor<Flex>,
    scale: f32,
}

/// Tokens that attend to each other: where they lie in the tensors.
struct Example {
    /// On the first axis.
    batch: usize,
    /// On the third axis of the queries.
    queries: Range<usize>,
    /// On the third axis of keys and values.
    keys: Range<usize>,
}

impl Example {
    /// The queries of one head, or what belongs to them: `[queries, d_head]`.
    fn query_rows<'a>(&self, tensor: &'a FloatTensor<Flex>, head: usize) -> Matrix<'a> {
        head_of(tensor, self.batch, head).rows_in(&self.queries)
    }

    /// The keys of one head, or their values: `[keys, d_head]`.
    fn key_rows<'a>(&self, tensor: &'a FloatTensor<Flex>, head: usize) -> Matrix<'a> {
        head_of(tensor, self.batch, head).rows_in(&self.keys)
    }
}

impl QueryBlock {
    /// The part of a `[queries, keys]` matrix.
    fn of<'a>(&self, matrix: Matrix<'a>) -> Matrix<'a> {
        matrix.rows_in(&self.queries).columns_in(&self.keys)
    }
}

impl Inputs {
    fn new(inputs: [FloatTensor<Flex>; 3], bias: FloatTensor<Flex>, scale: f64) -> Self {
        let [query, key, value] = inputs.map(with_contiguous_rows);
        Self {
            query,
            key,
            value,
            bias: with_contiguous_rows(bias),
            scale: scale as f32,
        }
    }

    fn examples(&self, rows: Option<&PackedRows>) -> Vec<Example> {
        let [batch, _, seq, _] = self.query.shape().dims();
        let seq_key = self.key.shape()[2];
        match rows {
            None => (0..batch)
                .map(|batch| Example {
                    batch,
                    queries: 0..seq,
                    keys: 0..seq_key,
                })
                .collect(),
            Some(rows) => rows
                .ranges()
                .map(|[queries, keys]| Example {
                    batch: 0,
                    queries,
                    keys,
                })
                .collect(),
        }
    }

    /// Heads of queries that share a head of keys.
    fn group(&self) -> usize {
        self.query.shape()[1] / self.key.shape()[1]
    }

    /// The heads of an example, and what their queries see.
    fn heads(&self, example: &Example) -> impl Iterator<Item = (usize, Vec<QueryBlock>)> {
        let [_, n_heads, _, _] = self.query.shape().dims();
        let [_, of_heads, rows, _] = self.bias.shape().dims::<4>();
        let spans = move |head| {
            let bias = |query| self.bias(example, head, query);
            spans(example.queries.len(), example.keys.len(), rows, bias)
        };
        let shared = (of_heads == 1).then(|| spans(0));
        (0..n_heads).map(move |head| (head, shared.clone().unwrap_or_else(|| spans(head))))
    }

    /// The weights P of one head of one example, `[queries, keys]`, written into `buffer`; 0 outside of the spans.
    fn weights<'a>(
        &self,
        example: &Example,
        head: usize,
        spans: &[QueryBlock],
        buffer: &'a mut [f32],
    ) -> Matrix<'a> {
        let query = example.query_rows(&self.query, head);
        let key = example.key_rows(&self.key, head / self.group());
        let ([queries, _], [keys, _]) = (query.dims(), key.dims());
        for span in spans {
            let scores = &mut buffer[span.queries.start * keys..span.queries.end * keys];
            let seen = key.rows_in(&span.keys).transposed();
            multiply(
                query.rows_in(&span.queries),
                seen,
                &mut scores[span.keys.start..],
                keys,
            );
            for_rows(
                scores,
                keys,
                span.queries.len(),
                inlined!(|scores, row| {
                    let bias = match self.bias(example, head, span.queries.start + row) {
                        bias if bias.len() == 1 => bias,
                        bias => &bias[span.keys.clone()],
                    };
                    softmax(&mut scores[span.keys.clone()], self.scale, bias);
                }),
            );
        }
        Matrix::new(buffer, [queries, keys], keys)
    }

    /// The bias of a row of scores: one number for each key, or one for all.
    fn bias(&self, example: &Example, head: usize, row: usize) -> &[f32] {
        let bias = &self.bias;
        let shape: [usize; 4] = bias.shape().dims();
        let start: usize = [example.batch, head / self.group(), row]
            .into_iter()
            .zip(strides(bias))
            .zip(shape)
            .map(|((index, stride), size)| if size == 1 { 0 } else { index * stride })
            .sum();
        &bias.storage()[bias.layout().start_offset() + start..][..shape[3]]
    }
}

/// `softmax(scores · scale + bias)` of one row, in place.
#[inline(always)]
fn softmax(scores: &mut [f32], scale: f32, bias: &[f32]) {
    if let [bias] = bias {
        for score in scores.iter_mut() {
            *score = *score * scale + bias;
        }
    } else {
        for (score, bias) in scores.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
    }
    let largest = largest(scores);
    for score in scores.iter_mut() {
        *score = vanishing(exp(*score - largest), SMALLEST_WEIGHT);
    }
    let inverse = 1.0 / sum_of(scores, scores, inlined!(|score, _| score));
    for score in scores.iter_mut() {
        *score *= inverse;
    }
    debug_assert!(has_no_subnormal(scores), "a weight is subnormal");
}

/// Turns the gradients of a span's weights into those of its scores before the scale: `P ⊙ (dP − Σⱼ P dP) · scale`.
fn through_softmax(
    scores_grad: &mut [f32],
    seq_key: usize,
    span: &QueryBlock,
    weights: Matrix<'_>,
    scale: f32,
) {
    for_rows(
        &mut scores_grad[span.queries.start * seq_key..span.queries.end * seq_key],
        seq_key,
        span.queries.len(),
        inlined!(|grad, row| {
            let grad = &mut grad[span.keys.clone()];
            let weights = weights.line(row, 0, grad.len());
            let mean = sum_of(weights, grad, inlined!(|weight, grad| weight * grad));
            for (grad, weight) in grad.iter_mut().zip(weights) {
                *grad = vanishing(weight * (*grad - mean) * scale, f32::MIN_POSITIVE);
            }
            debug_assert!(has_no_subnormal(grad), "the gradient of a score is subnormal");
        }),
    );
}

/// `[seq, d_head]` of one head of one example.
fn head_of(tensor: &FloatTensor<Flex>, example: usize, head: usize) -> Matrix<'_> {
    let [_, _, seq, d_head] = tensor.shape().dims();
    let [batch_stride, head_stride, row_stride] = strides(tensor);
    let start = tensor.layout().start_offset() + example * batch_stride + head * head_stride;
    let row_stride = if seq == 1 { d_head } else { row_stride };
    Matrix::new(&tensor.storage()[start..], [seq, d_head], row_stride)
}

/// The strides of all axes but the last, of a tensor of [`with_contiguous_rows`].
fn strides(tensor: &FloatTensor<Flex>) -> [usize; 3] {
    let strides = tensor.layout().strides();
    [0, 1, 2].map(|axis| strides[axis].unsigned_abs())
}

/// Writes `left · right`.
fn multiply(left: Matrix<'_>, right: Matrix<'_>, output: &mut [f32], stride: usize) {
    let product = Product {
        left,
        right: &Packed::new(right),
        bias: None,
        base: None,
        branch: None,
    };
    product.write(output, stride);
}

/// Adds `left · right` to what stands in the output.
fn add_product(left: Matrix<'_>, right: Matrix<'_>, output: &mut [f32], stride: usize) {
    let ([rows, _], [_, cols]) = (left.dims(), right.dims());
    let mut product = vec![0.0; rows * cols];
    multiply(left, right, &mut product, cols);
    for (output, product) in output.chunks_mut(stride).zip(product.chunks_exact(cols.max(1))) {
        for (output, product) in output.iter_mut().zip(product) {
            *output += product;
        }
    }
}

/// The tensor as it is if the values of its last axis lie side by side and no stride runs backwards; else a copy.
fn with_contiguous_rows(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let shape = tensor.shape();
    let strides = tensor.layout().strides();
    let last = shape.num_dims() - 1;
    let fits = (shape[last] == 1 || strides[last] == 1)
        && strides.iter().all(|stride| *stride >= 0)
        && (shape[2] == 1 || strides[2] >= shape[last] as isize || last != 3);
    if fits { tensor } else { tensor.to_contiguous() }
}

#[cfg(test)]
mod tests;
