//! Silu on Flex: vectorized by the compiler for the instruction set found at run time, on all threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;

use super::gated::{GatedSiluOps, composed_gated_silu, composed_gated_silu_backward};
use super::{SiluOps, composed_silu, composed_silu_backward};
use crate::flex::{SMALLEST_WEIGHT, exp, inlined, mapped, paired, vanishing};

impl SiluOps for Flex {
    fn fused_silu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_silu::<Self>(input);
        }
        mapped(input, inlined!(|x| x * sigmoid(x)))
    }

    fn fused_silu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_silu_backward::<Self>(input, grad);
        }
        paired(grad, &input, inlined!(|grad, x| grad * slope(x)))
    }
}

impl GatedSiluOps for Flex {
    fn fused_gated_silu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        if gate.dtype() != DType::F32 {
            return composed_gated_silu::<Self>(gate, up);
        }
        paired(gate, &up, inlined!(|gate, up| gate * sigmoid(gate) * up))
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
        let through_up = paired(up, &grad, inlined!(|up, grad| grad * up));
        let of_gate = paired(through_up, &gate, inlined!(|grad, gate| grad * slope(gate)));
        let of_up = paired(grad, &gate, inlined!(|grad, gate| grad * (gate * sigmoid(gate))));
        (of_gate, of_up)
    }
}

/// silu'(x).
#[inline(always)]
fn slope(x: f32) -> f32 {
    // 1 − σ(x) = σ(−x), without cancelling.
    sigmoid(x) * (1.0 + x * sigmoid(-x))
}

/// σ(x), by the exponential of −|x|, which cannot overflow.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let exponential = vanishing(exp(-x.abs()), SMALLEST_WEIGHT);
    let part = if x < 0.0 { exponential } else { 1.0 };
    part / (1.0 + exponential)
}
