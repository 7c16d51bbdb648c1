//! Labels any number of which may hold for one example, each with a sigmoid of its own.
//!
//! Whether a label holds is a question with two classes, so an example with L labels is L [`Predictions`] of two classes, with logits 0
//! and z: their softmax is `sigmoid(z)`. So ensembles, temperatures and their judgement are those of any classifier; the scores here count
//! labels.

use serde::{Deserialize, Serialize};

use crate::calibration::{Binning, ReliabilityTable};
use crate::checks::{is_class, refuse_empty, same_classes};
use crate::classification::ScoresOfClass;
use crate::share::share_of;
use crate::{ClassProbabilities, EvalError, ModelOutputs, Predictions};

/// A probability from which on, but not at which, a label counts as predicted.
pub const THRESHOLD: f64 = 0.5;

/// Scores of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// Examples for which it holds.
    pub positives: u64,
    /// Examples for which it is predicted.
    pub predicted: u64,
    /// Share of the predicted ones for which it holds; 0 where none is predicted.
    pub precision: f64,
    /// Share of those for which it holds that are predicted; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of both; 0 where the label neither holds nor is predicted anywhere.
    pub f1: f64,
    /// Mean binary negative log-likelihood in nats.
    pub nll: f64,
    /// Expected calibration error of the probability that it holds.
    pub ece: f64,
}

impl From<&LabelScores> for ScoresOfClass {
    /// With nothing in the place of the zeros that stand for what would divide by 0.
    fn from(label: &LabelScores) -> Self {
        let (rows, predicted) = (label.positives, label.predicted);
        Self {
            rows,
            predicted,
            precision: (predicted > 0).then_some(label.precision),
            recall: (rows > 0).then_some(label.recall),
            f1: (rows + predicted > 0).then_some(label.f1),
        }
    }
}

/// Scores of all labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelScores {
    /// How many examples.
    pub n: u64,
    /// F1 of all decisions on one heap.
    pub f1_micro: f64,
    /// Mean of the labels' F1, all labels counted.
    pub f1_macro: f64,
    /// Share of the examples whose labels are all right.
    pub exact_match: f64,
    /// Share of the decisions that are right: 1 − Hamming loss.
    pub label_accuracy: f64,
    /// Mean binary negative log-likelihood of a decision in nats: what training makes small.
    pub nll: f64,
    /// Mean squared difference of probability and truth.
    pub brier: f64,
    /// Expected calibration error of the probabilities that a label holds, all labels on one heap.
    pub ece: f64,
    /// The bins of the calibration errors.
    pub binning: Binning,
    /// `[labels]`
    pub labels: Vec<LabelScores>,
}

impl ModelOutputs {
    /// The outputs `[members, examples, labels]` as predictions of two classes (0: it does not hold) for each label of each example, in
    /// this order.
    ///
    /// # Errors
    /// As [`Predictions::new`].
    pub fn into_label_predictions(self) -> Result<Predictions, EvalError> {
        let logits = self.values.iter().flat_map(|logit| [0.0, *logit]).collect();
        Predictions::new(self.members, self.examples * self.outputs, 2, logits)
    }
}

/// Which class is right in [`ModelOutputs::into_label_predictions`]: 1 for each label that an example's set holds.
///
/// # Errors
/// [`EvalError::ClassOutOfRange`] for a label that is not below `labels`.
pub fn label_classes(truth: &[Vec<usize>], labels: usize) -> Result<Vec<usize>, EvalError> {
    let mut classes = vec![0; truth.len() * labels];
    for (example, held) in truth.iter().enumerate() {
        for label in held {
            is_class("label", example as u64, *label, labels)?;
            classes[example * labels + label] = 1;
        }
    }
    Ok(classes)
}

/// Counts of decisions.
#[derive(Clone, Copy, Default)]
struct Counts {
    hits: u64,
    predicted: u64,
    positives: u64,
}

impl Counts {
    fn f1(self) -> f64 {
        share(2 * self.hits, self.predicted + self.positives)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    share_of(part as f64, whole as f64)
}

impl MultiLabelScores {
    /// Scores probabilities of two classes for each label of each example ([`ModelOutputs::into_label_predictions`]) against the labels
    /// that hold.
    ///
    /// ```
    /// use lora_eval::calibration::Binning;
    /// use lora_eval::multi_label::MultiLabelScores;
    /// use lora_eval::{Average, ModelOutputs};
    /// // Two examples, three labels; the logits' signs are the decisions.
    /// let values = vec![2.0, -1.0, 3.0, -2.0, 1.0, -1.0];
    /// let outputs = ModelOutputs { members: 1, examples: 2, outputs: 3, values };
    /// let probabilities = outputs.into_label_predictions()?.average(Average::Probabilities);
    /// let scores = MultiLabelScores::of(&probabilities, &[vec![0, 2], vec![0]], Binning::default())?;
    /// // Label 0: one of two found; label 1: one too many; label 2: right.
    /// assert!((scores.f1_macro - (2.0 / 3.0 + 0.0 + 1.0) / 3.0).abs() < 1e-12);
    /// assert!((scores.f1_micro - 4.0 / 6.0).abs() < 1e-12 && (scores.exact_match - 0.5).abs() < 1e-12);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples, [`EvalError::ClassCount`] unless there are two classes, [`EvalError::ExampleCount`]
    /// if the examples do not divide the probabilities, [`EvalError::ClassOutOfRange`] for a label that there is not,
    /// [`EvalError::BinCount`] for a bad binning.
    pub fn of(
        probabilities: &ClassProbabilities,
        truth: &[Vec<usize>],
        binning: Binning,
    ) -> Result<Self, EvalError> {
        let (pairs, examples) = (probabilities.examples(), truth.len());
        refuse_empty("F1 of labels", examples == 0)?;
        same_classes("the probability of a label", 2, probabilities.classes())?;
        if !pairs.is_multiple_of(examples) {
            return Err(EvalError::ExampleCount {
                what: "the list of label sets",
                expected: pairs,
                found: examples,
            });
        }
        let labels = pairs / examples;
        let classes = label_classes(truth, labels)?;
        let held: Vec<f64> = probabilities.rows().map(|row| row[1]).collect();
        let not_held: Vec<f64> = probabilities.rows().map(|row| row[0]).collect();

        let mut counts = vec![Counts::default(); labels];
        let mut nll = vec![0.0; labels];
        let mut tables = vec![ReliabilityTable::new(binning)?; labels];
        let (mut exact, mut right, mut squares) = (0, 0, 0.0);
        for example in 0..examples {
            let mut all = true;
            for label in 0..labels {
                let pair = example * labels + label;
                let (is_held, is_predicted) = (classes[pair] == 1, held[pair] > THRESHOLD);
                counts[label].positives += u64::from(is_held);
                counts[label].predicted += u64::from(is_predicted);
                counts[label].hits += u64::from(is_held && is_predicted);
                let of_truth = if is_held { held[pair] } else { not_held[pair] };
                nll[label] -= of_truth.max(f64::EPSILON).ln();
                squares += (1.0 - of_truth).powi(2);
                tables[label].update(held[pair], is_held)?;
                right += u64::from(is_held == is_predicted);
                all &= is_held == is_predicted;
            }
            exact += u64::from(all);
        }
        let mut heap = ReliabilityTable::new(binning)?;
        for table in &tables {
            heap.merge(table)?;
        }
        let n = examples as u64;
        let of_label = |label: usize| -> Result<LabelScores, EvalError> {
            let of = counts[label];
            Ok(LabelScores {
                positives: of.positives,
                predicted: of.predicted,
                precision: share(of.hits, of.predicted),
                recall: share(of.hits, of.positives),
                f1: of.f1(),
                nll: nll[label] / examples as f64,
                ece: tables[label].ece()?,
            })
        };
        let scores = (0..labels).map(of_label).collect::<Result<Vec<_>, _>>()?;
        let sum = counts.iter().fold(Counts::default(), |sum, of| Counts {
            hits: sum.hits + of.hits,
            predicted: sum.predicted + of.predicted,
            positives: sum.positives + of.positives,
        });
        Ok(Self {
            n,
            f1_micro: sum.f1(),
            f1_macro: scores.iter().map(|label| label.f1).sum::<f64>() / labels as f64,
            exact_match: share(exact, n),
            label_accuracy: share(right, pairs as u64),
            nll: nll.iter().sum::<f64>() / pairs as f64,
            brier: squares / pairs as f64,
            ece: heap.ece()?,
            binning,
            labels: scores,
        })
    }
}
