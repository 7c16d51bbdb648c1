//! Loops over numbers that the compiler turns into vectors of the instruction set found at run time.

#![expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers a thread takes at a time: 16 KiB, so that input and output stay in its first-level cache.
pub(crate) const CHUNK: usize = 4096;

/// Sums are kept in so many parts, which vectors of any width divide; so their order is the same on every machine.
const LANES: usize = 16;

/// Runs `body`, which must be `#[inline(always)]`, on rows of `width` numbers and the index of each, `rows_per_task` at a time on one thread.
pub(crate) fn for_rows(
    values: &mut [f32],
    width: usize,
    rows_per_task: usize,
    body: impl Fn(&mut [f32], usize) + Sync,
) {
    let arch = Arch::new();
    let width = width.max(1);
    let task_len = width * rows_per_task.max(1);
    let run = |(task, values): (usize, &mut [f32])| {
        arch.dispatch(Rows {
            values,
            width,
            first: task * rows_per_task,
            body: &body,
        });
    };
    if values.len() <= task_len {
        run((0, values));
    } else {
        values.par_chunks_mut(task_len).enumerate().for_each(run);
    }
}

/// Rows of one task. A struct and not a closure: the compiler wraps a closure that is called once in a function that it
/// need not inline, and then compiles for the oldest instruction set.
struct Rows<'a, F> {
    values: &'a mut [f32],
    width: usize,
    first: usize,
    body: &'a F,
}

impl<F: Fn(&mut [f32], usize)> WithSimd for Rows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, values) in self.values.chunks_mut(self.width).enumerate() {
            (self.body)(values, self.first + row);
        }
    }
}

/// Σ f(xᵢ, yᵢ).
#[inline(always)]
pub(crate) fn sum_of(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (x_lanes, x_rest) = x.as_chunks::<LANES>();
    let (y_lanes, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_lanes.iter().zip(y_lanes) {
        for lane in 0..LANES {
            sums[lane] += f(x[lane], y[lane]);
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| f(*x, *y)).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest number that is not NaN.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; LANES];
    let (lanes, rest) = x.as_chunks::<LANES>();
    for x in lanes {
        for lane in 0..LANES {
            maxima[lane] = larger(maxima[lane], x[lane]);
        }
    }
    maxima.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// exp(x) for −126 ln 2 < x < 127 ln 2, with a relative error under 2e-7; smaller x give a number near 1e-38, NaN gives NaN.
///
/// x = k ln 2 + r, exp(x) = 2^k exp(r), and exp(r) by its Taylor polynomial on |r| ≤ ln 2 / 2.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest whole number in the low bits: no conversion instruction is needed.
    const ROUND: f32 = 12_582_912.0;
    // Not `max`, which would turn NaN into a number.
    let x = if x < -87.0 { -87.0 } else { x };
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
