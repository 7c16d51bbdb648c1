//! Adaptive calibration error: bins of equal mass instead of equal width.

use super::binning::check_bins;
use super::reliability::{ReliabilityBin, expected_error};
use super::smooth::smooth_ece;
use crate::EvalError;
use crate::checks::is_confidence;

/// Keeps the confidences, so that they can be cut into bins that hold the same number of examples (Nguyen and O'Connor 2015).
///
/// A sharp classifier puts nearly all confidences into the last of the equal-width bins; equal-mass bins look inside it.
///
/// - Examples are sorted by confidence, equal confidences wrong before right. So the order of the examples doesn't matter, but
///   where a tie spans two bins, the lower bin gets the wrong ones.
/// - `n` examples are cut as `numpy.array_split` does: the first `n mod bins` bins hold one example more than the others. With
///   fewer examples than bins, the last bins are empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdaptiveCalibration {
    examples: Vec<(f64, bool)>,
}

impl AdaptiveCalibration {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example: the probability of its top class, and whether that class is its label.
    ///
    /// # Errors
    /// [`EvalError::ConfidenceOutOfRange`] unless the confidence lies in 0..=1.
    pub fn update(&mut self, confidence: f64, correct: bool) -> Result<(), EvalError> {
        is_confidence(self.count(), confidence)?;
        self.examples.push((confidence, correct));
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.examples.extend_from_slice(&other.examples);
    }

    /// How many examples it holds.
    pub fn count(&self) -> u64 {
        self.examples.len() as u64
    }

    /// `bins` bins of equal mass from low to high confidence. The edges of a bin are its smallest and largest confidence; an
    /// empty bin is all zeros.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] for no bins or more than [`MAXIMUM_BINS`](super::MAXIMUM_BINS).
    pub fn bins(&self, bins: usize) -> Result<Vec<ReliabilityBin>, EvalError> {
        check_bins(bins)?;
        let mut sorted = self.examples.clone();
        sorted.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        let (size, larger) = (sorted.len() / bins, sorted.len() % bins);
        let mut rest = sorted.as_slice();
        let mut table = Vec::with_capacity(bins);
        for bin in 0..bins {
            let (members, after) = rest.split_at(size + usize::from(bin < larger));
            table.push(bar(members));
            rest = after;
        }
        Ok(table)
    }

    /// Expected calibration error over `bins` bins of equal mass, a fraction.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] as for [`bins`](Self::bins), [`EvalError::NoExamples`] without examples.
    pub fn ece(&self, bins: usize) -> Result<f64, EvalError> {
        expected_error(&self.bins(bins)?)
    }

    /// Smooth expected calibration error, a fraction: a kernel in the place of bins, whose width follows from the error (Błasiok and
    /// Nakkiran 2023, as their `relplot` computes it).
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn smooth_ece(&self) -> Result<f64, EvalError> {
        smooth_ece(&self.examples)
    }
}

/// The bar over examples that are sorted by confidence.
fn bar(examples: &[(f64, bool)]) -> ReliabilityBin {
    let (Some(first), Some(last)) = (examples.first(), examples.last()) else {
        return ReliabilityBin::default();
    };
    let count = examples.len() as f64;
    let correct = examples.iter().filter(|example| example.1).count();
    ReliabilityBin {
        lower: first.0,
        upper: last.0,
        count: examples.len() as u64,
        mean_confidence: examples.iter().map(|example| example.0).sum::<f64>() / count,
        accuracy: correct as f64 / count,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn of(examples: &[(f64, bool)]) -> AdaptiveCalibration {
        let mut adaptive = AdaptiveCalibration::new();
        for &(confidence, correct) in examples {
            adaptive.update(confidence, correct).unwrap();
        }
        adaptive
    }

    #[test]
    fn the_first_bins_hold_the_remainder() {
        let examples: Vec<_> = (0..11).map(|i| (f64::from(i) / 16.0, i % 2 == 0)).collect();
        let counts: Vec<_> = of(&examples)
            .bins(4)
            .unwrap()
            .iter()
            .map(|bin| bin.count)
            .collect();
        assert_eq!(counts, [3, 3, 3, 2]);
    }

    #[test]
    fn a_tie_across_bins_does_not_depend_on_the_order() {
        // One bin gets the wrong example, the other the right one: |0 − 0.75| and |1 − 0.75|, half each.
        for examples in [[(0.75, true), (0.75, false)], [(0.75, false), (0.75, true)]] {
            assert!((of(&examples).ece(2).unwrap() - 0.5).abs() < 1e-15);
        }
    }

    #[test]
    fn one_bin_compares_the_overall_accuracy_with_the_overall_confidence() {
        let adaptive = of(&[(0.5, true), (0.75, false), (1.0, true), (0.625, true)]);
        assert!((adaptive.ece(1).unwrap() - (0.75 - 2.875 / 4.0_f64).abs()).abs() < 1e-15);
    }

    #[test]
    fn bins_without_examples_are_empty_and_add_nothing() {
        let adaptive = of(&[(0.9, false)]);
        assert_eq!(adaptive.bins(3).unwrap()[2].count, 0);
        assert!((adaptive.ece(3).unwrap() - 0.9).abs() < 1e-15);
    }

    #[test]
    fn no_examples_and_no_bins_are_refused() {
        assert!(matches!(
            AdaptiveCalibration::new().ece(15),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            of(&[(0.5, true)]).ece(0),
            Err(EvalError::BinCount { found: 0, .. })
        ));
    }
}
