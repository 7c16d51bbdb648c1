//! Root mean square normalization on Flex: each row once through the first-level cache, on all threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{RmsNormOps, composed_rms_norm, composed_rms_norm_backward};
use crate::flex::{changed, inlined, numbers, sum_of, vanishing};

/// Rows that a thread takes at a time.
const ROWS: usize = 16;

impl RmsNormOps for Flex {
    fn fused_rms_norm(input: FloatTensor<Self>, gamma: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_rms_norm::<Self>(input, gamma, epsilon);
        }
        let gamma = gamma.to_contiguous();
        let gamma = numbers(&gamma);
        changed(
            input,
            gamma.len(),
            ROWS,
            inlined!(|row, _| {
                let inverse = inverse_root(row, epsilon);
                for (x, gamma) in row.iter_mut().zip(gamma) {
                    *x = *x * inverse * gamma;
                }
            }),
        )
    }

    fn fused_rms_norm_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_rms_norm_backward::<Self>(input, gamma, grad, epsilon);
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
                let inverse = inverse_root(x, epsilon);
                for (grad, gamma) in grad.iter_mut().zip(gamma) {
                    *grad *= gamma;
                }
                let mean = sum_of(grad, x, inlined!(|grad, x| grad * (x * inverse))) / width as f32;
                for (grad, x) in grad.iter_mut().zip(x) {
                    *grad = vanishing((*grad - x * inverse * mean) * inverse, f32::MIN_POSITIVE);
                }
            }),
        )
    }
}

/// `1 / √(mean(x²) + epsilon)`.
#[inline(always)]
fn inverse_root(row: &[f32], epsilon: f64) -> f32 {
    let square = sum_of(row, row, inlined!(|x, _| x * x));
    1.0 / (square / row.len() as f32 + epsilon as f32).sqrt()
}
