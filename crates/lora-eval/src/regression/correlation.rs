//! The Pearson correlation.

use super::check_finite;
use crate::EvalError;
use crate::checks::refuse_empty;

/// Means and centred second moments for the Pearson correlation, updated without cancellation (Welford 1962) and merged
/// likewise (Chan et al. 1983).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Correlation {
    count: u64,
    predictions: Moments,
    targets: Moments,
    /// `Σ (x − mean x)(y − mean y)`.
    product: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Moments {
    mean: f64,
    /// `Σ (x − mean)²`.
    squares: f64,
    smallest: f64,
    largest: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            mean: 0.0,
            squares: 0.0,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
        }
    }
}

impl Correlation {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example.
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn update(&mut self, prediction: f64, target: f64) -> Result<(), EvalError> {
        check_finite(self.count, prediction, target)?;
        let of = |value| Moments {
            mean: value,
            squares: 0.0,
            smallest: value,
            largest: value,
        };
        self.merge(&Self {
            count: 1,
            predictions: of(prediction),
            targets: of(target),
            product: 0.0,
        });
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let weight = self.count as f64 * share;
        let by_prediction = other.predictions.mean - self.predictions.mean;
        let by_target = other.targets.mean - self.targets.mean;
        self.product += other.product + by_prediction * by_target * weight;
        self.predictions.merge(&other.predictions, share, weight);
        self.targets.merge(&other.targets, share, weight);
        self.count = count;
    }

    /// The Pearson correlation, −1..=1.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples, [`EvalError::ConstantValues`] if predictions or targets are all equal (so
    /// always for a single example).
    pub fn pearson(&self) -> Result<f64, EvalError> {
        let metric = "Pearson correlation";
        refuse_empty(metric, self.count == 0)?;
        for (what, side) in [("predictions", &self.predictions), ("targets", &self.targets)] {
            // Asked of the values themselves: a sum of squares need not be exactly 0 for equal values, nor positive for unequal.
            if side.smallest >= side.largest || side.squares <= 0.0 {
                return Err(EvalError::ConstantValues {
                    metric,
                    what,
                    value: side.smallest,
                });
            }
        }
        // Two square roots: the product of the sums may overflow where each of them doesn't.
        let correlation = self.product / (self.predictions.squares.sqrt() * self.targets.squares.sqrt());
        Ok(correlation.clamp(-1.0, 1.0))
    }
}

impl Moments {
    fn merge(&mut self, other: &Self, share: f64, weight: f64) {
        let difference = other.mean - self.mean;
        self.mean += difference * share;
        self.squares += other.squares + difference * difference * weight;
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
    }
}
