//! The reliability table: per bin, how confident and how right; from it ECE and MCE.

use serde::{Deserialize, Serialize};

use super::Binning;
use crate::EvalError;
use crate::checks::{is_confidence, refuse_empty};
use crate::share::share_of;

/// One bar of a reliability diagram. An empty bin has count 0, mean confidence 0 and accuracy 0.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct ReliabilityBin {
    /// Lower edge, a confidence in 0..=1.
    pub lower: f64,
    /// Upper edge. Equal to `lower` in the extra bin of [`EdgeRule::Torchmetrics`](super::EdgeRule::Torchmetrics).
    pub upper: f64,
    /// How many examples.
    pub count: u64,
    /// Mean confidence of those examples, 0..=1.
    pub mean_confidence: f64,
    /// Share of those examples whose top class is right, 0..=1.
    pub accuracy: f64,
}

impl ReliabilityBin {
    /// `|accuracy − mean_confidence|`; 0 for an empty bin.
    pub fn gap(&self) -> f64 {
        (self.accuracy - self.mean_confidence).abs()
    }
}

/// Counts and sums per bin: update it with every example, merge tables of batches, read the errors at the end.
///
/// ```
/// use lora_eval::calibration::{Binning, ReliabilityTable};
/// let mut table = ReliabilityTable::new(Binning::default())?;
/// // Four predictions at 90 %, three of them right: 15 points too confident.
/// for correct in [true, true, true, false] {
///     table.update(0.9, correct)?;
/// }
/// assert!((table.ece()? - 0.15).abs() < 1e-12);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReliabilityTable {
    binning: Binning,
    edges: Vec<f64>,
    bins: Vec<BinSums>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct BinSums {
    count: u64,
    correct: u64,
    confidence: f64,
}

impl ReliabilityTable {
    /// An empty table.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] for no bins or more than [`MAXIMUM_BINS`](super::MAXIMUM_BINS).
    pub fn new(binning: Binning) -> Result<Self, EvalError> {
        let edges = binning.edges()?;
        let bins = vec![BinSums::default(); binning.bin_count()];
        Ok(Self { binning, edges, bins })
    }

    /// Adds one example: the probability of its top class, and whether that class is its label.
    ///
    /// # Errors
    /// [`EvalError::ConfidenceOutOfRange`] unless the confidence lies in 0..=1; the table is unchanged then.
    pub fn update(&mut self, confidence: f64, correct: bool) -> Result<(), EvalError> {
        is_confidence(self.count(), confidence)?;
        let bin = &mut self.bins[self.binning.bin_of(confidence, &self.edges)];
        bin.count += 1;
        bin.correct += u64::from(correct);
        bin.confidence += confidence;
        Ok(())
    }

    /// Adds the examples of another table of the same binning.
    ///
    /// # Errors
    /// [`EvalError::BinningMismatch`] for another binning.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        if self.binning != other.binning {
            return Err(EvalError::BinningMismatch {
                expected: self.binning,
                found: other.binning,
            });
        }
        for (into, from) in self.bins.iter_mut().zip(&other.bins) {
            into.count += from.count;
            into.correct += from.correct;
            into.confidence += from.confidence;
        }
        Ok(())
    }

    /// The binning of this table.
    pub fn binning(&self) -> Binning {
        self.binning
    }

    /// How many examples it holds.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// Every bin from low to high confidence, the empty ones too.
    pub fn bins(&self) -> Vec<ReliabilityBin> {
        let bar = |(index, sums): (usize, &BinSums)| {
            let share = |sum: f64| share_of(sum, sums.count as f64);
            ReliabilityBin {
                lower: self.edges[index],
                // The extra bin of torchmetrics begins and ends at the last edge.
                upper: self.edges[(index + 1).min(self.edges.len() - 1)],
                count: sums.count,
                mean_confidence: share(sums.confidence),
                accuracy: share(sums.correct as f64),
            }
        };
        self.bins.iter().enumerate().map(bar).collect()
    }

    /// Expected calibration error, a fraction.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty table.
    pub fn ece(&self) -> Result<f64, EvalError> {
        expected_error(&self.bins())
    }

    /// Maximum calibration error, a fraction: the largest gap of a bin that holds examples.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty table.
    pub fn mce(&self) -> Result<f64, EvalError> {
        refuse_empty("maximum calibration error", self.count() == 0)?;
        Ok(self.bins().iter().map(ReliabilityBin::gap).fold(0.0, f64::max))
    }
}

/// `Σ_b n_b/n · |accuracy_b − confidence_b|`.
pub(super) fn expected_error(bins: &[ReliabilityBin]) -> Result<f64, EvalError> {
    let count: u64 = bins.iter().map(|bin| bin.count).sum();
    refuse_empty("expected calibration error", count == 0)?;
    let weighted: f64 = bins.iter().map(|bin| bin.count as f64 * bin.gap()).sum();
    Ok(weighted / count as f64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use crate::calibration::EdgeRule;

    fn table(binning: Binning, examples: &[(f64, bool)]) -> ReliabilityTable {
        let mut table = ReliabilityTable::new(binning).unwrap();
        for &(confidence, correct) in examples {
            table.update(confidence, correct).unwrap();
        }
        table
    }

    #[test]
    fn errors_follow_the_definition_on_two_bins() {
        // Bin 1: confidences 0.375 and 0.5, one right: |0.5 − 0.4375| = 0.0625. Bin 2: 0.75, wrong: 0.75.
        let table = table(
            Binning {
                bins: 2,
                edges: EdgeRule::LeftOpen,
            },
            &[(0.375, true), (0.5, false), (0.75, false)],
        );
        assert!((table.ece().unwrap() - (2.0 * 0.0625 + 0.75) / 3.0).abs() < 1e-15);
        assert!((table.mce().unwrap() - 0.75).abs() < 1e-15);
        let first = ReliabilityBin {
            lower: 0.0,
            upper: 0.5,
            count: 2,
            mean_confidence: 0.4375,
            accuracy: 0.5,
        };
        assert_eq!(table.bins()[0], first);
        assert_eq!(table.bins().len(), 2);
    }

    #[test]
    fn an_empty_bin_is_zeros_and_adds_nothing() {
        let table = table(
            Binning {
                bins: 3,
                edges: EdgeRule::LeftClosed,
            },
            &[(0.9, true)],
        );
        let empty = ReliabilityBin {
            lower: 0.0,
            upper: 1.0 / 3.0,
            count: 0,
            mean_confidence: 0.0,
            accuracy: 0.0,
        };
        assert_eq!(table.bins()[0], empty);
        assert!((table.ece().unwrap() - 0.1).abs() < 1e-15);
    }

    #[test]
    fn the_extra_bin_of_torchmetrics_is_a_point_at_one() {
        let bins = table(Binning::torchmetrics(2), &[(1.0, true), (0.75, true)]).bins();
        let edges: Vec<_> = bins.iter().map(|bin| (bin.lower, bin.upper, bin.count)).collect();
        assert_eq!(edges, [(0.0, 0.5, 0), (0.5, 1.0, 1), (1.0, 1.0, 1)]);
    }

    #[test]
    fn the_edge_rule_changes_the_error() {
        // 0.5 shares a bin with 0.25 or with 0.75.
        let examples = [(0.25, true), (0.5, false), (0.75, true)];
        let open = table(
            Binning {
                bins: 2,
                edges: EdgeRule::LeftOpen,
            },
            &examples,
        )
        .ece()
        .unwrap();
        let closed = table(
            Binning {
                bins: 2,
                edges: EdgeRule::LeftClosed,
            },
            &examples,
        )
        .ece()
        .unwrap();
        assert!((open - (0.25 + 0.25) / 3.0).abs() < 1e-15);
        assert!((closed - (0.75 + 0.25) / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_confidence_outside_of_zero_to_one_is_refused_and_not_counted() {
        let mut table = table(Binning::default(), &[(0.5, true)]);
        for value in [-0.1, 1.1, f64::NAN] {
            let error = table.update(value, true).unwrap_err();
            assert!(
                matches!(error, EvalError::ConfidenceOutOfRange { example: 1, .. }),
                "{error}"
            );
        }
        assert_eq!(table.count(), 1);
    }

    #[test]
    fn tables_of_different_binning_do_not_merge() {
        let mut table = table(Binning::default(), &[(0.5, true)]);
        let other = ReliabilityTable::new(Binning::torchmetrics(15)).unwrap();
        assert!(matches!(
            table.merge(&other),
            Err(EvalError::BinningMismatch { .. })
        ));
    }

    #[test]
    fn an_empty_table_has_no_error() {
        let table = ReliabilityTable::new(Binning::default()).unwrap();
        assert!(matches!(table.ece(), Err(EvalError::NoExamples { .. })));
        assert!(matches!(table.mce(), Err(EvalError::NoExamples { .. })));
    }
}
