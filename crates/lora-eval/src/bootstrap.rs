//! Paired bootstrap: could the difference between two methods on the same examples be chance?
//!
//! Examples are drawn with replacement, as many as there are; both methods are scored on the *same* draw, so that what is hard
//! for both cancels out. The interval lies between two percentiles of the resampled differences (Efron and Tibshirani 1993,
//! chapter 13). It speaks of the choice of test examples only, not of the seeds of training: see [`MeanStd`](crate::MeanStd), and
//! [`CrossedInterval`](crate::CrossedInterval) for both at once.

use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{finite_difference, level_within, paired_differences};

/// How to bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// How many resamples; at least 1, thousands to be of use.
    pub resamples: usize,
    /// Share of the resampled differences inside of the interval, between 0 and 1.
    pub level: f64,
    /// Seed of the resamples. The same seed gives the same interval on every machine.
    pub seed: u64,
}

/// The difference of two methods and its percentile interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapInterval {
    /// The difference on the data itself.
    pub difference: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// The settings that made it.
    pub settings: Bootstrap,
}

impl Default for Bootstrap {
    /// 10,000 resamples, 95 %, seed 0.
    fn default() -> Self {
        Self {
            resamples: 10_000,
            level: 0.95,
            seed: 0,
        }
    }
}

impl BootstrapInterval {
    /// Whether 0 lies outside of the interval: the methods differ at this level.
    pub fn excludes_zero(&self) -> bool {
        self.lower > 0.0 || self.upper < 0.0
    }
}

impl Bootstrap {
    /// Interval of any difference over `examples` examples.
    ///
    /// `difference` is called with the indices `[examples]` of each draw (first with `0..examples`, the data itself) and returns
    /// the metric of the first method minus that of the second on those examples.
    ///
    /// ```
    /// use lora_eval::Bootstrap;
    /// let (ours, theirs) = ([true, true, true, false, true], [true, false, true, false, false]);
    /// let accuracy = |correct: &[bool], draw: &[usize]| {
    ///     draw.iter().filter(|index| correct[**index]).count() as f64 / draw.len() as f64
    /// };
    /// let interval = Bootstrap::default()
    ///     .paired(5, |draw| Ok(accuracy(&ours, draw) - accuracy(&theirs, draw)))?;
    /// assert!((interval.difference - 0.4).abs() < 1e-12 && !interval.excludes_zero());
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ResampleCount`] and [`EvalError::ConfidenceLevel`] for bad settings, [`EvalError::NoExamples`] without
    /// examples, [`EvalError::DifferenceNotFinite`] if the difference is NaN or infinite, and whatever `difference` returns.
    pub fn paired(
        &self,
        examples: usize,
        mut difference: impl FnMut(&[usize]) -> Result<f64, EvalError>,
    ) -> Result<BootstrapInterval, EvalError> {
        if self.resamples == 0 {
            return Err(EvalError::ResampleCount { found: 0, minimum: 1 });
        }
        level_within(self.level)?;
        let none = EvalError::NoExamples {
            metric: "paired bootstrap difference",
        };
        let Ok(any_example) = Uniform::new(0, examples) else {
            return Err(none);
        };
        let mut difference = |draw: &[usize], resample| finite_difference(difference(draw)?, resample);

        let mut draw: Vec<usize> = (0..examples).collect();
        let on_the_data = difference(&draw, None)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut differences = Vec::new();
        for resample in 0..self.resamples {
            draw.fill_with(|| any_example.sample(&mut rng));
            differences.push(difference(&draw, Some(resample))?);
        }
        differences.sort_unstable_by(f64::total_cmp);
        Ok(BootstrapInterval {
            difference: on_the_data,
            lower: percentile(&differences, (1.0 - self.level) / 2.0),
            upper: percentile(&differences, f64::midpoint(1.0, self.level)),
            settings: *self,
        })
    }

    /// Interval of the difference of two means, for metrics that are a mean over examples (accuracy, NLL, Brier, squared error):
    /// one value an example for each method.
    ///
    /// # Errors
    /// As [`paired`](Self::paired), and [`EvalError::ExampleCount`] for lists of different lengths.
    pub fn paired_means(&self, first: &[f64], second: &[f64]) -> Result<BootstrapInterval, EvalError> {
        let differences = paired_differences(first, second)?;
        let mean =
            |draw: &[usize]| draw.iter().map(|index| differences[*index]).sum::<f64>() / draw.len() as f64;
        self.paired(differences.len(), |draw| Ok(mean(draw)))
    }
}

/// The value below which a share of the ascending `sorted` values lies, linear between neighbours (numpy's default).
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_sign_loss, reason = "a share of a length is not negative")]
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn percentiles_are_linear_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert!((percentile(&sorted, 0.0) - 1.0).abs() < 1e-15);
        assert!((percentile(&sorted, 0.375) - 3.0).abs() < 1e-15);
        assert!((percentile(&sorted, 1.0) - 16.0).abs() < 1e-15);
        assert!((percentile(&[5.0], 0.3) - 5.0).abs() < 1e-15);
    }

    #[test]
    fn two_examples_give_the_percentiles_of_the_enumerated_distribution() {
        // Differences 0 and 1: the mean of two draws is 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
        let of = |level| {
            let settings = Bootstrap {
                resamples: 4000,
                level,
                seed: 7,
            };
            let interval = settings.paired_means(&[1.0, 3.0], &[1.0, 2.0]).unwrap();
            (interval.difference, interval.lower, interval.upper)
        };
        assert_eq!(of(0.4), (0.5, 0.5, 0.5));
        assert_eq!(of(0.6), (0.5, 0.0, 1.0));
    }

    #[test]
    fn the_interval_of_a_mean_is_near_the_normal_one() {
        // Differences 0 and 1 half each over 400 examples: the standard error of the mean is 1/2 / √400 = 1/40.
        let first: Vec<f64> = (0_u16..400).map(|index| f64::from(index % 2)).collect();
        let interval = Bootstrap::default().paired_means(&first, &[0.0; 400]).unwrap();
        let half = 1.96 / 40.0;
        // A tenth of the half width is more than four standard errors of a percentile from 10,000 resamples.
        assert!(
            (interval.lower - (0.5 - half)).abs() < half / 10.0,
            "{interval:?}"
        );
        assert!(
            (interval.upper - (0.5 + half)).abs() < half / 10.0,
            "{interval:?}"
        );
        assert!(interval.excludes_zero());
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_seed_another() {
        let values: Vec<f64> = (0_u8..50).map(|index| (f64::from(index) * 0.37).sin()).collect();
        let of = |seed| {
            let settings = Bootstrap {
                resamples: 200,
                level: 0.9,
                seed,
            };
            let interval = settings.paired_means(&values, &[0.0; 50]).unwrap();
            (interval.lower, interval.upper)
        };
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn a_method_compared_with_itself_differs_by_nothing() {
        let values = [0.2, 0.4, 0.9];
        let interval = Bootstrap::default().paired_means(&values, &values).unwrap();
        assert_eq!(
            (interval.difference, interval.lower, interval.upper),
            (0.0, 0.0, 0.0)
        );
        assert!(!interval.excludes_zero());
    }

    #[test]
    fn bad_settings_and_unequal_lists_are_refused() {
        let settings = Bootstrap::default();
        let of = |settings: Bootstrap| settings.paired_means(&[1.0], &[0.0]).unwrap_err();
        assert!(matches!(
            of(Bootstrap {
                resamples: 0,
                ..settings
            }),
            EvalError::ResampleCount { .. }
        ));
        for level in [0.0, 1.0, f64::NAN] {
            assert!(matches!(
                of(Bootstrap { level, ..settings }),
                EvalError::ConfidenceLevel { .. }
            ));
        }
        assert!(matches!(
            settings.paired_means(&[], &[]),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            settings.paired_means(&[1.0], &[]),
            Err(EvalError::ExampleCount { .. })
        ));
    }

    #[test]
    fn a_metric_without_a_value_names_the_resample() {
        let on_the_data = Bootstrap::default().paired(3, |_| Ok(f64::NAN)).unwrap_err();
        assert!(matches!(
            on_the_data,
            EvalError::DifferenceNotFinite { resample: None, .. }
        ));
        let mut calls = 0;
        let later = Bootstrap::default().paired(3, |_| {
            calls += 1;
            Ok(if calls == 3 { f64::INFINITY } else { 0.0 })
        });
        assert!(matches!(
            later,
            Err(EvalError::DifferenceNotFinite {
                resample: Some(1),
                ..
            })
        ));
    }
}
