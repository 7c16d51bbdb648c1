//! How classes are scored and calibrated: the one place for `lora train`, sweeps and the demo.

use lora_eval::calibration::{Binning, ReliabilityBin, ReliabilityTable};
use lora_eval::{ClassProbabilities, Scores};

use crate::error::Result;

/// The class of highest probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowAnswer {
    /// The class.
    pub class: usize,
    /// Its probability.
    pub probability: f64,
}

/// Scores of class probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// All rows together.
    pub scores: Scores,
    /// The bins of the calibration error, from low to high confidence.
    pub reliability: Vec<ReliabilityBin>,
    /// As [`row_nll`].
    pub row_nll: Vec<f64>,
    /// `[rows]`
    pub answers: Vec<RowAnswer>,
}

impl ClassScores {
    /// Of probabilities `[rows, classes]` and the class of each row.
    ///
    /// # Errors
    ///
    /// If there is no row, or a class is unknown.
    pub fn of(probabilities: &ClassProbabilities, labels: &[usize]) -> Result<Self> {
        let mut reliability = ReliabilityTable::new(Binning::default())?;
        let tops = probabilities.rows().zip(probabilities.top_classes());
        let answers = tops.map(|(row, class)| RowAnswer {
            class,
            probability: row[class],
        });
        let answers: Vec<RowAnswer> = answers.collect();
        for (answer, label) in answers.iter().zip(labels) {
            reliability.update(answer.probability, answer.class == *label)?;
        }
        Ok(Self {
            scores: Scores::of(probabilities, labels, Binning::default())?,
            reliability: reliability.bins(),
            row_nll: row_nll(probabilities, labels),
            answers,
        })
    }
}

/// The negative log-likelihood of each row's class in nats; of a probability of 0 that of the smallest step from 1.
pub fn row_nll(probabilities: &ClassProbabilities, labels: &[usize]) -> Vec<f64> {
    let of_label = probabilities.rows().zip(labels).map(|(row, label)| row[*label]);
    of_label
        .map(|probability| -probability.max(f64::EPSILON).ln())
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn rows_and_scores_have_the_same_loss() {
        let probabilities = ClassProbabilities::new(3, 2, vec![0.75, 0.25, 0.5, 0.5, 0.125, 0.875]).unwrap();
        let found = ClassScores::of(&probabilities, &[0, 1, 0]).unwrap();
        // -ln(3/4), -ln(1/2), -ln(1/8)
        let by_hand = [(4.0_f64 / 3.0).ln(), 2.0_f64.ln(), 8.0_f64.ln()];
        for (row, expected) in found.row_nll.iter().zip(by_hand) {
            assert!((row - expected).abs() < 1e-15, "{row}");
        }
        let mean = by_hand.iter().sum::<f64>() / 3.0;
        assert!((found.scores.nll - mean).abs() < 1e-12, "{}", found.scores.nll);
        assert!(
            (found.scores.accuracy - 1.0 / 3.0).abs() < 1e-15,
            "0.75 alone is right: the first class wins a tie"
        );
        assert_eq!(found.reliability.iter().map(|bin| bin.count).sum::<u64>(), 3);
    }

    #[test]
    fn a_class_that_was_thought_impossible_has_a_finite_loss() {
        let probabilities = ClassProbabilities::new(1, 2, vec![1.0, 0.0]).unwrap();
        assert_eq!(row_nll(&probabilities, &[1]), [-f64::EPSILON.ln()]);
    }
}
