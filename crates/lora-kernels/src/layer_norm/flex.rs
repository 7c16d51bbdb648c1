//! Layer normalization on Flex: each row once through the first-level cache, on all threads.

use burn::backend::Flex;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{LayerNormOps, composed_layer_norm_backward};
use crate::flex::{changed, inlined, numbers, sum_of};

/// Rows that a thread takes at a time.
const ROWS: usize = 16;

impl LayerNormOps for Flex {
    fn fused_layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return Self::layer_norm(input, gamma, Some(beta), epsilon);
        }
        let [gamma, beta] = [gamma, beta].map(|tensor| tensor.to_contiguous());
        let (gamma, beta) = (numbers(&gamma), numbers(&beta));
        changed(
            input,
            gamma.len(),
            ROWS,
            inlined!(|row, _| {
                let (mean, inverse) = moments(row, epsilon);
                for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
                    *x = (*x - mean) * inverse * gamma + beta;
                }
            }),
        )
    }

    fn fused_layer_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_layer_norm_backward::<Self>(input, gamma, grad, epsilon);
        }
        let [input, gamma] = [input, gamma].map(|tensor| tensor.to_contiguous());
        let (input, gamma) = (numbers(&input), numbers(&gamma));
        let width = gamma.len();
        changed(
            grad,
            width,
            ROWS,
            inlined!(|grad, index| {
                let x = &input[index * width..][..width];
                let (mean, inverse) = moments(x, epsilon);
                for (grad, gamma) in grad.iter_mut().zip(gamma) {
                    *grad *= gamma;
                }
                let mean_grad = sum_of(grad, x, inlined!(|grad, _| grad)) / width as f32;
                let mean_product =
                    sum_of(grad, x, inlined!(|grad, x| grad * ((x - mean) * inverse))) / width as f32;
                for (grad, x) in grad.iter_mut().zip(x) {
                    *grad = (*grad - mean_grad - (x - mean) * inverse * mean_product) * inverse;
                }
            }),
        )
    }
}

/// Mean and 1/√(variance + epsilon), in two passes so that a large mean costs no precision.
#[inline(always)]
fn moments(row: &[f32], epsilon: f64) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum_of(row, row, inlined!(|x, _| x)) / count;
    let variance = sum_of(row, row, inlined!(|x, _| (x - mean) * (x - mean))) / count;
    (mean, 1.0 / (variance + epsilon as f32).sqrt())
}
