//! Proper scores: the negative log-likelihood and the Brier score, against labels or against a distribution of human labels.
//!
//! Both are smallest in expectation for the true probabilities (Gneiting and Raftery 2007), so neither can be gamed by being bold
//! or timid. Lower is better.

mod brier;
mod likelihood;

pub use self::brier::BrierScore;
pub use self::likelihood::{NegativeLogLikelihood, PROBABILITY_FLOOR};
use crate::EvalError;
use crate::checks::{is_class, refuse_empty, same_classes, same_count};
use crate::probabilities::{ClassProbabilities, check_distribution};

/// Mean cross-entropy in nats of predictions against the human label distribution of the same examples. At its best it equals
/// the mean entropy of the targets, not 0.
///
/// # Errors
/// [`EvalError::ExampleCount`] or [`EvalError::ClassCount`] if the two don't have the same shape.
pub fn cross_entropy(predicted: &ClassProbabilities, target: &ClassProbabilities) -> Result<f64, EvalError> {
    let mut score = NegativeLogLikelihood::new();
    for (predicted, target) in same_examples(predicted, target)? {
        score.update_soft(predicted, target)?;
    }
    score.mean()
}

/// Mean Brier score of predictions against the human label distribution of the same examples, 0 to 2.
///
/// # Errors
/// [`EvalError::ExampleCount`] or [`EvalError::ClassCount`] if the two don't have the same shape.
pub fn soft_brier(predicted: &ClassProbabilities, target: &ClassProbabilities) -> Result<f64, EvalError> {
    let mut score = BrierScore::new();
    for (predicted, target) in same_examples(predicted, target)? {
        score.update_soft(predicted, target)?;
    }
    score.mean()
}

/// A sum over examples and their number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct MeanScore {
    count: u64,
    sum: f64,
}

impl MeanScore {
    fn check(self, predicted: &[f64], label: usize) -> Result<(), EvalError> {
        check_distribution(self.count as usize, predicted)?;
        is_class("label", self.count, label, predicted.len())
    }

    fn check_soft(self, predicted: &[f64], target: &[f64]) -> Result<(), EvalError> {
        same_classes("the target distribution", predicted.len(), target.len())?;
        check_distribution(self.count as usize, predicted)?;
        check_distribution(self.count as usize, target)
    }

    fn add(&mut self, score: f64) {
        self.count += 1;
        self.sum += score;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }

    fn mean(self, metric: &'static str) -> Result<f64, EvalError> {
        refuse_empty(metric, self.count == 0)?;
        Ok(self.sum / self.count as f64)
    }
}

fn same_examples<'a>(
    predicted: &'a ClassProbabilities,
    target: &'a ClassProbabilities,
) -> Result<impl Iterator<Item = (&'a [f64], &'a [f64])>, EvalError> {
    same_count(
        "the set of target distributions",
        predicted.examples(),
        target.examples(),
    )?;
    Ok(predicted.rows().zip(target.rows()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;
    use crate::uncertainty::entropy;

    #[test]
    fn a_certain_mistake_costs_the_floor_and_a_certain_hit_nothing() {
        let mut score = NegativeLogLikelihood::new();
        score.update(&[0.0, 1.0], 1).unwrap();
        assert!(score.mean().unwrap().abs() < f64::MIN_POSITIVE);
        score.update(&[0.0, 1.0], 0).unwrap();
        // −ln 2⁻⁵² over two examples.
        assert!((score.mean().unwrap() - 26.0 * 2.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_distribution_that_is_certain_is_a_label() {
        let rows = [([0.5, 0.375, 0.125], 1), ([0.25, 0.25, 0.5], 2)];
        let (mut hard, mut soft) = (NegativeLogLikelihood::new(), NegativeLogLikelihood::new());
        let (mut hard_brier, mut soft_brier) = (BrierScore::new(), BrierScore::new());
        for (row, label) in rows {
            let mut target = [0.0; 3];
            target[label] = 1.0;
            hard.update(&row, label).unwrap();
            soft.update_soft(&row, &target).unwrap();
            hard_brier.update(&row, label).unwrap();
            soft_brier.update_soft(&row, &target).unwrap();
        }
        assert_eq!(hard, soft);
        assert_eq!(hard_brier, soft_brier);
    }

    #[test]
    fn a_certain_mistake_has_the_largest_brier_score() {
        let mut score = BrierScore::new();
        score.update(&[1.0, 0.0, 0.0], 2).unwrap();
        assert!((score.mean().unwrap() - 2.0).abs() < 1e-15);
    }

    #[test]
    fn targets_of_another_shape_are_refused() {
        let of = |examples, classes| {
            ClassProbabilities::new(examples, classes, vec![1.0 / classes as f64; examples * classes])
                .unwrap()
        };
        assert!(matches!(
            cross_entropy(&of(2, 3), &of(2, 4)),
            Err(EvalError::ClassCount { .. })
        ));
        assert!(matches!(
            soft_brier(&of(2, 3), &of(3, 3)),
            Err(EvalError::ExampleCount { .. })
        ));
    }

    #[test]
    fn what_is_no_distribution_or_no_class_is_refused_and_not_counted() {
        let mut score = NegativeLogLikelihood::new();
        score.update(&[0.5, 0.5], 0).unwrap();
        assert!(matches!(
            score.update(&[0.5, 0.25], 0),
            Err(EvalError::ProbabilitySum { example: 1, .. })
        ));
        assert!(matches!(
            score.update(&[0.5, 0.5], 2),
            Err(EvalError::ClassOutOfRange { example: 1, .. })
        ));
        assert!((score.mean().unwrap() - 2.0_f64.ln()).abs() < 1e-15);
        assert!(matches!(
            BrierScore::new().mean(),
            Err(EvalError::NoExamples { .. })
        ));
    }

    fn distribution() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.01_f64..1.0, 4).prop_map(|values| {
            let sum: f64 = values.iter().sum();
            values.iter().map(|value| value / sum).collect()
        })
    }

    proptest! {
        #[test]
        fn no_prediction_beats_the_target_itself(predicted in distribution(), target in distribution()) {
            let mut score = NegativeLogLikelihood::new();
            score.update_soft(&predicted, &target).unwrap();
            prop_assert!(score.mean().unwrap() >= entropy(&target) - 1e-12);
        }
    }
}
