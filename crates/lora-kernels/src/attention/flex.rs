//! Attention on Flex: one example and head at a time in the caches, heads read where the projections wrote them.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use super::{AttentionOps, composed_attention, composed_attention_backward};
use crate::flex::{Matrix, Packed, Product, contiguous_mut, exp, for_rows, largest, new_tensor, sum_of};

impl AttentionOps for Flex {
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        if query.dtype() != DType::F32 {
            return composed_attention::<Self>(query, key, value, bias, scale);
        }
        let inputs = Inputs::new([query, key, value], bias, scale);
        let [batch, n_heads, seq, d_head] = inputs.query.shape().dims();
        // The layout of the projections, so that joining the heads copies nothing.
        let mut output = new_tensor([batch, seq, n_heads, d_head]);
        let width = n_heads * d_head;
        contiguous_mut(&mut output)
            .par_chunks_mut((seq * width).max(1))
            .enumerate()
            .for_each(|(example, output)| {
                let mut weights = vec![0.0; seq * inputs.seq_key()];
                for head in 0..n_heads {
                    let weights = inputs.weights(example, head, &mut weights);
                    let value = head_of(&inputs.value, example, head);
                    multiply(weights, value, &mut output[head * d_head..], width);
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if query.dtype() != DType::F32 {
            return composed_attention_backward::<Self>(query, key, value, bias, grad, scale);
        }
        let inputs = Inputs::new([query, key, value], bias, scale);
        let grad = with_contiguous_rows(grad);
        let [batch, n_heads, seq, d_head] = inputs.query.shape().dims();
        let seq_key = inputs.seq_key();
        let width = n_heads * d_head;
        let mut query_grad = new_tensor([batch, seq, n_heads, d_head]);
        let mut key_grad = new_tensor([batch, seq_key, n_heads, d_head]);
        let mut value_grad = new_tensor([batch, seq_key, n_heads, d_head]);
        contiguous_mut(&mut query_grad)
            .par_chunks_mut((seq * width).max(1))
            .zip(contiguous_mut(&mut key_grad).par_chunks_mut((seq_key * width).max(1)))
            .zip(contiguous_mut(&mut value_grad).par_chunks_mut((seq_key * width).max(1)))
            .enumerate()
            .for_each(|(example, ((query_grad, key_grad), value_grad))| {
                let mut weights = vec![0.0; seq * seq_key];
                let mut scores_grad = vec![0.0; seq * seq_key];
                for head in 0..n_heads {
                    let at = head * d_head;
                    let grad = head_of(&grad, example, head);
                    let value = head_of(&inputs.value, example, head);
                    let key = head_of(&inputs.key, example, head);
                    let query = head_of(&inputs.query, example, head);
                    let weights = inputs.weights(example, head, &mut weights);
                    multiply(weights.transposed(), grad, &mut value_grad[at..], width);
                    multiply(grad, value.transposed(), &mut scores_grad, seq_key);
                    for_rows(
                        &mut scores_grad,
                        seq_key,
                        seq,
                        #[inline(always)]
                        |grad, row| {
                            let weights = weights.line(row, 0, seq_key);
                            let mean = sum_of(
                                weights,
                                grad,
                                #[inline(always)]
                                |weight, grad| weight * grad,
                            );
                            for (grad, weight) in grad.iter_mut().zip(weights) {
                                *grad = weight * (*grad - mean) * inputs.scale;
                            }
                        },
                    );
                    let scores_grad = Matrix::new(&scores_grad, [seq, seq_key], seq_key);
                    multiply(scores_grad, key, &mut query_grad[at..], width);
                    multiply(scores_grad.transposed(), query, &mut key_grad[at..], width);
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

    fn seq_key(&self) -> usize {
        self.key.shape()[2]
    }

    /// The weights P of one head of one example, `[seq, seq_key]`, written into `buffer`.
    fn weights<'a>(&self, example: usize, head: usize, buffer: &'a mut [f32]) -> Matrix<'a> {
        let query = head_of(&self.query, example, head);
        let key = head_of(&self.key, example, head);
        let ([seq, _], [seq_key, _]) = (query.dims(), key.dims());
        multiply(query, key.transposed(), buffer, seq_key);
        for_rows(
            buffer,
            seq_key,
            seq,
            #[inline(always)]
            |scores, row| {
                match self.bias(example, head, row) {
                    &[bias] => scores
                        .iter_mut()
                        .for_each(|score| *score = *score * self.scale + bias),
                    bias => {
                        for (score, bias) in scores.iter_mut().zip(bias) {
                            *score = *score * self.scale + bias;
                        }
                    }
                }
                let largest = largest(scores);
                for score in scores.iter_mut() {
                    *score = exp(*score - largest);
                }
                let inverse = 1.0
                    / sum_of(
                        scores,
                        scores,
                        #[inline(always)]
                        |score, _| score,
                    );
                for score in scores.iter_mut() {
                    *score *= inverse;
                }
            },
        );
        Matrix::new(buffer, [seq, seq_key], seq_key)
    }

    /// The bias of a row of scores: one number for each key, or one for all.
    fn bias(&self, example: usize, head: usize, row: usize) -> &[f32] {
        let bias = &self.bias;
        let shape: [usize; 4] = bias.shape().dims();
        let start: usize = [example, head, row]
            .into_iter()
            .zip(strides(bias))
            .zip(shape)
            .map(|((index, stride), size)| if size == 1 { 0 } else { index * stride })
            .sum();
        &bias.storage()[bias.layout().start_offset() + start..][..shape[3]]
    }
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

/// The tensor as it is if the numbers of its last axis lie side by side and no stride runs backwards; else a copy.
fn with_contiguous_rows(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let shape = tensor.shape();
    let strides = tensor.layout().strides();
    let last = shape.num_dims() - 1;
    let fits = (shape[last] == 1 || strides[last] == 1)
        && strides.iter().all(|stride| *stride >= 0)
        && (shape[2] == 1 || strides[2] >= shape[last] as isize || last != 3);
    if fits { tensor } else { tensor.to_contiguous() }
}
