//! The accuracy family: everything that follows from which class was predicted for which label.

mod by_class;
mod f1;

pub use self::by_class::ScoresOfClass;
pub use self::f1::F1Average;
use crate::EvalError;
use crate::checks::{is_class, same_classes};

/// Counts of (label, predicted class) pairs: update it with every example, merge those of batches, read the scores at the end.
///
/// All sums are integers, so the scores don't depend on the order or the split into batches by a single bit.
///
/// ```
/// use lora_eval::classification::ConfusionMatrix;
/// let mut matrix = ConfusionMatrix::new(2);
/// for (label, predicted) in [(0, 0), (1, 1), (1, 0), (0, 0)] {
///     matrix.update(label, predicted)?;
/// }
/// assert_eq!(matrix.accuracy()?, 0.75);
/// assert_eq!(matrix.count_of(1, 0), 1);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// `[classes, classes]`, row-major: rows are labels, columns are predictions.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty matrix over `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Adds one example.
    ///
    /// # Errors
    /// [`EvalError::ClassOutOfRange`] for a label or a prediction that is no class.
    pub fn update(&mut self, label: usize, predicted: usize) -> Result<(), EvalError> {
        for (what, found) in [("label", label), ("prediction", predicted)] {
            is_class(what, self.count(), found, self.classes)?;
        }
        self.counts[label * self.classes + predicted] += 1;
        Ok(())
    }

    /// Adds the examples of another matrix over the same classes.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] for another number of classes.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        same_classes("the other confusion matrix", self.classes, other.classes)?;
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(into, from)| *into += from);
        Ok(())
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many examples it holds.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many examples with this label were predicted as this class.
    ///
    /// # Panics
    /// If either is no class.
    pub fn count_of(&self, label: usize, predicted: usize) -> u64 {
        assert!(label < self.classes && predicted < self.classes, "no such class");
        self.counts[label * self.classes + predicted]
    }

    /// Share of the examples whose prediction is the label, 0..=1.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty matrix.
    pub fn accuracy(&self) -> Result<f64, EvalError> {
        Ok(self.hits() as f64 / self.examples("accuracy")? as f64)
    }

    /// Mean recall of the classes that occur as a label, 0..=1 (scikit-learn's `balanced_accuracy_score`).
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty matrix.
    pub fn balanced_accuracy(&self) -> Result<f64, EvalError> {
        self.examples("balanced accuracy")?;
        let recalls: Vec<f64> = (0..self.classes)
            .filter_map(|class| self.of_class(class).recall)
            .collect();
        Ok(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// Matthews correlation coefficient over all classes, −1..=1 (Gorodkin 2004); 0 when the labels or the predictions are all
    /// of one class, as scikit-learn answers.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty matrix.
    pub fn matthews(&self) -> Result<f64, EvalError> {
        // Integers up to the square root: a covariance of exactly 0 must come out as exactly 0.
        let count = i128::from(self.examples("Matthews correlation")?);
        let (mut mixed, mut of_labels, mut of_predictions) = (0, 0, 0);
        for class in 0..self.classes {
            let (labelled, predicted) = (
                i128::from(self.labelled(class)),
                i128::from(self.predicted(class)),
            );
            mixed += labelled * predicted;
            of_labels += labelled * labelled;
            of_predictions += predicted * predicted;
        }
        let covariance = i128::from(self.hits()) * count - mixed;
        let variances = (count * count - of_labels) as f64 * (count * count - of_predictions) as f64;
        Ok(if variances == 0.0 {
            0.0
        } else {
            covariance as f64 / variances.sqrt()
        })
    }

    fn examples(&self, metric: &'static str) -> Result<u64, EvalError> {
        match self.count() {
            0 => Err(EvalError::NoExamples { metric }),
            count => Ok(count),
        }
    }

    fn hits(&self) -> u64 {
        (0..self.classes).map(|class| self.count_of(class, class)).sum()
    }

    fn labelled(&self, class: usize) -> u64 {
        (0..self.classes)
            .map(|predicted| self.count_of(class, predicted))
            .sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|label| self.count_of(label, class)).sum()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// Rows are labels: `[[3, 1, 0], [0, 2, 0], [1, 0, 0]]`, seven examples.
    fn three_classes() -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(3);
        for (label, predicted, times) in [(0, 0, 3), (0, 1, 1), (1, 1, 2), (2, 0, 1)] {
            for _ in 0..times {
                matrix.update(label, predicted).unwrap();
            }
        }
        matrix
    }

    #[test]
    fn scores_follow_their_definitions_on_a_matrix_done_by_hand() {
        let matrix = three_classes();
        let near = |found: Result<f64, EvalError>, expected: f64| {
            let found = found.unwrap();
            assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
        };
        near(matrix.accuracy(), 5.0 / 7.0);
        near(matrix.balanced_accuracy(), (0.75 + 1.0 + 0.0) / 3.0);
        // F1 = 2·hits / (labelled + predicted): 6/8, 4/5, 0/1.
        near(matrix.f1(F1Average::Binary { positive: 0 }), 0.75);
        near(matrix.f1(F1Average::Macro), (0.75 + 0.8) / 3.0);
        near(matrix.f1(F1Average::Weighted), (4.0 * 0.75 + 2.0 * 0.8) / 7.0);
        near(matrix.f1(F1Average::Micro), 5.0 / 7.0);
        // Labels (4, 2, 1), predictions (4, 3, 0): (5·7 − 22) / √((49 − 21)(49 − 25)).
        near(matrix.matthews(), 13.0 / (28.0_f64 * 24.0).sqrt());
    }

    #[test]
    fn a_class_that_never_occurs_is_left_out_of_the_means() {
        let mut matrix = ConfusionMatrix::new(5);
        matrix.update(1, 1).unwrap();
        matrix.update(3, 1).unwrap();
        assert!((matrix.balanced_accuracy().unwrap() - 0.5).abs() < 1e-15);
        assert!((matrix.f1(F1Average::Macro).unwrap() - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn matthews_is_zero_when_only_one_class_is_predicted() {
        let mut matrix = ConfusionMatrix::new(2);
        matrix.update(0, 0).unwrap();
        matrix.update(1, 0).unwrap();
        assert!(matrix.matthews().unwrap().abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn a_label_that_is_no_class_is_refused_with_its_example() {
        let error = three_classes().update(3, 0).unwrap_err();
        assert_eq!(
            error,
            EvalError::ClassOutOfRange {
                what: "label",
                example: 7,
                found: 3,
                classes: 3
            }
        );
        assert!(three_classes().update(0, 3).is_err());
        let error = three_classes().f1(F1Average::Binary { positive: 3 }).unwrap_err();
        assert_eq!(error, EvalError::PositiveClass { found: 3, classes: 3 });
    }

    #[test]
    fn nothing_scored_has_no_score() {
        let empty = ConfusionMatrix::new(2);
        for score in [
            empty.accuracy(),
            empty.balanced_accuracy(),
            empty.f1(F1Average::Macro),
            empty.matthews(),
        ] {
            assert!(matches!(score, Err(EvalError::NoExamples { .. })));
        }
    }

    #[test]
    fn matrices_over_different_classes_do_not_merge() {
        let error = three_classes().merge(&ConfusionMatrix::new(2)).unwrap_err();
        assert!(matches!(
            error,
            EvalError::ClassCount {
                expected: 3,
                found: 2,
                ..
            }
        ));
    }
}
