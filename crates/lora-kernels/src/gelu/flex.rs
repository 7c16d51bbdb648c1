//! Gelu on Flex: vectorized by the compiler for the instruction set found at run time, on all threads.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, ops::ActivationOps};
use burn::tensor::DType;

use super::{GeluOps, composed_gelu_backward};
use crate::flex::{SMALLEST_WEIGHT, exp, inlined, mapped, paired, vanishing};

/// 1/√(2π), the density of the standard normal at 0.
const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;

impl GeluOps for Flex {
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return Self::gelu(input);
        }
        mapped(input, inlined!(|x| x * normal_cdf(x).0))
    }

    fn fused_gelu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_gelu_backward::<Self>(input, grad);
        }
        paired(
            grad,
            &input,
            inlined!(|grad, x| {
                let (cdf, exponential) = normal_cdf(x);
                grad * (cdf + x * exponential * INVERSE_SQRT_TWO_PI)
            }),
        )
    }
}

/// Φ(x) and exp(−x²/2).
///
/// With z = |x|/√2 and t = 1/(1 + z/2), erfc(z) = t · exp(−z² + P(t)) with the Chebyshev fit P of Press et al.,
/// *Numerical Recipes*, 2nd ed., §6.2 (fractional error under 1.2e-7 for every z). Both tails end at |x| = 9.42, where the
/// exponential vanishes.
#[inline(always)]
fn normal_cdf(x: f32) -> (f32, f32) {
    // `min` also turns NaN into a number; the caller multiplies by x again.
    let z = (x.abs() * std::f32::consts::FRAC_1_SQRT_2).min(10.0);
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = 0.170_872_77_f32;
    let p = -0.822_152_2 + t * p;
    let p = 1.488_515_9 + t * p;
    let p = -1.135_204 + t * p;
    let p = 0.278_868_07 + t * p;
    let p = -0.186_288_06 + t * p;
    let p = 0.096_784_18 + t * p;
    let p = 0.374_091_96 + t * p;
    let p = 1.000_023_7 + t * p;
    let p = -1.265_512_2 + t * p;
    let exponential = vanishing(exp(-z * z), SMALLEST_WEIGHT);
    let tail = 0.5 * t * exponential * exp(p); // Φ(−|x|)
    (if x < 0.0 { tail } else { 1.0 - tail }, exponential)
}
