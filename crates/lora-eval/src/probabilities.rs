//! Class probabilities, one row an example, and the softmax that makes them.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{is_class, same_count};
use crate::softmax::top_class;

/// How far the probabilities of an example may sum from 1. Room for rows that were computed in single precision.
pub const SUM_TOLERANCE: f64 = 1e-5;

/// Probabilities `[examples, classes]`, row-major; each row lies in 0..=1 and sums to 1 within [`SUM_TOLERANCE`].
///
/// Either what a model predicts or a distribution of human labels. The invariants are checked when it is built, also when it is
/// read by serde.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedProbabilities")]
pub struct ClassProbabilities {
    examples: usize,
    classes: usize,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedProbabilities {
    examples: usize,
    classes: usize,
    probabilities: Vec<f64>,
}

impl TryFrom<UncheckedProbabilities> for ClassProbabilities {
    type Error = EvalError;

    fn try_from(unchecked: UncheckedProbabilities) -> Result<Self, EvalError> {
        Self::new(unchecked.examples, unchecked.classes, unchecked.probabilities)
    }
}

impl ClassProbabilities {
    /// Checks and takes `probabilities` `[examples, classes]`, row-major.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without examples or with fewer than two classes, [`EvalError::ValueCount`] for another number
    /// of values, [`EvalError::ProbabilityOutOfRange`] and [`EvalError::ProbabilitySum`] for a row that is no distribution.
    pub fn new(examples: usize, classes: usize, probabilities: Vec<f64>) -> Result<Self, EvalError> {
        check_axes(
            "probabilities",
            &[("examples", examples, 1), ("classes", classes, 2)],
            probabilities.len(),
        )?;
        for (example, row) in probabilities.chunks_exact(classes).enumerate() {
            check_distribution(example, row)?;
        }
        Ok(Self {
            examples,
            classes,
            probabilities,
        })
    }

    /// Takes softmax rows of finite logits, or means of such rows, which are distributions by construction.
    pub(crate) fn from_softmax(examples: usize, classes: usize, probabilities: Vec<f64>) -> Self {
        debug_assert!(
            probabilities
                .chunks_exact(classes)
                .all(|row| check_distribution(0, row).is_ok())
        );
        Self {
            examples,
            classes,
            probabilities,
        }
    }

    /// How many examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All values `[examples, classes]`, row-major.
    pub fn values(&self) -> &[f64] {
        &self.probabilities
    }

    /// The probabilities `[classes]` of one example.
    ///
    /// # Panics
    /// If `example` is out of range.
    pub fn row(&self, example: usize) -> &[f64] {
        &self.probabilities[example * self.classes..][..self.classes]
    }

    /// The rows `[classes]` of all examples in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.probabilities.chunks_exact(self.classes)
    }

    /// The top class of every example; see [`top_class`].
    pub fn top_classes(&self) -> Vec<usize> {
        self.rows().map(top_class).collect()
    }

    /// Refuses labels that don't fit: one class index for every example.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] for another number of labels, [`EvalError::ClassOutOfRange`] for a label that is no class.
    pub fn check_labels(&self, labels: &[usize]) -> Result<(), EvalError> {
        check_labels(self.examples, self.classes, labels)
    }
}

/// Refuses a row that is no distribution over its classes.
pub(crate) fn check_distribution(example: usize, row: &[f64]) -> Result<(), EvalError> {
    if let Some(class) = row.iter().position(|value| !(0.0..=1.0).contains(value)) {
        return Err(EvalError::ProbabilityOutOfRange {
            example,
            class,
            value: row[class],
        });
    }
    let sum: f64 = row.iter().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(EvalError::ProbabilitySum {
            example,
            sum,
            tolerance: SUM_TOLERANCE,
        });
    }
    Ok(())
}

/// Refuses labels that don't fit the examples and classes.
pub(crate) fn check_labels(examples: usize, classes: usize, labels: &[usize]) -> Result<(), EvalError> {
    same_count("the list of labels", examples, labels.len())?;
    let mut each = (0..).zip(labels);
    each.try_for_each(|(example, label)| is_class("label", example, *label, classes))
}

/// Refuses axes `(name, length, minimum)` that are too short or whose product isn't `found`.
pub(crate) fn check_axes(
    what: &'static str,
    axes: &[(&'static str, usize, usize)],
    found: usize,
) -> Result<(), EvalError> {
    if let Some(&(axis, found, minimum)) = axes.iter().find(|(_, length, minimum)| length < minimum) {
        return Err(EvalError::AxisTooShort { axis, found, minimum });
    }
    let lengths: Vec<usize> = axes.iter().map(|axis| axis.1).collect();
    let expected = lengths
        .iter()
        .try_fold(1_usize, |product, length| product.checked_mul(*length))
        .unwrap_or(usize::MAX);
    if found != expected {
        return Err(EvalError::ValueCount {
            what,
            axes: lengths,
            expected,
            found,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn rows_that_are_no_distribution_are_refused_by_place() {
        let new = |values: &[f64]| ClassProbabilities::new(2, 3, values.to_vec()).unwrap_err();
        let good = [0.25, 0.25, 0.5];
        assert_eq!(
            new(&[&good[..], &[0.5, 0.75, -0.25]].concat()),
            EvalError::ProbabilityOutOfRange {
                example: 1,
                class: 2,
                value: -0.25
            }
        );
        assert!(matches!(
            new(&[&good[..], &[0.5, 0.25, f64::NAN]].concat()),
            EvalError::ProbabilityOutOfRange {
                example: 1,
                class: 2,
                ..
            }
        ));
        assert_eq!(
            new(&[&good[..], &[0.5, 0.25, 0.0]].concat()),
            EvalError::ProbabilitySum {
                example: 1,
                sum: 0.75,
                tolerance: SUM_TOLERANCE
            }
        );
        assert!(matches!(
            new(&good),
            EvalError::ValueCount {
                expected: 6,
                found: 3,
                ..
            }
        ));
    }

    #[test]
    fn no_examples_and_a_single_class_are_refused() {
        assert_eq!(
            ClassProbabilities::new(0, 3, vec![]).unwrap_err(),
            EvalError::AxisTooShort {
                axis: "examples",
                found: 0,
                minimum: 1
            }
        );
        assert!(matches!(
            ClassProbabilities::new(2, 1, vec![1.0, 1.0]),
            Err(EvalError::AxisTooShort { axis: "classes", .. })
        ));
    }

    #[test]
    fn labels_must_be_classes_of_every_example() {
        let probabilities = ClassProbabilities::new(2, 2, vec![0.5, 0.5, 1.0, 0.0]).unwrap();
        assert!(probabilities.check_labels(&[0, 1]).is_ok());
        assert!(matches!(
            probabilities.check_labels(&[0]),
            Err(EvalError::ExampleCount { .. })
        ));
        assert!(matches!(
            probabilities.check_labels(&[0, 2]),
            Err(EvalError::ClassOutOfRange {
                example: 1,
                found: 2,
                classes: 2,
                ..
            })
        ));
    }

    #[test]
    fn what_serde_reads_is_checked_too() {
        let text = r#"{"examples":1,"classes":2,"probabilities":[0.5,0.25]}"#;
        let error = serde_json::from_str::<ClassProbabilities>(text).unwrap_err();
        assert!(error.to_string().contains("sum to 0.75"), "{error}");
    }
}
