//! Selective prediction: how wrong is a classifier on the examples that it is least in doubt about?
//!
//! Examples are accepted in the order of rising doubt. *Coverage* is the share of the examples accepted so far, *risk* their mean
//! loss (the share of wrong answers, if the loss is 0 or 1). The area under the risk–coverage curve is the mean risk over the
//! coverages `1/n, 2/n, …, 1` (Geifman, Uziel and El-Yaniv 2019): lower is better, and a useless doubt has the risk at full
//! coverage as its area.
//!
//! **Ties**: examples of equal doubt have no order, so each order of them counts the same. The risk inside a tie is its expectation
//! over all orders, which needs no sampling: the accepted part of a tie has the tie's mean loss. So the area doesn't depend on the
//! order of the examples.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{is_finite, refuse_empty, require};

/// Gathers doubts and losses, batch by batch.
///
/// ```
/// use lora_eval::selective::RiskCoverage;
/// let mut selective = RiskCoverage::new();
/// for (doubt, loss) in [(0.1, 0.0), (0.2, 0.0), (0.3, 1.0), (0.4, 1.0)] {
///     selective.update(doubt, loss)?;
/// }
/// // The risks are 0, 0, 1/3 and 1/2.
/// assert!((selective.aurc()? - (1.0 / 3.0 + 0.5) / 4.0).abs() < 1e-12);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RiskCoverage {
    /// Doubt and loss of each example.
    examples: Vec<(f64, f64)>,
}

/// One point of the curve: everything of at most this doubt is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RiskPoint {
    /// Share of the examples that are accepted, above 0 and up to 1.
    pub coverage: f64,
    /// Mean loss of the accepted examples.
    pub risk: f64,
    /// The largest doubt that is accepted.
    pub doubt: f64,
}

impl RiskCoverage {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example: any number that grows with doubt (`1 − confidence`, an entropy…), and its loss (1 for a wrong answer and 0
    /// for a right one, or the squared error of a regression…).
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn update(&mut self, doubt: f64, loss: f64) -> Result<(), EvalError> {
        for (what, value) in [("doubt", doubt), ("loss", loss)] {
            is_finite(what, self.examples.len(), value)?;
        }
        self.examples.push((doubt, loss));
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.examples.extend_from_slice(&other.examples);
    }

    /// How many examples.
    pub fn count(&self) -> usize {
        self.examples.len()
    }

    /// The curve, one point for each different doubt, by rising coverage; the last point accepts everything.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn curve(&self) -> Result<Vec<RiskPoint>, EvalError> {
        let examples = self.sorted("risk-coverage curve")?;
        let (mut accepted, mut losses) = (0, 0.0);
        let points = ties(&examples).map(|tie| {
            accepted += tie.len();
            losses += sum_of_losses(tie);
            RiskPoint {
                coverage: accepted as f64 / examples.len() as f64,
                risk: losses / accepted as f64,
                doubt: tie[0].0,
            }
        });
        Ok(points.collect())
    }

    /// The area under the risk–coverage curve: the mean over `k = 1..=n` of the risk of the `k` least doubtful examples, with the
    /// rule for ties above.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn aurc(&self) -> Result<f64, EvalError> {
        let examples = self.sorted("area under the risk-coverage curve")?;
        Ok(area(&examples))
    }

    /// The area under the curve minus the area of the best order, the one by the losses themselves: what a better doubt could gain
    /// (E-AURC). 0 is the best.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn excess_aurc(&self) -> Result<f64, EvalError> {
        let found = self.aurc()?;
        let mut best: Vec<(f64, f64)> = self.examples.iter().map(|&(_, loss)| (loss, loss)).collect();
        best.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        // Rounding must not make it negative.
        Ok((found - area(&best)).max(0.0))
    }

    /// The expected risk of the least doubtful `share` of the examples: of `⌈share · n⌉` of them, with the rule for ties above.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] unless `0 < share <= 1`, [`EvalError::NoExamples`] without examples.
    pub fn risk_at(&self, share: f64) -> Result<f64, EvalError> {
        let holds = share > 0.0 && share <= 1.0;
        require(holds, "the coverage", share, "above 0 and at most 1")?;
        let examples = self.sorted("risk at a coverage")?;
        // A share that is meant to be k/n must not be rounded up to k + 1 by a last bit.
        let wanted = (share * examples.len() as f64 - 1e-9).ceil().max(1.0);
        let (mut accepted, mut losses) = (0.0, 0.0);
        for tie in ties(&examples) {
            let of_tie = (wanted - accepted).min(tie.len() as f64);
            losses += of_tie * sum_of_losses(tie) / tie.len() as f64;
            accepted += of_tie;
        }
        Ok(losses / accepted)
    }

    /// By rising doubt; equal doubts by rising loss, so that sums are taken in one order.
    fn sorted(&self, metric: &'static str) -> Result<Vec<(f64, f64)>, EvalError> {
        refuse_empty(metric, self.examples.is_empty())?;
        // −0 and 0 are the same doubt.
        let mut examples: Vec<(f64, f64)> = self
            .examples
            .iter()
            .map(|&(doubt, loss)| (doubt + 0.0, loss))
            .collect();
        examples.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
        Ok(examples)
    }
}

fn ties(examples: &[(f64, f64)]) -> impl Iterator<Item = &[(f64, f64)]> {
    examples.chunk_by(|left, right| left.0 == right.0)
}

fn sum_of_losses(examples: &[(f64, f64)]) -> f64 {
    examples.iter().map(|(_, loss)| loss).sum()
}

fn area(examples: &[(f64, f64)]) -> f64 {
    let (mut before, mut losses, mut risks) = (0, 0.0, 0.0);
    for tie in ties(examples) {
        let sum = sum_of_losses(tie);
        let mean = sum / tie.len() as f64;
        for place in 1..=tie.len() {
            risks += (losses + place as f64 * mean) / (before + place) as f64;
        }
        before += tie.len();
        losses += sum;
    }
    risks / examples.len() as f64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn of(examples: &[(f64, f64)]) -> RiskCoverage {
        let mut selective = RiskCoverage::new();
        for &(doubt, loss) in examples {
            selective.update(doubt, loss).unwrap();
        }
        selective
    }

    #[test]
    fn a_constant_doubt_has_the_risk_of_everything_as_its_area() {
        let selective = of(&[(0.5, 1.0), (0.5, 0.0), (0.5, 0.0), (0.5, 1.0), (0.5, 1.0)]);
        assert!((selective.aurc().unwrap() - 0.6).abs() < 1e-15);
        assert!((selective.risk_at(0.2).unwrap() - 0.6).abs() < 1e-15);
        assert_eq!(selective.curve().unwrap().len(), 1);
    }

    #[test]
    fn a_tie_of_two_is_the_mean_of_its_two_orders() {
        // Right, then a tie of a wrong and a right answer: risks 0, 1/2, 1/3 or 0, 0, 1/3.
        let selective = of(&[(0.3, 1.0), (0.1, 0.0), (0.3, 0.0)]);
        let expected = f64::midpoint(0.5 + 1.0 / 3.0, 1.0 / 3.0) / 3.0;
        assert!((selective.aurc().unwrap() - expected).abs() < 1e-15);
    }

    #[test]
    fn the_best_order_has_no_excess_and_the_worst_the_most() {
        let best = of(&[(0.1, 0.0), (0.2, 0.0), (0.9, 1.0)]);
        assert_eq!(best.excess_aurc().unwrap(), 0.0);
        // Worst: risks 1, 1/2, 1/3 instead of 0, 0, 1/3.
        let worst = of(&[(0.9, 0.0), (0.8, 0.0), (0.1, 1.0)]);
        assert!((worst.excess_aurc().unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn the_curve_ends_at_the_risk_of_everything() {
        let curve = of(&[(0.4, 1.0), (0.1, 0.0), (0.4, 0.0), (0.2, 1.0)])
            .curve()
            .unwrap();
        let point = |coverage, risk, doubt| RiskPoint {
            coverage,
            risk,
            doubt,
        };
        assert_eq!(
            curve,
            [point(0.25, 0.0, 0.1), point(0.5, 0.5, 0.2), point(1.0, 0.5, 0.4)]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(matches!(
            RiskCoverage::new().aurc(),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            of(&[(0.1, 1.0)]).update(f64::NAN, 0.0),
            Err(EvalError::ValueNotFinite {
                what: "doubt",
                example: 1,
                ..
            })
        ));
        for share in [0.0, 1.5, f64::NAN] {
            assert!(matches!(
                of(&[(0.1, 1.0)]).risk_at(share),
                Err(EvalError::OutOfRange { .. })
            ));
        }
    }
}
