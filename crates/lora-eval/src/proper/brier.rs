//! The Brier score.

use super::MeanScore;
use crate::EvalError;

/// Mean Brier score `Σ_c (p_c − [c = y])²`, or `Σ_c (p_c − q_c)²` against a distribution `q`; 0 (perfect) to 2.
///
/// The sum runs over *all* classes, also for two (Brier 1950). Beware when comparing: for two classes scikit-learn's
/// `brier_score_loss` by default counts the positive class alone, which is half of this.
///
/// ```
/// use lora_eval::proper::BrierScore;
/// let mut score = BrierScore::new();
/// score.update(&[0.25, 0.75], 0)?;
/// assert_eq!(score.mean()?, 0.75 * 0.75 + 0.75 * 0.75);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BrierScore(MeanScore);

impl BrierScore {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example: its predicted distribution `[classes]` and its label.
    ///
    /// # Errors
    /// As [`NegativeLogLikelihood::update`](super::NegativeLogLikelihood::update).
    pub fn update(&mut self, predicted: &[f64], label: usize) -> Result<(), EvalError> {
        self.0.check(predicted, label)?;
        let target = |class| if class == label { 1.0 } else { 0.0 };
        self.0.add(
            predicted
                .iter()
                .enumerate()
                .map(|(class, p)| (p - target(class)).powi(2))
                .sum(),
        );
        Ok(())
    }

    /// Adds one example: its predicted distribution `[classes]` and the distribution `[classes]` that it should have.
    ///
    /// # Errors
    /// As [`NegativeLogLikelihood::update_soft`](super::NegativeLogLikelihood::update_soft).
    pub fn update_soft(&mut self, predicted: &[f64], target: &[f64]) -> Result<(), EvalError> {
        self.0.check_soft(predicted, target)?;
        self.0
            .add(predicted.iter().zip(target).map(|(p, q)| (p - q).powi(2)).sum());
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(other.0);
    }

    /// The mean over the examples, 0 to 2.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn mean(&self) -> Result<f64, EvalError> {
        self.0.mean("Brier score")
    }
}
