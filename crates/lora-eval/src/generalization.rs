//! The generalization bound of LoRA Dropout (Lin et al. 2024, section 3.3), to be shown beside the measured gap and never alone.
//!
//! An entry of the update survives with probability `(1−p)²`, so it is dropped with `2p − p²`. The paper takes training under the
//! masks for minimizing `L + λ (2p − p²) ‖θ − θ0‖²`, and concludes from the stability of that minimum:
//!
//! ```text
//! c = Λ_min + 2 λ (2p − p²)
//! stability   β ≤ 2 η² / (c n)
//! gap         R − R̂ ≤ sqrt( (C² + 24 C η² / c) / (2 n δ) )      with probability at least 1 − δ
//! ```
//!
//! It assumes a loss that is bounded, Lipschitz and convex enough in the trained parameters, none of which a transformer grants, and
//! its constants can only be estimated. In practice it is larger than the gap by orders of magnitude: what it shows is a direction
//! (it falls with p and with n), not a size.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::require;

/// What the bound depends on. Let `L` be the unit of the loss (nats, for an NLL) and `W` that of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralizationBound {
    /// p: the probability that a mask drops a row or a column, 0 to below 1.
    pub dropout: f64,
    /// λ: the weight of the penalty, at least 0, in `L/W²`.
    pub penalty: f64,
    /// `Λ_min`: the smallest eigenvalue of the Hessian of the loss at the optimum, at least 0, in `L/W²`.
    pub smallest_eigenvalue: f64,
    /// η: the Lipschitz constant of the loss in the parameters, above 0, in `L/W`.
    pub lipschitz: f64,
    /// C: the largest loss of an example, above 0, in `L`.
    pub largest_loss: f64,
    /// n: the number of training examples, at least 1.
    pub examples: usize,
    /// δ: the probability with which the bound may fail, above 0 and below 1.
    pub failure: f64,
}

impl GeneralizationBound {
    /// β: how much the loss on one example can change when it is left out of the training set, in `L`.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] for a value outside of its range, and when `Λ_min` and `λ (2p − p²)` are both 0: there is no bound then.
    pub fn stability(&self) -> Result<f64, EvalError> {
        let curvature = self.curvature()?;
        Ok(2.0 * self.lipschitz.powi(2) / (curvature * self.examples as f64))
    }

    /// The bound on the expected loss minus the training loss, in `L`.
    ///
    /// ```
    /// use lora_eval::generalization::GeneralizationBound;
    /// let bound = |dropout| {
    ///     GeneralizationBound {
    ///         dropout,
    ///         penalty: 0.1,
    ///         smallest_eigenvalue: 0.01,
    ///         lipschitz: 1.0,
    ///         largest_loss: 5.0,
    ///         examples: 2_490,
    ///         failure: 0.05,
    ///     }
    ///     .gap()
    /// };
    /// assert!(bound(0.5)? < bound(0.1)? && bound(0.1)? < bound(0.0)?);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`stability`](Self::stability).
    pub fn gap(&self) -> Result<f64, EvalError> {
        let curvature = self.curvature()?;
        let (loss, slope) = (self.largest_loss, self.lipschitz);
        let above = loss.powi(2) + 24.0 * loss * slope.powi(2) / curvature;
        Ok((above / (2.0 * self.examples as f64 * self.failure)).sqrt())
    }

    /// `Λ_min + 2 λ (2p − p²)`, above 0.
    fn curvature(&self) -> Result<f64, EvalError> {
        let Self { dropout, failure, .. } = *self;
        require(
            (0.0..1.0).contains(&dropout),
            "the dropout p",
            dropout,
            "0 to below 1",
        )?;
        for (what, found) in [
            ("the penalty λ", self.penalty),
            ("the eigenvalue Λ_min", self.smallest_eigenvalue),
        ] {
            let holds = found >= 0.0 && found.is_finite();
            require(holds, what, found, "a number of at least 0")?;
        }
        for (what, found) in [
            ("the Lipschitz constant η", self.lipschitz),
            ("the largest loss C", self.largest_loss),
        ] {
            require(found > 0.0 && found.is_finite(), what, found, "a number above 0")?;
        }
        let holds = self.examples > 0;
        require(holds, "the number of training examples n", 0.0, "at least 1")?;
        let holds = failure > 0.0 && failure < 1.0;
        require(holds, "the failure probability δ", failure, "above 0 and below 1")?;
        let dropped = 2.0 * self.dropout - self.dropout.powi(2);
        let curvature = self.smallest_eigenvalue + 2.0 * self.penalty * dropped;
        let (what, expected) = (
            "the curvature Λ_min + 2λ(2p − p²)",
            "above 0: without it there is no bound",
        );
        require(curvature > 0.0, what, curvature, expected)?;
        Ok(curvature)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn bound() -> GeneralizationBound {
        GeneralizationBound {
            dropout: 0.5,
            penalty: 2.0,
            smallest_eigenvalue: 1.0,
            lipschitz: 3.0,
            largest_loss: 5.0,
            examples: 10,
            failure: 0.25,
        }
    }

    #[test]
    fn the_bound_follows_its_formula_on_numbers_done_by_hand() {
        // c = 1 + 2·2·0.75 = 4; β = 2·9/(4·10); gap² = (25 + 24·5·9/4)/(2·10·0.25) = 295/5.
        assert!((bound().stability().unwrap() - 0.45).abs() < 1e-15);
        assert!((bound().gap().unwrap() - 59.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        let refused = |change: fn(&mut GeneralizationBound), name: &str| {
            let mut wrong = bound();
            change(&mut wrong);
            let error = wrong.gap().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        };
        refused(|bound| bound.dropout = 1.0, "dropout p");
        refused(|bound| bound.penalty = -1.0, "λ");
        refused(|bound| bound.smallest_eigenvalue = f64::NAN, "Λ_min");
        refused(|bound| bound.lipschitz = 0.0, "η");
        refused(|bound| bound.largest_loss = f64::INFINITY, "C");
        refused(|bound| bound.examples = 0, "n is 0");
        refused(|bound| bound.failure = 1.0, "δ");
        refused(
            |bound| {
                bound.dropout = 0.0;
                bound.smallest_eigenvalue = 0.0;
            },
            "curvature",
        );
    }
}
