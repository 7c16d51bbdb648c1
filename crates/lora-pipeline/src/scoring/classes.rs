//! How classes are scored and calibrated: the one place for `lora train`, sweeps and the demo.

use lora_eval::calibration::{Binning, ReliabilityBin, ReliabilityTable};
use lora_eval::{Average, ClassProbabilities, Predictions, Scores, fit_temperature};

use crate::error::Result;

/// Scores of class probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// All rows together.
    pub scores: Scores,
    /// The bins of the calibration error, from low to high confidence.
    pub reliability: Vec<ReliabilityBin>,
    /// As [`row_nll`].
    pub row_nll: Vec<f64>,
}

impl ClassScores {
    /// Of probabilities `[rows, classes]` and the class of each row.
    ///
    /// # Errors
    ///
    /// If there is no row, or a class is unknown.
    pub fn of(probabilities: &ClassProbabilities, labels: &[usize]) -> Result<Self> {
        let mut reliability = ReliabilityTable::new(Binning::default())?;
        let tops = probabilities.top_classes();
        for ((row, top), label) in probabilities.rows().zip(tops).zip(labels) {
            reliability.update(row[top], top == *label)?;
        }
        Ok(Self {
            scores: Scores::of(probabilities, labels, Binning::default())?,
            reliability: reliability.bins(),
            row_nll: row_nll(probabilities, labels),
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

/// The temperature with the smallest loss on these rows; none where the loss has no minimum (all rows are right, or too few): where
/// the search ended says nothing about the model, and would push every probability to 0 or 1.
///
/// # Errors
///
/// If there is no row, or a class is unknown.
pub fn temperature_of(predictions: &Predictions, labels: &[usize], average: Average) -> Result<Option<f64>> {
    let fitted = fit_temperature(predictions, labels, average)?;
    Ok(fitted.has_minimum.then_some(fitted.temperature))
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

    #[test]
    fn rows_that_are_all_right_determine_no_temperature() {
        let predictions = |logits: Vec<f32>| {
            let outputs = lora_eval::ModelOutputs {
                members: 1,
                examples: 4,
                outputs: 2,
                values: logits,
            };
            outputs.into_predictions().unwrap()
        };
        let all_right = predictions(vec![2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 2.0]);
        let labels = [0, 1, 0, 1];
        assert_eq!(
            temperature_of(&all_right, &labels, Average::Probabilities).unwrap(),
            None
        );
        // Three of four are right, each by 2: p = 3/4 where 2 / T = ln 3.
        let one_wrong = predictions(vec![2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 2.0, 0.0]);
        let fitted = temperature_of(&one_wrong, &labels, Average::Probabilities)
            .unwrap()
            .unwrap();
        assert!((fitted - 2.0 / 3.0_f64.ln()).abs() < 1e-6, "{fitted}");
    }
}
