//! Everything at once: all scores of a classifier on one set of examples.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::calibration::{
    AdaptiveCalibration, Binning, ClasswiseCalibration, ReliabilityBin, ReliabilityTable,
};
use crate::checks::same_classes;
use crate::classification::{ConfusionMatrix, F1Average};
use crate::probabilities::ClassProbabilities;
use crate::proper::{BrierScore, NegativeLogLikelihood};
use crate::softmax::top_class;

/// Every score of class probabilities against labels. Shares and calibration errors are fractions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many examples.
    pub n: u64,
    /// How many classes.
    pub classes: usize,
    /// Share of the examples whose top class is the label.
    pub accuracy: f64,
    /// Mean recall of the classes that occur as a label.
    pub balanced_accuracy: f64,
    /// F1 of class 1 if there are two classes (as GLUE reports MRPC and QQP), else the macro average over the classes that occur.
    pub f1: f64,
    /// Matthews correlation coefficient, −1..=1 (as GLUE reports CoLA).
    pub matthews: f64,
    /// Mean negative log-likelihood in nats; see [`NegativeLogLikelihood`].
    pub nll: f64,
    /// Mean Brier score over all classes, 0..=2; see [`BrierScore`].
    pub brier: f64,
    /// Expected calibration error under `binning`.
    pub ece: f64,
    /// Expected calibration error over as many bins of equal mass; see [`AdaptiveCalibration`].
    pub adaptive_ece: f64,
    /// Calibration error with a kernel in the place of bins; see [`AdaptiveCalibration::smooth_ece`]. None in results of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smooth_ece: Option<f64>,
    /// Mean over classes of the calibration error of their probabilities under `binning`; see [`ClasswiseCalibration`]. None in results of
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classwise_ece: Option<f64>,
    /// Maximum calibration error under `binning`.
    pub mce: f64,
    /// The bins of the calibration errors: without them the numbers mean nothing.
    pub binning: Binning,
}

impl Scores {
    /// Scores `probabilities` `[examples, classes]` against `labels` `[examples]`.
    ///
    /// ```
    /// use lora_eval::calibration::Binning;
    /// use lora_eval::{ClassProbabilities, Scores};
    /// let probabilities = ClassProbabilities::new(3, 2, vec![0.75, 0.25, 0.25, 0.75, 0.5, 0.5])?;
    /// let scores = Scores::of(&probabilities, &[0, 1, 1], Binning::default())?;
    /// assert!((scores.accuracy - 2.0 / 3.0).abs() < 1e-12);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit, [`EvalError::BinCount`] for a bad
    /// binning.
    pub fn of(
        probabilities: &ClassProbabilities,
        labels: &[usize],
        binning: Binning,
    ) -> Result<Self, EvalError> {
        probabilities.check_labels(labels)?;
        let mut accumulator = ScoreAccumulator::new(probabilities.classes(), binning)?;
        for (row, label) in probabilities.rows().zip(labels) {
            accumulator.update(row, *label)?;
        }
        accumulator.scores()
    }
}

/// Gathers what [`Scores`] need, batch by batch: how the examples are split into batches doesn't change the scores (counts
/// exactly, sums of floats to about 1e-12).
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreAccumulator {
    confusion: ConfusionMatrix,
    nll: NegativeLogLikelihood,
    brier: BrierScore,
    reliability: ReliabilityTable,
    adaptive: AdaptiveCalibration,
    classwise: ClasswiseCalibration,
}

impl ScoreAccumulator {
    /// No examples yet.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] for a bad binning.
    pub fn new(classes: usize, binning: Binning) -> Result<Self, EvalError> {
        Ok(Self {
            confusion: ConfusionMatrix::new(classes),
            nll: NegativeLogLikelihood::new(),
            brier: BrierScore::new(),
            reliability: ReliabilityTable::new(binning)?,
            adaptive: AdaptiveCalibration::new(),
            classwise: ClasswiseCalibration::new(classes, binning)?,
        })
    }

    /// Adds one example: its predicted distribution `[classes]` and its label.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] for another number of classes, otherwise as [`NegativeLogLikelihood::update`]. Nothing is added then.
    pub fn update(&mut self, predicted: &[f64], label: usize) -> Result<(), EvalError> {
        same_classes(
            "the predicted distribution",
            self.confusion.classes(),
            predicted.len(),
        )?;
        // The first update checks distribution and label; after it none of the others can fail.
        self.nll.update(predicted, label)?;
        self.brier.update(predicted, label)?;
        let top = top_class(predicted);
        self.confusion.update(label, top)?;
        self.reliability.update(predicted[top], top == label)?;
        self.classwise.update(predicted, label)?;
        self.adaptive.update(predicted[top], top == label)
    }

    /// Adds the examples of another over the same classes and binning.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] or [`EvalError::BinningMismatch`] if they differ. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        let mut reliability = self.reliability.clone();
        reliability.merge(&other.reliability)?;
        self.confusion.merge(&other.confusion)?;
        self.reliability = reliability;
        self.nll.merge(&other.nll);
        self.brier.merge(&other.brier);
        self.adaptive.merge(&other.adaptive);
        self.classwise.merge(&other.classwise)?;
        Ok(())
    }

    /// The scores of everything that was added.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] if nothing was.
    pub fn scores(&self) -> Result<Scores, EvalError> {
        let binning = self.reliability.binning();
        let classes = self.confusion.classes();
        let f1 = if classes == 2 {
            F1Average::Binary { positive: 1 }
        } else {
            F1Average::Macro
        };
        Ok(Scores {
            n: self.confusion.count(),
            classes,
            accuracy: self.confusion.accuracy()?,
            balanced_accuracy: self.confusion.balanced_accuracy()?,
            f1: self.confusion.f1(f1)?,
            matthews: self.confusion.matthews()?,
            nll: self.nll.mean()?,
            brier: self.brier.mean()?,
            ece: self.reliability.ece()?,
            adaptive_ece: self.adaptive.ece(binning.bins)?,
            smooth_ece: Some(self.adaptive.smooth_ece()?),
            classwise_ece: Some(self.classwise.ece()?),
            mce: self.reliability.mce()?,
            binning,
        })
    }

    /// The counts behind the accuracy family.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// The bars of the reliability diagram, from low to high confidence.
    pub fn reliability_bins(&self) -> Vec<ReliabilityBin> {
        self.reliability.bins()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_refused_example_leaves_every_part_as_it_was() {
        let mut accumulator = ScoreAccumulator::new(3, Binning::default()).unwrap();
        accumulator.update(&[0.5, 0.25, 0.25], 0).unwrap();
        let before = accumulator.clone();
        assert!(accumulator.update(&[0.5, 0.25, 0.25], 3).is_err());
        assert!(accumulator.update(&[0.5, 0.5], 0).is_err());
        assert!(accumulator.update(&[0.5, 0.5, f64::NAN], 0).is_err());
        let other_binning = ScoreAccumulator::new(3, Binning::torchmetrics(15)).unwrap();
        assert!(accumulator.merge(&other_binning).is_err());
        let other_classes = ScoreAccumulator::new(2, Binning::default()).unwrap();
        assert!(accumulator.merge(&other_classes).is_err());
        assert_eq!(accumulator, before);
    }

    #[test]
    fn nothing_scored_has_no_scores() {
        let accumulator = ScoreAccumulator::new(2, Binning::default()).unwrap();
        assert!(matches!(accumulator.scores(), Err(EvalError::NoExamples { .. })));
    }

    #[test]
    fn scores_carry_their_binning_into_json() {
        let probabilities = ClassProbabilities::new(1, 2, vec![0.25, 0.75]).unwrap();
        let scores = Scores::of(&probabilities, &[1], Binning::torchmetrics(10)).unwrap();
        let json = serde_json::to_value(&scores).unwrap();
        assert_eq!(
            json["binning"],
            serde_json::json!({"bins": 10, "edges": "torchmetrics"})
        );
        assert_eq!(serde_json::from_value::<Scores>(json).unwrap(), scores);
    }
}
