//! Which evaluation was the best, and when to stop waiting for a better one.

use crate::config::TrainConfig;
use crate::metric::Metric;
use crate::state::{StateError, TrainingState};

/// Follows the metric over evaluations, by the rules of Hugging Face's `Trainer` and `EarlyStoppingCallback`: every
/// strictly better value is the best; one that is better by no more than the threshold does not renew the patience.
#[derive(Clone, Debug)]
pub(crate) struct BestSoFar {
    metric: Metric,
    patience: Option<u64>,
    threshold: f64,
    best: Option<f64>,
    without_improvement: u64,
}

impl BestSoFar {
    pub(crate) fn new(config: &TrainConfig) -> Self {
        Self {
            metric: config.metric_for_best_model,
            patience: config.early_stopping_patience,
            threshold: config.early_stopping_threshold,
            best: None,
            without_improvement: 0,
        }
    }

    /// Takes the metric of an evaluation, and answers whether it is the best so far; a metric without value, or whose value is no finite
    /// number, is never better.
    pub(crate) fn judge(&mut self, value: Option<f64>) -> bool {
        let value = value.filter(|value| value.is_finite());
        let gain = match (value, self.best) {
            (None, _) => f64::NEG_INFINITY,
            (Some(_), None) => f64::INFINITY,
            (Some(value), Some(best)) if self.metric.smaller_is_better() => best - value,
            (Some(value), Some(best)) => value - best,
        };
        let is_best = gain > 0.0;
        if is_best {
            self.best = value;
        }
        if gain > self.threshold {
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        is_best
    }

    /// Whether the last evaluations were all without improvement.
    pub(crate) fn out_of_patience(&self) -> bool {
        self.patience
            .is_some_and(|patience| self.without_improvement >= patience)
    }

    /// Patience begins anew: training has gone back, and goes on otherwise.
    pub(crate) fn renew_patience(&mut self) {
        self.without_improvement = 0;
    }

    pub(crate) fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        state.put("metric", &self.best);
        state.put("without_improvement", &self.without_improvement);
        state
    }

    pub(crate) fn restore(mut self, mut state: TrainingState) -> Result<Self, StateError> {
        self.best = state.take("metric")?;
        self.without_improvement = state.take("without_improvement")?;
        state.finish()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdicts(metric: Metric, threshold: f64, values: &[Option<f64>]) -> Vec<(bool, bool)> {
        let config = TrainConfig {
            metric_for_best_model: metric,
            early_stopping_patience: Some(2),
            early_stopping_threshold: threshold,
            ..TrainConfig::new(1e-3, 1.0, 4)
        };
        let mut best = BestSoFar::new(&config);
        values
            .iter()
            .map(|value| {
                let is_best = best.judge(*value);
                (is_best, best.out_of_patience())
            })
            .collect()
    }

    #[test]
    fn an_equal_value_is_no_improvement() {
        let values = [0.5, 0.5, 0.6, 0.55, 0.6].map(Some);
        assert_eq!(
            verdicts(Metric::Accuracy, 0.0, &values),
            [
                (true, false),
                (false, false),
                (true, false),
                (false, false),
                (false, true)
            ]
        );
    }

    #[test]
    fn a_smaller_loss_is_better() {
        let values = [0.7, 0.6, 0.65, 0.5].map(Some);
        assert_eq!(
            verdicts(Metric::Loss, 0.0, &values),
            [(true, false), (true, false), (false, false), (true, false)]
        );
    }

    #[test]
    fn gains_within_the_threshold_are_best_but_do_not_renew_the_patience() {
        let values = [0.5, 0.505, 0.51].map(Some);
        assert_eq!(
            verdicts(Metric::Accuracy, 0.01, &values),
            [(true, false), (true, false), (true, true)]
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_never_the_best() {
        let values = [f64::NAN, 0.7, f64::NEG_INFINITY, 0.6].map(Some);
        assert_eq!(
            verdicts(Metric::Loss, 0.0, &values),
            [(false, false), (true, false), (false, false), (true, false)]
        );
    }

    #[test]
    fn a_metric_without_value_is_never_the_best() {
        assert_eq!(
            verdicts(Metric::Pearson, 0.0, &[None, Some(-0.2), None, None]),
            [(false, false), (true, false), (false, false), (false, true)]
        );
    }

    proptest! {
        /// Values with many ties, and some that are missing.
        #[test]
        fn the_best_is_the_first_of_the_smallest_and_patience_counts_evaluations_since_then(
            values in proptest::collection::vec(proptest::option::of(0_u8..6), 1..20), patience in 1_u64..5,
        ) {
            let config = TrainConfig {
                metric_for_best_model: Metric::Loss,
                early_stopping_patience: Some(patience),
                ..TrainConfig::new(1e-3, 1.0, 4)
            };
            let mut best = BestSoFar::new(&config);
            for seen in 1..=values.len() {
                let so_far = &values[..seen];
                let smallest = so_far.iter().flatten().min();
                let first = smallest.and_then(|smallest| so_far.iter().position(|value| value.as_ref() == Some(smallest)));
                let since = (seen - first.map_or(0, |first| first + 1)) as u64;
                let is_best = best.judge(values[seen - 1].map(f64::from));
                prop_assert_eq!(is_best, first == Some(seen - 1));
                prop_assert_eq!(best.out_of_patience(), since >= patience);
            }
        }
    }
}
