//! The negative log-likelihood.

use super::MeanScore;
use crate::EvalError;

/// Probabilities below this are taken for it in the logarithm: a single wrong but certain prediction costs 36.04 nats and not
/// infinity. It is the `eps` of scikit-learn's `log_loss` in double precision.
pub const PROBABILITY_FLOOR: f64 = f64::EPSILON;

/// Mean negative log-likelihood in nats (cross-entropy, log loss): `−ln max(p_y, floor)`, and against a distribution `q`
/// `−Σ_c q_c ln max(p_c, floor)`; the floor is [`PROBABILITY_FLOOR`].
///
/// ```
/// use lora_eval::proper::NegativeLogLikelihood;
/// let mut score = NegativeLogLikelihood::new();
/// score.update(&[0.25, 0.75], 0)?;
/// assert!((score.mean()? - 4.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NegativeLogLikelihood(MeanScore);

impl NegativeLogLikelihood {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example: its predicted distribution `[classes]` and its label.
    ///
    /// # Errors
    /// [`EvalError::ProbabilityOutOfRange`] or [`EvalError::ProbabilitySum`] if it is no distribution,
    /// [`EvalError::ClassOutOfRange`] for a label that is no class.
    pub fn update(&mut self, predicted: &[f64], label: usize) -> Result<(), EvalError> {
        self.0.check(predicted, label)?;
        self.0.add(surprise(predicted[label]));
        Ok(())
    }

    /// Adds one example: its predicted distribution `[classes]` and the distribution `[classes]` that it should have.
    ///
    /// # Errors
    /// [`EvalError::ProbabilityOutOfRange`] or [`EvalError::ProbabilitySum`] if either is no distribution,
    /// [`EvalError::ClassCount`] if their lengths differ.
    pub fn update_soft(&mut self, predicted: &[f64], target: &[f64]) -> Result<(), EvalError> {
        self.0.check_soft(predicted, target)?;
        self.0
            .add(predicted.iter().zip(target).map(|(p, q)| q * surprise(*p)).sum());
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(other.0);
    }

    /// The mean over the examples, in nats.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn mean(&self) -> Result<f64, EvalError> {
        self.0.mean("negative log-likelihood")
    }
}

/// `−ln p` with the floor; `0 − x` so that certainty costs 0 and not −0.
fn surprise(probability: f64) -> f64 {
    0.0 - probability.max(PROBABILITY_FLOOR).ln()
}
