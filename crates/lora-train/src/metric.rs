//! What a validation set is judged by.

use std::fmt;

use lora_data::Targets;
use lora_eval::calibration::Binning;
use lora_eval::multi_label::label_classes;
use lora_eval::proper::PROBABILITY_FLOOR;
use lora_eval::regression::RegressionScores;
use lora_eval::{Average, ClassProbabilities, EvalError, ModelOutputs, MultiLabelScores, Scores};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The number that decides which model is the best. Names as in Hugging Face's `metric_for_best_model`, with or
/// without `eval_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Negative log-likelihood in nats; mean squared error for regression. Smaller is better.
    #[default]
    #[serde(alias = "eval_loss")]
    Loss,
    /// Share of examples whose top class is the label; of those all of whose labels are right, where any number may hold.
    #[serde(alias = "eval_accuracy")]
    Accuracy,
    /// Mean recall of the classes.
    #[serde(alias = "eval_balanced_accuracy")]
    BalancedAccuracy,
    /// F1 of class 1 of two, else the macro average; the micro average where any number of labels may hold.
    #[serde(alias = "eval_f1")]
    F1,
    /// Matthews correlation.
    #[serde(alias = "eval_matthews_correlation")]
    MatthewsCorrelation,
    /// Brier score. Smaller is better.
    #[serde(alias = "eval_brier")]
    Brier,
    /// Expected calibration error with [`Binning::default`]. Smaller is better.
    #[serde(alias = "eval_ece")]
    Ece,
    /// Pearson correlation, for regression.
    #[serde(alias = "eval_pearson")]
    Pearson,
    /// Spearman correlation, for regression.
    #[serde(alias = "eval_spearman")]
    Spearman,
}

/// The values of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// [`Metric::Loss`].
    pub loss: f64,
    /// The chosen metric; none for the correlation of constants.
    pub metric: Option<f64>,
    /// [`Metric::Ece`], where the outputs are probabilities of classes or labels.
    pub ece: Option<f64>,
    /// [`Metric::Loss`] of each row, where outputs are judged by rows.
    pub row_losses: Vec<f64>,
}

impl Metric {
    /// Whether a model with a smaller number is the better one.
    pub fn smaller_is_better(self) -> bool {
        matches!(self, Self::Loss | Self::Brier | Self::Ece)
    }

    /// The name in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::F1 => "f1",
            Self::MatthewsCorrelation => "matthews_correlation",
            Self::Brier => "brier",
            Self::Ece => "ece",
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
        }
    }

    /// Refuses a metric that targets of this kind do not have.
    pub(crate) fn check(self, targets: &Targets) -> Result<(), TrainError> {
        let fits = match targets {
            Targets::None => true,
            Targets::Classes(_) => !matches!(self, Self::Pearson | Self::Spearman),
            Targets::Labels(_) => matches!(
                self,
                Self::Loss | Self::Accuracy | Self::F1 | Self::Brier | Self::Ece
            ),
            Targets::Values(_) => matches!(self, Self::Loss | Self::Pearson | Self::Spearman),
            Targets::Positions(_) | Targets::Spans(_) | Targets::Choices(_) => self == Self::Loss,
        };
        let (task, choices) = match targets {
            Targets::Values(_) => ("a regression", "loss, pearson or spearman"),
            Targets::Labels(_) => (
                "a task with any number of labels",
                "loss, accuracy, f1, brier or ece",
            ),
            Targets::Positions(_) => ("a task with classes for tokens", "loss"),
            Targets::Choices(_) => ("multiple choice", "loss"),
            Targets::Spans(_) => ("question answering", "loss"),
            Targets::None | Targets::Classes(_) => (
                "a classification",
                "loss, accuracy, balanced_accuracy, f1, matthews_correlation, brier or ece",
            ),
        };
        if fits {
            Ok(())
        } else {
            Err(TrainError::Metric {
                metric: self,
                task,
                choices,
            })
        }
    }

    /// Loss and metric of a model's outputs for a data set.
    pub(crate) fn measure(self, outputs: ModelOutputs, targets: &Targets) -> Result<Measured, EvalError> {
        match targets {
            // These are judged batch by batch: the logits of all tokens would fill the memory, and places differ in number.
            Targets::None | Targets::Positions(_) | Targets::Spans(_) | Targets::Choices(_) => {
                Err(EvalError::NoExamples { metric: self.name() })
            }
            Targets::Classes(labels) => {
                let probabilities = outputs.into_predictions()?.average(Average::Probabilities);
                let scores = Scores::of(&probabilities, labels, Binning::default())?;
                Ok(Measured {
                    loss: scores.nll,
                    metric: self.of_classes(&scores),
                    ece: Some(scores.ece),
                    row_losses: losses_of(&probabilities, labels).collect(),
                })
            }
            Targets::Labels(labels) => {
                let of_row = outputs.outputs;
                let truth = label_classes(labels, of_row)?;
                let probabilities = outputs.into_label_predictions()?.average(Average::Probabilities);
                let scores = MultiLabelScores::of(&probabilities, labels, Binning::default())?;
                let losses: Vec<f64> = losses_of(&probabilities, &truth).collect();
                let mean = |row: &[f64]| row.iter().sum::<f64>() / of_row as f64;
                Ok(Measured {
                    loss: scores.nll,
                    metric: self.of_labels(&scores),
                    ece: Some(scores.ece),
                    row_losses: losses.chunks(of_row).map(mean).collect(),
                })
            }
            Targets::Values(values) => {
                let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
                let predicted = outputs.mean_values();
                let scores = RegressionScores::of(&predicted, &values)?;
                let pairs = predicted.iter().zip(&values);
                Ok(Measured {
                    loss: scores.mse,
                    metric: self.of_values(&scores),
                    ece: None,
                    row_losses: pairs
                        .map(|(predicted, value)| (predicted - value).powi(2))
                        .collect(),
                })
            }
        }
    }

    fn of_classes(self, scores: &Scores) -> Option<f64> {
        match self {
            Self::Loss => Some(scores.nll),
            Self::Accuracy => Some(scores.accuracy),
            Self::BalancedAccuracy => Some(scores.balanced_accuracy),
            Self::F1 => Some(scores.f1),
            Self::MatthewsCorrelation => Some(scores.matthews),
            Self::Brier => Some(scores.brier),
            Self::Ece => Some(scores.ece),
            Self::Pearson | Self::Spearman => None,
        }
    }

    fn of_labels(self, scores: &MultiLabelScores) -> Option<f64> {
        match self {
            Self::Loss => Some(scores.nll),
            Self::Accuracy => Some(scores.exact_match),
            Self::F1 => Some(scores.f1_micro),
            Self::Brier => Some(scores.brier),
            Self::Ece => Some(scores.ece),
            _ => None,
        }
    }

    fn of_values(self, scores: &RegressionScores) -> Option<f64> {
        match self {
            Self::Loss => Some(scores.mse),
            Self::Pearson => scores.pearson,
            Self::Spearman => scores.spearman,
            _ => None,
        }
    }
}

/// Negative log-likelihood of the right class of each row, in nats.
fn losses_of(probabilities: &ClassProbabilities, classes: &[usize]) -> impl Iterator<Item = f64> {
    let of_truth = probabilities.rows().zip(classes).map(|(row, class)| row[*class]);
    of_truth.map(|probability| -probability.max(PROBABILITY_FLOOR).ln())
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    const ALL: [Metric; 9] = [
        Metric::Loss,
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::F1,
        Metric::MatthewsCorrelation,
        Metric::Brier,
        Metric::Ece,
        Metric::Pearson,
        Metric::Spearman,
    ];

    #[test]
    fn names_are_read_with_and_without_hugging_faces_prefix() {
        for metric in ALL {
            let name = metric.name();
            assert_eq!(serde_json::to_value(metric).unwrap(), name);
            assert_eq!(
                serde_json::from_value::<Metric>(format!("eval_{name}").into()).unwrap(),
                metric
            );
        }
    }

    #[test]
    fn a_metric_of_the_other_task_is_refused() {
        let classes = Targets::Classes(vec![0, 2]);
        let values = Targets::Values(vec![0.5, 2.0]);
        assert!(Metric::Loss.check(&classes).is_ok() && Metric::Loss.check(&values).is_ok());
        for metric in ALL.into_iter().skip(1) {
            let (for_classes, for_values) = (metric.check(&classes), metric.check(&values));
            assert!(for_classes.is_ok() != for_values.is_ok(), "{metric}");
        }
        let message = Metric::Pearson.check(&classes).unwrap_err().to_string();
        assert!(
            message.contains("`pearson`") && message.contains("expected loss, accuracy"),
            "{message}"
        );
    }

    #[test]
    fn labels_of_which_any_number_may_hold_have_scores_of_their_own() {
        let labels = Targets::Labels(vec![vec![0], vec![0, 1]]);
        assert!(Metric::F1.check(&labels).is_ok() && Metric::MatthewsCorrelation.check(&labels).is_err());
        // Odds of 3 to 1 for label 0 and against label 1, in both rows: three decisions of four are right.
        let log_3 = 3.0_f32.ln();
        let outputs = ModelOutputs {
            members: 1,
            examples: 2,
            outputs: 2,
            values: vec![log_3, -log_3, log_3, -log_3],
        };
        let measured = Metric::F1.measure(outputs, &labels).unwrap();
        assert!((measured.metric.unwrap() - 4.0 / 5.0).abs() < 1e-12);
        // Both labels of row 0 have odds of 3 to 1 for the truth, the second of row 1 against it.
        let by_hand = [
            -(0.75_f64.ln() + 0.75_f64.ln()) / 2.0,
            -(0.75_f64.ln() + 0.25_f64.ln()) / 2.0,
        ];
        for (row, expected) in measured.row_losses.iter().zip(by_hand) {
            assert!((row - expected).abs() < 1e-6, "{row}");
        }
        assert_eq!(measured.row_losses.len(), 2);
        let nll = -(3.0 * 0.75_f64.ln() + 0.25_f64.ln()) / 4.0;
        assert!((measured.loss - nll).abs() < 1e-6);
    }

    #[test]
    fn scores_are_those_of_the_outputs() {
        // Probabilities 3/4 for the right class of row 0, 1/4 for that of row 1.
        let log_3 = 3.0_f32.ln();
        let outputs = ModelOutputs {
            members: 1,
            examples: 2,
            outputs: 2,
            values: vec![log_3, 0.0, log_3, 0.0],
        };
        let labels = Targets::Classes(vec![0, 1]);
        let measured = Metric::Accuracy.measure(outputs.clone(), &labels).unwrap();
        assert_eq!(measured.metric, Some(0.5));
        let nll = -(0.75_f64.ln() + 0.25_f64.ln()) / 2.0;
        assert!((measured.loss - nll).abs() < 1e-6);
        // Both rows are in one bin: confident of 3/4, right in a half.
        assert!((measured.ece.unwrap() - 0.25).abs() < 1e-6);
        for (row, expected) in measured.row_losses.iter().zip([0.75_f64, 0.25]) {
            assert!((row + expected.ln()).abs() < 1e-6, "{row}");
        }

        let values = ModelOutputs {
            members: 1,
            examples: 3,
            outputs: 1,
            values: vec![1.0, 2.0, 4.0],
        };
        let measured = Metric::Spearman
            .measure(values, &Targets::Values(vec![2.0, 2.5, 3.0]))
            .unwrap();
        assert!((measured.metric.unwrap() - 1.0).abs() < 1e-12);
        assert!((measured.loss - (1.0 + 0.25 + 1.0) / 3.0).abs() < 1e-12);
    }
}
