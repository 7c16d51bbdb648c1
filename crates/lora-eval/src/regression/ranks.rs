//! The Spearman correlation.

use super::{Correlation, check_finite};
use crate::EvalError;
use crate::checks::refuse_empty;

/// Keeps the values for the Spearman correlation: the Pearson correlation of their ranks, where equal values share the mean of
/// the ranks they span.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RankCorrelation {
    predictions: Vec<f64>,
    targets: Vec<f64>,
}

impl RankCorrelation {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example.
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn update(&mut self, prediction: f64, target: f64) -> Result<(), EvalError> {
        check_finite(self.targets.len() as u64, prediction, target)?;
        self.predictions.push(prediction);
        self.targets.push(target);
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.predictions.extend_from_slice(&other.predictions);
        self.targets.extend_from_slice(&other.targets);
    }

    /// The Spearman correlation, −1..=1.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples, [`EvalError::ConstantValues`] if predictions or targets are all equal.
    pub fn spearman(&self) -> Result<f64, EvalError> {
        let metric = "Spearman correlation";
        refuse_empty(metric, self.targets.is_empty())?;
        for (what, values) in [("predictions", &self.predictions), ("targets", &self.targets)] {
            #[expect(clippy::float_cmp, reason = "a tie is exact equality")]
            if values.iter().all(|value| *value == values[0]) {
                return Err(EvalError::ConstantValues {
                    metric,
                    what,
                    value: values[0],
                });
            }
        }
        let mut of_ranks = Correlation::new();
        for (prediction, target) in average_ranks(&self.predictions)
            .into_iter()
            .zip(average_ranks(&self.targets))
        {
            of_ranks.update(prediction, target)?;
        }
        of_ranks.pearson()
    }
}

/// The ranks of the values from 1 up; equal values share the mean of the ranks they span.
pub(crate) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    #[expect(clippy::float_cmp, reason = "a tie is exact equality")]
    for tie in order.chunk_by(|left, right| values[*left] == values[*right]) {
        // The ranks before + 1 ..= before + len, on average:
        let rank = before as f64 + (tie.len() + 1) as f64 / 2.0;
        for index in tie {
            ranks[*index] = rank;
        }
        before += tie.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        assert_eq!(
            average_ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]),
            [4.0, 1.0, 4.0, 2.0, 4.0]
        );
        assert_eq!(average_ranks(&[0.0, -0.0]), [1.5, 1.5]);
    }
}
