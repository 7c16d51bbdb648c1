//! Silu on Flex: vectorized by the compiler for the instruction set found at run time, on all threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::{SiluOps, composed_silu, composed_silu_backward};
use crate::flex::{CHUNK, SMALLEST_WEIGHT, changed, exp, numbers, vanishing};

impl SiluOps for Flex {
    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_silu::<Self>(input);
        }
        changed(
            input,
            CHUNK,
            1,
            #[inline(always)]
            |chunk, _| {
                for x in chunk {
                    *x *= sigmoid(*x);
                }
            },
        )
    }

    fn fused_silu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_silu_backward::<Self>(input, grad);
        }
        let input = input.to_contiguous();
        let x = numbers(&input);
        changed(
            grad,
            CHUNK,
            1,
            #[inline(always)]
            |chunk, index| {
                for (grad, x) in chunk.iter_mut().zip(&x[index * CHUNK..]) {
                    // 1 − σ(x) = σ(−x), without cancelling.
                    let slope = sigmoid(*x) * (1.0 + x * sigmoid(-x));
                    *grad = vanishing(*grad * slope, f32::MIN_POSITIVE);
                }
            },
        )
    }
}

/// σ(x), by the exponential of −|x|, which cannot overflow.
#[expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let exponential = vanishing(exp(-x.abs()), SMALLEST_WEIGHT);
    let part = if x < 0.0 { exponential } else { 1.0 };
    part / (1.0 + exponential)
}
