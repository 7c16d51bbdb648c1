//! Silu on Flex: vectorized by the compiler for the instruction set found at run time, on all threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::gated::{GatedSiluOps, composed_gated_silu, composed_gated_silu_backward};
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
                    *grad = vanishing(*grad * slope(*x), f32::MIN_POSITIVE);
                }
            },
        )
    }
}

impl GatedSiluOps for Flex {
    fn fused_gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        if gate.dtype() != DType::F32 {
            return composed_gated_silu::<Self>(gate, up);
        }
        let up = up.to_contiguous();
        times(
            gate,
            &up,
            #[inline(always)]
            |gate, up| gate * sigmoid(gate) * up,
        )
    }

    fn fused_gated_silu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if gate.dtype() != DType::F32 {
            return composed_gated_silu_backward::<Self>(gate, up, grad);
        }
        let gate = gate.to_contiguous();
        let through_up = times(
            up,
            &grad.to_contiguous(),
            #[inline(always)]
            |up, grad| grad * up,
        );
        let of_gate = times(
            through_up,
            &gate,
            #[inline(always)]
            |grad, gate| grad * slope(gate),
        );
        let of_up = times(
            grad,
            &gate,
            #[inline(always)]
            |grad, gate| grad * (gate * sigmoid(gate)),
        );
        (of_gate, of_up)
    }
}

/// The first with `f` of both in the place of each number.
fn times(
    first: FloatTensor<Flex>,
    second: &FloatTensor<Flex>,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> FloatTensor<Flex> {
    let second = numbers(second);
    changed(
        first,
        CHUNK,
        1,
        #[inline(always)]
        |chunk, index| {
            for (first, second) in chunk.iter_mut().zip(&second[index * CHUNK..]) {
                *first = vanishing(f(*first, *second), f32::MIN_POSITIVE);
            }
        },
    )
}

/// silu'(x).
#[expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]
#[inline(always)]
fn slope(x: f32) -> f32 {
    // 1 − σ(x) = σ(−x), without cancelling.
    sigmoid(x) * (1.0 + x * sigmoid(-x))
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
