//! Mean and standard deviation over the seeds of a repeated run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{is_finite, refuse_empty};
use crate::student::{mean, squares, t_quantile};

/// Mean ± sample standard deviation of a score over repeated runs.
///
/// ```
/// use lora_eval::MeanStd;
/// let accuracy = MeanStd::of(&[0.80, 0.82, 0.84])?;
/// assert_eq!(format!("{accuracy:.2}"), "0.82 ± 0.02");
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    /// How many runs.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation (divided by `n − 1`); `None` for a single run, which has no deviation.
    pub std: Option<f64>,
}

impl MeanStd {
    /// Of one value a run.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for no values, [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn of(values: &[f64]) -> Result<Self, EvalError> {
        refuse_empty("mean over runs", values.is_empty())?;
        for (example, value) in values.iter().enumerate() {
            is_finite("score", example, *value)?;
        }
        let n = values.len();
        let mean = mean(values.iter().copied());
        Ok(Self {
            n,
            mean,
            std: (n > 1).then(|| (squares(values, mean) / (n - 1) as f64).sqrt()),
        })
    }

    /// Where the mean of endlessly many runs lies with 95 % confidence, for runs that scatter normally (Student's t):
    /// `mean ± t std / √n`. `None` for a single run.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let half = self.std? / (self.n as f64).sqrt();
        let half = half * t_quantile(0.975, (self.n - 1) as f64)?;
        Some([self.mean - half, self.mean + half])
    }
}

impl fmt::Display for MeanStd {
    /// `mean ± std` with the given precision (4 decimals unless given), the mean alone for a single run.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = formatter.precision().unwrap_or(4);
        write!(formatter, "{:.precision$}", self.mean)?;
        match self.std {
            Some(std) => write!(formatter, " ± {std:.precision$}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        // Deviations from 5: −3, −1, 1, 3, squared 20, over 4 − 1.
        let score = MeanStd::of(&[2.0, 4.0, 6.0, 8.0]).unwrap();
        assert!((score.mean - 5.0).abs() < 1e-15);
        assert!((score.std.unwrap() - (20.0_f64 / 3.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_interval_is_that_of_student() {
        // Student (1908): t is 4.303 for two degrees of freedom; the deviation is 1.
        let [lower, upper] = MeanStd::of(&[1.0, 2.0, 3.0]).unwrap().interval().unwrap();
        let half = 4.302_653 / 3.0_f64.sqrt();
        assert!((lower - 2.0 + half).abs() < 1e-6 && (upper - 2.0 - half).abs() < 1e-6);
        assert_eq!(MeanStd::of(&[0.75]).unwrap().interval(), None);
    }

    #[test]
    fn a_single_run_has_no_deviation() {
        let score = MeanStd::of(&[0.75]).unwrap();
        assert_eq!(
            (score.n, score.std, score.to_string()),
            (1, None, "0.7500".to_owned())
        );
    }

    #[test]
    fn nothing_and_nan_are_refused() {
        assert!(MeanStd::of(&[]).is_err());
        assert!(matches!(
            MeanStd::of(&[1.0, f64::NAN]),
            Err(EvalError::ValueNotFinite { example: 1, .. })
        ));
    }
}
