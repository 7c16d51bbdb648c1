//! The metrics of the GLUE benchmark, combined as its script combines them (Wang et al. 2019).
//!
//! | metric | tasks | parts | the task's score |
//! |---|---|---|---|
//! | accuracy | SST-2, MNLI (matched and mismatched), QNLI, RTE | `accuracy` | itself |
//! | Matthews | CoLA | `matthews` | itself |
//! | accuracy and F1 | MRPC, QQP | `accuracy`, `f1` of class 1 | their mean |
//! | Pearson and Spearman | STS-B | `pearson`, `spearman` | their mean |
//!
//! All are fractions; papers print them times 100.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::same_count;
use crate::classification::{ConfusionMatrix, F1Average};
use crate::regression::{Correlation, RankCorrelation};

/// What a GLUE task is scored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlueMetric {
    /// Share of right answers.
    Accuracy,
    /// Matthews' correlation.
    Matthews,
    /// Share of right answers, and F1 of class 1.
    AccuracyAndF1,
    /// Pearson and Spearman correlation.
    PearsonAndSpearman,
}

/// The parts of a GLUE metric, and the one number that stands for the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlueScore {
    /// Name and value of each part, in the order of the table above.
    pub parts: Vec<(String, f64)>,
    /// The mean of the parts: what an average over tasks takes.
    pub score: f64,
}

impl GlueScore {
    fn of(parts: &[(&str, f64)]) -> Self {
        Self {
            parts: parts
                .iter()
                .map(|&(name, value)| (name.to_owned(), value))
                .collect(),
            score: parts.iter().map(|(_, value)| value).sum::<f64>() / parts.len() as f64,
        }
    }
}

impl GlueMetric {
    /// The score of counted classes; [`ConfusionMatrix`] is what batches are gathered in.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty matrix, [`EvalError::PositiveClass`] for F1 without a class 1,
    /// [`EvalError::WrongKind`] for correlations, which are of a regression.
    pub fn of_classes(self, confusion: &ConfusionMatrix) -> Result<GlueScore, EvalError> {
        let accuracy = ("accuracy", confusion.accuracy()?);
        Ok(match self {
            Self::Accuracy => GlueScore::of(&[accuracy]),
            Self::Matthews => GlueScore::of(&[("matthews", confusion.matthews()?)]),
            Self::AccuracyAndF1 => {
                let f1 = confusion.f1(F1Average::Binary { positive: 1 })?;
                GlueScore::of(&[accuracy, ("f1", f1)])
            }
            Self::PearsonAndSpearman => {
                return Err(EvalError::WrongKind {
                    metric: "Pearson and Spearman correlation",
                    needed: "predicted numbers, not classes",
                });
            }
        })
    }

    /// The score of predicted values, one a target.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`], [`EvalError::NoExamples`], [`EvalError::ValueNotFinite`], [`EvalError::ConstantValues`];
    /// [`EvalError::WrongKind`] for a metric of classes.
    pub fn of_values(self, predictions: &[f64], targets: &[f64]) -> Result<GlueScore, EvalError> {
        if self != Self::PearsonAndSpearman {
            return Err(EvalError::WrongKind {
                metric: "a metric of classes",
                needed: "predicted classes, not numbers",
            });
        }
        same_count("the list of predictions", targets.len(), predictions.len())?;
        let (mut correlation, mut ranks) = (Correlation::new(), RankCorrelation::new());
        for (prediction, target) in predictions.iter().zip(targets) {
            correlation.update(*prediction, *target)?;
            ranks.update(*prediction, *target)?;
        }
        let parts = [
            ("pearson", correlation.pearson()?),
            ("spearman", ranks.spearman()?),
        ];
        Ok(GlueScore::of(&parts))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_metric_of_the_other_kind_is_refused() {
        let mut confusion = ConfusionMatrix::new(2);
        confusion.update(1, 1).unwrap();
        let error = GlueMetric::PearsonAndSpearman.of_classes(&confusion).unwrap_err();
        assert!(matches!(error, EvalError::WrongKind { .. }));
        let error = GlueMetric::Accuracy.of_values(&[1.0], &[1.0]).unwrap_err();
        assert!(
            error.to_string().contains("choose the metric of the task"),
            "{error}"
        );
    }
}
