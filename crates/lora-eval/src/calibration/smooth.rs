//! Smooth calibration error: a kernel in the place of bins.
#![expect(clippy::cast_sign_loss, reason = "places and bandwidths are above 0")]

use crate::EvalError;
use crate::checks::refuse_empty;

/// Points at which the smoothed residual is summed up, at least.
const MESH: usize = 200;
/// Cells between 0 and 1 that confidences are shared out to, at least.
const CELLS: usize = 1000;
/// Halvings in the search for the bandwidth.
const HALVINGS: u32 = 10;
/// Bandwidths below this are not told apart.
const SMALLEST_BANDWIDTH: f64 = 1e-3;
/// Where the kernel ends.
const REACH: f64 = 0.5;

/// Smooth expected calibration error of `examples`, each a confidence and whether its class is right (Błasiok & Nakkiran 2023,
/// [2309.12236](https://arxiv.org/abs/2309.12236)).
///
/// ```text
/// r_σ(t) = Σ_i K_σ(t, f_i) (f_i − y_i)       smECE_σ = ∫ |r_σ(t)| dt / ∫ Σ_i K_σ(t, f_i) dt
/// ```
///
/// K is a Gaussian that is reflected at 0 and 1, and cut at a distance of one half. σ is where it equals the error itself, found by ten
/// halvings from 1: wide where the error is large, narrow where there is little. There are no bins, so no edge that a confidence could
/// jump over. As its authors' `relplot` computes it, with sums on a grid.
pub(super) fn smooth_ece(examples: &[(f64, bool)]) -> Result<f64, EvalError> {
    refuse_empty("the smooth calibration error", examples.is_empty())?;
    // Sorted, so that rounding doesn't depend on the order of the examples.
    let mut sorted = examples.to_vec();
    sorted.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    let is_below =
        |bandwidth: f64| bandwidth < SMALLEST_BANDWIDTH || bandwidth < at_bandwidth(&sorted, bandwidth);
    let (mut above, mut below) = (1.0, 0.0);
    if !is_below(above) {
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(above, below);
            if is_below(middle) {
                below = middle;
            } else {
                above = middle;
            }
        }
    }
    Ok(at_bandwidth(&sorted, above))
}

/// The error at one bandwidth.
fn at_bandwidth(examples: &[(f64, bool)], bandwidth: f64) -> f64 {
    let cells = CELLS.max((20.0 / bandwidth).round() as usize / 2);
    // Each example is shared out to the two grid points around it, by its distance.
    let (mut residuals, mut weights) = (vec![0.0; cells + 1], vec![0.0; cells + 1]);
    for (confidence, is_right) in examples {
        let place = confidence * cells as f64;
        let left = (place as usize).min(cells - 1);
        let share = place - left as f64;
        let residual = confidence - f64::from(u8::from(*is_right));
        for (point, share) in [(left, 1.0 - share), (left + 1, share)] {
            residuals[point] += share * residual;
            weights[point] += share;
        }
    }
    let mesh = MESH.max((10.0 / bandwidth).round() as usize);
    let kernel = Kernel::new(bandwidth, cells);
    let (mut error, mut mass) = (0.0, 0.0);
    let [residuals, weights] = [residuals, weights].map(|values| kernel.smooth(&values));
    for point in 0..mesh {
        let place = point as f64 / (mesh - 1) as f64;
        error += between(&residuals, place).abs();
        mass += between(&weights, place);
    }
    error / mass
}

/// A Gaussian on the grid, by distance in cells. A constant factor would cancel.
struct Kernel {
    heights: Vec<f64>,
}

impl Kernel {
    fn new(bandwidth: f64, cells: usize) -> Self {
        let height = |distance: usize| (-0.5 * (distance as f64 / cells as f64 / bandwidth).powi(2)).exp();
        let end = (REACH * cells as f64) as usize;
        // What lies ten deviations off is nothing.
        let reach = end.min((10.0 * bandwidth * cells as f64).ceil() as usize);
        Self {
            heights: (0..=reach).map(height).collect(),
        }
    }

    /// The sum of the kernel times the values, reflected at both ends, at each grid point.
    fn smooth(&self, values: &[f64]) -> Vec<f64> {
        let (last, reach) = (values.len() - 1, self.heights.len() - 1);
        // Beyond an end the values come back; the end itself stands once.
        let before = (1..=reach).rev().map(|place| values[place]);
        let behind = (1..=reach).map(|distance| values[last - distance]);
        let padded: Vec<f64> = before.chain(values.iter().copied()).chain(behind).collect();
        let mut sums = vec![0.0; values.len()];
        for (distance, height) in self.heights.iter().enumerate().skip(1) {
            let (left, right) = (&padded[reach - distance..], &padded[reach + distance..]);
            for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
                *sum += height * (left + right);
            }
        }
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += self.heights[0] * value;
        }
        sums
    }
}

/// A value between grid points, on a line; `place` from 0 to 1.
fn between(values: &[f64], place: f64) -> f64 {
    let cells = values.len() - 1;
    let left = ((place * cells as f64) as usize).min(cells - 1);
    let share = place * cells as f64 - left as f64;
    values[left] * (1.0 - share) + values[left + 1] * share
}
