//! Loops over values that the compiler turns into vectors of the instruction set found at run time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::chunks::computed_in_chunks;

/// Values a thread takes at a time: 16 KiB, so that input and output stay in its first-level cache.
pub(crate) const CHUNK: usize = 4096;

/// Sums are kept in so many parts, which vectors of any width divide; so their order is the same on every machine.
const LANES: usize = 16;

/// Runs `body`, which must be `#[inline(always)]`, on rows of `width` values and the index of each, `rows_per_task` at a time on one
/// thread.
pub(crate) fn for_rows(
    values: &mut [f32],
    width: usize,
    rows_per_task: usize,
    body: impl Fn(&mut [f32], usize) + Sync,
) {
    let (task_len, run) = rows_of_tasks(width, rows_per_task, body);
    if values.len() <= task_len {
        run(0, values);
    } else {
        let tasks = values.par_chunks_mut(task_len).enumerate();
        tasks.for_each(|(task, values)| run(task, values));
    }
}

/// The same on `len` new values, which are zero before.
pub(crate) fn new_rows(
    len: usize,
    width: usize,
    rows_per_task: usize,
    body: impl Fn(&mut [f32], usize) + Sync,
) -> Vec<f32> {
    let (task_len, run) = rows_of_tasks(width, rows_per_task, body);
    computed_in_chunks(len, task_len, run)
}

/// The values of a task, and what runs the task of this number on them.
fn rows_of_tasks(
    width: usize,
    rows_per_task: usize,
    body: impl Fn(&mut [f32], usize) + Sync,
) -> (usize, impl Fn(usize, &mut [f32]) + Sync) {
    let arch = Arch::new();
    let (width, rows_per_task) = (width.max(1), rows_per_task.max(1));
    let run = move |task: usize, values: &mut [f32]| {
        arch.dispatch(Rows {
            values,
            width,
            first: task * rows_per_task,
            body: &body,
        });
    };
    (width * rows_per_task, run)
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

/// Σ f(xᵢ, yᵢ). A number's place alone decides in which part it is summed, so terms of 0 at the end change no bit.
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
    for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum += f(*x, *y);
    }
    sums.iter().sum()
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

/// An exponential below 2⁻⁶⁴ is taken for 0. It is a weight beside others up to 1, to which it can add nothing in f32; and what
/// it multiplies could be too small for a normal number.
///
/// f32 holds values below 2⁻¹²⁶ too, called subnormal, with ever fewer digits. Many processors take a hundred times longer for
/// each of them, so kernels let values vanish before they become subnormal.
pub(crate) const SMALLEST_WEIGHT: f32 = 1.0 / (1_u64 << 63) as f32 / 2.0;

/// The number, or 0 in the place of one that is smaller than `smallest`; NaN stays NaN.
#[inline(always)]
pub(crate) fn vanishing(x: f32, smallest: f32) -> f32 {
    if x.abs() < smallest { 0.0 } else { x }
}

/// Whether no number is subnormal.
#[inline(always)]
pub(crate) fn has_no_subnormal(numbers: &[f32]) -> bool {
    !numbers.iter().any(|number| number.is_subnormal())
}

/// exp(x) for ln 2⁻¹²⁶ < x < 127 ln 2, with a relative error under 2e-7. Below it is exactly 0, where exp(x) would be subnormal;
/// NaN gives NaN.
///
/// x = k ln 2 + r, exp(x) = 2^k exp(r), and exp(r) by its Taylor polynomial on |r| ≤ ln 2 / 2.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest whole number in the low bits: no conversion instruction is needed.
    const ROUND: f32 = 12_582_912.0;
    /// The smallest f32 above ln 2⁻¹²⁶ = −87.336544…
    const LOWEST: f32 = -87.336_54;
    let vanishes = x < LOWEST;
    // Not `max`, which would turn NaN into a number.
    let x = if vanishes { LOWEST } else { x };
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
    if vanishes { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_two_ten_millionths_and_zero_where_it_would_be_subnormal() {
        // Every 64th f32 from −128 to −2⁻³⁰ and from 2⁻³⁰ to 88, against f64.
        let bits = |x: f32| x.to_bits();
        let negative = (bits(-2_f32.powi(-30))..bits(-128.0)).step_by(64);
        let positive = (bits(2_f32.powi(-30))..bits(88.0)).step_by(64);
        for x in negative.chain(positive).map(f32::from_bits) {
            let (found, exact) = (exp(x), f64::from(x).exp());
            if exact < f64::from(f32::MIN_POSITIVE) {
                assert!(found == 0.0, "exp({x}) is {found}");
            } else {
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(
                    error < 2e-7 && found.is_normal(),
                    "exp({x}) is {found}, not {exact}"
                );
            }
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_sum_does_not_depend_on_zeros_behind_its_terms() {
        let terms: Vec<f32> = (1..40_u16).map(|term| (f32::from(term) * 1.7).sin()).collect();
        for len in 0..terms.len() {
            let mut padded = terms[..len].to_vec();
            let sum = |x: &[f32]| sum_of(x, x, |x, _| x);
            let alone = sum(&padded);
            for zeros in 1..40 {
                padded.resize(len + zeros, 0.0);
                assert_eq!(sum(&padded).to_bits(), alone.to_bits());
            }
        }
    }
}
