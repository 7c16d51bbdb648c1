//! Gelu on Flex: vectorized by the compiler for the instruction set found at run time, on all threads.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, ops::ActivationOps};
use burn::tensor::DType;
use rayon::prelude::*;

use super::GeluOps;

/// 1/√(2π), the density of the standard normal at 0.
const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;

/// Numbers a thread takes at a time: 16 KiB, so that input and output stay in its first-level cache.
const CHUNK: usize = 4096;

impl GeluOps for Flex {
    fn fused_gelu(input: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return Self::gelu(input);
        }
        let mut output = input.to_contiguous();
        drop(input);
        // In place where nobody else holds the input; otherwise this copies, as a fresh output would be written.
        for_chunks(contiguous_mut(&mut output), |chunk, _| {
            for x in chunk {
                *x *= normal_cdf(*x).0;
            }
        });
        output
    }

    fn fused_gelu_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return Self::gelu_backward(input, grad);
        }
        let input = input.to_contiguous();
        let x = input
            .as_slice::<f32>()
            .expect("a contiguous f32 tensor is a slice");
        let mut output = grad.to_contiguous();
        drop(grad);
        for_chunks(contiguous_mut(&mut output), |chunk, start| {
            for (grad, x) in chunk.iter_mut().zip(&x[start..]) {
                let (cdf, exponential) = normal_cdf(*x);
                *grad *= cdf + x * exponential * INVERSE_SQRT_TWO_PI;
            }
        });
        output
    }
}

/// The numbers of a contiguous tensor, which may be a part of a larger storage; copied first if they are shared.
fn contiguous_mut(tensor: &mut FloatTensor<Flex>) -> &mut [f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous");
    &mut tensor.storage_mut::<f32>()[start..end]
}

/// Runs `body` on chunks of `values` and the index each starts at, in parallel and with the widest vectors there are.
fn for_chunks(values: &mut [f32], body: impl Fn(&mut [f32], usize) + Sync) {
    let arch = pulp::Arch::new();
    let run = |(index, chunk): (usize, &mut [f32])| {
        arch.dispatch(
            #[inline(always)]
            || body(chunk, index * CHUNK),
        );
    };
    if values.len() <= CHUNK {
        run((0, values));
    } else {
        values.par_chunks_mut(CHUNK).enumerate().for_each(run);
    }
}

/// Φ(x) and exp(−x²/2).
///
/// With z = |x|/√2 and t = 1/(1 + z/2), erfc(z) = t · exp(−z² + P(t)) with the Chebyshev fit P of Press et al.,
/// *Numerical Recipes*, 2nd ed., §6.2 (fractional error under 1.2e-7 for every z).
#[expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]
#[inline(always)]
fn normal_cdf(x: f32) -> (f32, f32) {
    // Beyond |x| = 14 the tail is zero in f32. `min` also turns NaN into a number; the caller multiplies by x again.
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
    let exponential = exp(-z * z);
    let tail = 0.5 * t * exponential * exp(p); // Φ(−|x|)
    (if x < 0.0 { tail } else { 1.0 - tail }, exponential)
}

/// exp(x) for −126 ln 2 < x < 127 ln 2, with a relative error under 2e-7; smaller x give a number near 1e-38, never NaN.
///
/// x = k ln 2 + r, exp(x) = 2^k exp(r), and exp(r) by its Taylor polynomial on |r| ≤ ln 2 / 2.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest whole number in the low bits: no conversion instruction is needed.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    // ln 2 in two parts: the first has few bits, so that k times it is exact.
    let r = (x - k * 0.693_359_4) + k * 2.121_944_4e-4;
    let p = 1.0 / 5040.0;
    let p = 1.0 / 720.0 + r * p;
    let p = 1.0 / 120.0 + r * p;
    let p = 1.0 / 24.0 + r * p;
    let p = 1.0 / 6.0 + r * p;
    let p = 0.5 + r * p;
    let p = 1.0 + r * p;
    let p = 1.0 + r * p;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    p * power
}
