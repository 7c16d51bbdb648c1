//! Scores of predicted values: Pearson and Spearman correlation, mean squared and mean absolute error.

mod correlation;
mod errors;
mod ranks;

use serde::{Deserialize, Serialize};

pub use self::correlation::Correlation;
pub use self::errors::RegressionErrors;
pub use self::ranks::RankCorrelation;
pub(crate) use self::ranks::average_ranks;
use crate::EvalError;
use crate::checks::{is_finite, same_count};

/// Every score of a regression over one set of examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    /// How many examples.
    pub n: u64,
    /// Pearson correlation, −1..=1; `None` where predictions or targets are constant.
    pub pearson: Option<f64>,
    /// Spearman rank correlation, −1..=1; `None` where predictions or targets are constant.
    pub spearman: Option<f64>,
    /// Mean squared error, in the squared unit of the targets.
    pub mse: f64,
    /// Mean absolute error, in the unit of the targets.
    pub mae: f64,
}

impl RegressionScores {
    /// Scores one prediction per target.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] for lists of different lengths, [`EvalError::NoExamples`] for empty ones,
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn of(predictions: &[f64], targets: &[f64]) -> Result<Self, EvalError> {
        same_count("the list of predictions", targets.len(), predictions.len())?;
        let mut ranks = RankCorrelation::new();
        let mut correlation = Correlation::new();
        let mut errors = RegressionErrors::new();
        for (prediction, target) in predictions.iter().zip(targets) {
            ranks.update(*prediction, *target)?;
            correlation.update(*prediction, *target)?;
            errors.update(*prediction, *target)?;
        }
        Ok(Self {
            n: targets.len() as u64,
            pearson: correlation.pearson().ok(),
            spearman: ranks.spearman().ok(),
            mse: errors.mse()?,
            mae: errors.mae()?,
        })
    }
}

fn check_finite(example: u64, prediction: f64, target: f64) -> Result<(), EvalError> {
    for (what, value) in [("prediction", prediction), ("target", target)] {
        is_finite(what, example as usize, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn scores_follow_their_definitions_on_numbers_done_by_hand() {
        // x: mean 2, Σ(x−2)² = 6; y: mean 3, Σ(y−3)² = 14; the products of both are
        let scores = RegressionScores::of(&[1.0, 1.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 6.0]).unwrap();
        // (−1)(−2) + (−1)(0) + (0)(−1) + (2)(3) = 8.
        assert!((scores.pearson.unwrap() - 8.0 / (6.0_f64 * 14.0).sqrt()).abs() < 1e-15);
        // Ranks (1.5, 1.5, 3, 4) and (1, 3, 2, 4): products 1.5, −0.5, −0.25, 2.25; squares 4.5 and 5.
        assert!((scores.spearman.unwrap() - 3.0 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-15);
        assert!((scores.mse - (0.0 + 4.0 + 0.0 + 4.0) / 4.0).abs() < 1e-15);
        assert!((scores.mae - (0.0 + 2.0 + 0.0 + 2.0) / 4.0).abs() < 1e-15);
    }

    #[test]
    fn a_large_offset_does_not_spoil_the_correlation() {
        let scores = RegressionScores::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 4.0], &[2.0, 4.0, 8.0]).unwrap();
        assert!((scores.pearson.unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn constants_have_errors_but_no_correlation() {
        let scores = RegressionScores::of(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((scores.n, scores.pearson, scores.spearman), (3, None, None));
        let mut correlation = Correlation::new();
        correlation.update(2.0, 5.0).unwrap();
        let error = correlation.pearson().unwrap_err();
        assert!(
            matches!(
                error,
                EvalError::ConstantValues {
                    what: "predictions",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_finite_is_refused_by_place() {
        let error = RegressionScores::of(&[1.0, 2.0], &[1.0, f64::NAN]).unwrap_err();
        assert!(
            matches!(
                error,
                EvalError::ValueNotFinite {
                    what: "target",
                    example: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(
            RegressionScores::of(&[], &[]),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            RegressionScores::of(&[1.0], &[]),
            Err(EvalError::ExampleCount { .. })
        ));
    }
}
