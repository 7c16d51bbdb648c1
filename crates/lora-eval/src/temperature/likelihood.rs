//! The loss that temperature scaling minimizes, its derivatives, and the way down.

use std::ops::Add;

use crate::softmax::{softmax, top_class};
use crate::{Average, Predictions};

/// `|d NLL / d ln T|` below which the minimum counts as found, in nats.
pub(super) const STATIONARY: f64 = 1e-13;
/// Newton needs about five; bisection alone would need about fifty.
const MAXIMUM_ITERATIONS: u32 = 200;

/// The loss at one temperature, and its first two derivatives by `ln T`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) log_temperature: f64,
    pub(super) nll: f64,
    pub(super) slope: f64,
    curvature: f64,
}

/// Logits and labels of all examples, in double precision.
pub(super) struct LabelledLogits<'a> {
    /// `[members, examples, classes]`
    logits: Vec<f64>,
    members: usize,
    classes: usize,
    labels: &'a [usize],
}

/// What one example adds to the loss at one temperature.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowPoint {
    /// `ln p_y`
    pub(super) log_likelihood: f64,
    /// `d ln p_y / d ln T`
    pub(super) slope: f64,
    curvature: f64,
}

impl Add for RowPoint {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            log_likelihood: self.log_likelihood + other.log_likelihood,
            slope: self.slope + other.slope,
            curvature: self.curvature + other.curvature,
        }
    }
}

impl<'a> LabelledLogits<'a> {
    /// By how much, at most, another class is above the label in a member's logits.
    pub(super) fn largest_lead(&self) -> f64 {
        let rows = self
            .logits
            .chunks_exact(self.classes)
            .zip(self.labels.iter().cycle());
        let lead = |(logits, label): (&[f64], &usize)| {
            logits.iter().copied().fold(f64::NEG_INFINITY, f64::max) - logits[*label]
        };
        rows.map(lead).fold(0.0, f64::max)
    }

    pub(super) fn new(predictions: &Predictions, labels: &'a [usize], average: Average) -> Self {
        let logits: Vec<f64> = predictions
            .logits()
            .iter()
            .map(|logit| f64::from(*logit))
            .collect();
        let (members, classes) = (predictions.members(), predictions.classes());
        match average {
            Average::Probabilities => Self {
                logits,
                members,
                classes,
                labels,
            },
            // The softmax of the mean logits is a single model with those logits.
            Average::Logits => {
                let mut mean = vec![0.0; labels.len() * classes];
                for member in logits.chunks_exact(mean.len()) {
                    mean.iter_mut()
                        .zip(member)
                        .for_each(|(mean, logit)| *mean += logit / members as f64);
                }
                Self {
                    logits: mean,
                    members: 1,
                    classes,
                    labels,
                }
            }
        }
    }

    pub(super) fn examples(&self) -> usize {
        self.labels.len()
    }

    /// What one example adds.
    ///
    /// With β = 1/T: `ln p_m = β z_y − ln Σ_c exp(β z_c)`. Let `d_m` and `v_m` be the mean and the variance of `z_c − z_y` under
    /// member m. Then `d ln p_m / d ln T = β d_m` and `d² ln p_m / d(ln T)² = −β d_m − β² v_m`. The ensemble's
    /// `ln (1/M Σ_m p_m)` weighs the members by `w_m ∝ p_m`: the slope is `Σ w_m s_m`, the curvature
    /// `Σ w_m (c_m + s_m²) − (Σ w_m s_m)²`.
    pub(super) fn row(&self, example: usize, log_temperature: f64) -> RowPoint {
        let label = self.labels[example];
        let beta = (-log_temperature).exp();
        let of_member = |member: usize| log_probability(self.logits(member, example), label, beta);
        if self.members == 1 {
            let (log_likelihood, slope, curvature) = of_member(0);
            return RowPoint {
                log_likelihood,
                slope,
                curvature,
            };
        }
        let members: Vec<_> = (0..self.members).map(of_member).collect();
        let largest = members
            .iter()
            .map(|member| member.0)
            .fold(f64::NEG_INFINITY, f64::max);
        let (mut weights, mut slope, mut second) = (0.0, 0.0, 0.0);
        for (log_p, slope_m, curvature_m) in members {
            let weight = (log_p - largest).exp();
            weights += weight;
            slope += weight * slope_m;
            second += weight * (curvature_m + slope_m * slope_m);
        }
        slope /= weights;
        RowPoint {
            log_likelihood: largest + (weights / self.members as f64).ln(),
            slope,
            curvature: second / weights - slope * slope,
        }
    }

    /// The variance of an example's slope at temperature 1, were its label drawn from the predicted probabilities: `Σ_y (d p_y)² / p_y`
    /// with `d p_y = d p_y / d ln T = 1/M Σ_m p_m,y (Σ_c p_m,c z_m,c − z_m,y)`. The mean of the slope is then 0, whatever the logits.
    pub(super) fn slope_variance(&self, example: usize) -> f64 {
        let mut probabilities = vec![0.0; self.classes];
        let mut changes = vec![0.0; self.classes];
        for member in 0..self.members {
            let logits = self.logits(member, example);
            let of_member = softmax(logits);
            let mean: f64 = of_member.iter().zip(logits).map(|(p, logit)| p * logit).sum();
            for (class, (p, logit)) in of_member.iter().zip(logits).enumerate() {
                probabilities[class] += p / self.members as f64;
                changes[class] += p * (mean - logit) / self.members as f64;
            }
        }
        let classes = probabilities.iter().zip(&changes).filter(|(p, _)| **p > 0.0);
        classes.map(|(p, change)| change * change / p).sum()
    }

    /// Whether the largest averaged probability is that of the label.
    pub(super) fn is_right(&self, example: usize) -> bool {
        let mut sums = vec![0.0; self.classes];
        for member in 0..self.members {
            let probabilities = softmax(self.logits(member, example));
            sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
        }
        top_class(&sums) == self.labels[example]
    }

    fn logits(&self, member: usize, example: usize) -> &[f64] {
        &self.logits[(member * self.labels.len() + example) * self.classes..][..self.classes]
    }
}

/// The mean negative log-likelihood of some examples as a function of `ln T`, with a normal prior on `ln T` if wanted.
pub(super) struct Likelihood<'a> {
    observed: &'a LabelledLogits<'a>,
    rows: Vec<usize>,
    /// Precision of the prior around `T = 1`; 0 for none.
    precision: f64,
}

impl<'a> Likelihood<'a> {
    /// Of these examples. `precision` is the inverse variance of the prior of `ln T`, whose mean is 0.
    pub(super) fn new(observed: &'a LabelledLogits<'a>, rows: Vec<usize>, precision: f64) -> Self {
        Self {
            observed,
            rows,
            precision,
        }
    }

    /// Loss and derivatives. The prior adds `precision (ln T)² / 2`, divided by the number of examples as their sum is.
    pub(super) fn at(&self, log_temperature: f64) -> Point {
        let rows = self.rows.iter();
        let sum = rows
            .map(|row| self.observed.row(*row, log_temperature))
            .fold(RowPoint::default(), RowPoint::add);
        let n = self.rows.len() as f64;
        let precision = self.precision / n;
        // `0 − x`: a loss of nothing is 0, not −0.
        Point {
            log_temperature,
            nll: 0.0 - sum.log_likelihood / n + precision * log_temperature * log_temperature / 2.0,
            slope: 0.0 - sum.slope / n + precision * log_temperature,
            curvature: 0.0 - sum.curvature / n + precision,
        }
    }

    /// A minimum between `falling` and `rising`, in either order of temperature.
    ///
    /// Kept true throughout: at `falling` the loss falls towards `rising`, and at `rising` it rises again or isn't below `falling`.
    /// So a minimum not above `falling` lies between them, also where the loss has more than one valley.
    pub(super) fn descend(&self, mut falling: Point, mut rising: Point) -> (Point, u32) {
        let direction = (rising.log_temperature - falling.log_temperature).signum();
        let mut point = falling;
        for iteration in 1..=MAXIMUM_ITERATIONS {
            let (from, to) = (falling.log_temperature, rising.log_temperature);
            let newton = point.log_temperature - point.slope / point.curvature;
            let inside = (newton - from) * direction > 0.0 && (to - newton) * direction > 0.0;
            // Far away Newton may creep: until it has all but arrived, every second step halves the bracket.
            let arriving = (newton - point.log_temperature).abs() < 1e-3;
            let use_newton = inside && point.curvature > 0.0 && (arriving || iteration % 2 == 1);
            let next = if use_newton {
                newton
            } else {
                f64::midpoint(from, to)
            };
            if (next - from).abs() <= f64::EPSILON || (to - next).abs() <= f64::EPSILON {
                return (point, iteration);
            }
            point = self.at(next);
            if point.slope.abs() <= STATIONARY {
                return (point, iteration);
            }
            if point.slope * direction < 0.0 && point.nll < falling.nll {
                falling = point;
            } else {
                rising = point;
            }
        }
        (point, MAXIMUM_ITERATIONS)
    }
}

/// `ln p_y` of one row `[classes]` at inverse temperature `beta`, and its first two derivatives by `ln T`.
fn log_probability(logits: &[f64], label: usize, beta: f64) -> (f64, f64, f64) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
    for logit in logits {
        let weight = (beta * (logit - largest)).exp();
        let difference = logit - logits[label];
        sum += weight;
        mean += weight * difference;
        square += weight * difference * difference;
    }
    mean /= sum;
    let variance = square / sum - mean * mean;
    (
        beta * (logits[label] - largest) - sum.ln(),
        beta * mean,
        -beta * mean - beta * beta * variance,
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slope_and_curvature_are_the_derivatives_of_loss_and_slope(
            logits in prop::collection::vec(-3.0_f32..3.0, 3 * 4 * 5),
            labels in prop::collection::vec(0_usize..5, 4),
            log_temperature in -0.5_f64..1.5,
            precision in 0.0_f64..9.0,
        ) {
            let predictions = Predictions::new(3, 4, 5, logits).unwrap();
            let observed = LabelledLogits::new(&predictions, &labels, Average::Probabilities);
            let likelihood = Likelihood::new(&observed, (0..4).collect(), precision);
            let h = 1e-5;
            let (below, above) = (likelihood.at(log_temperature - h), likelihood.at(log_temperature + h));
            let point = likelihood.at(log_temperature);
            // Central differences are off by h² times the third derivative and by 1e-16 / h.
            prop_assert!((point.slope - (above.nll - below.nll) / (2.0 * h)).abs() < 1e-7);
            prop_assert!((point.curvature - (above.slope - below.slope) / (2.0 * h)).abs() < 1e-7);
        }
    }
}
