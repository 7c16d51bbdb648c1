//! Paired difference of two methods over examples *and* seeds: could it be chance, of the test examples or of the trainings?
//!
//! Every seed is a training, and each is tested on the same examples: two factors that cross. The mean difference varies with the draw of
//! examples and with the draw of seeds, and the variances add up (Owen 2007, "The pigeonhole bootstrap": the sum of both is never too
//! small). With few seeds their variance is itself uncertain, so the interval has the quantile of Student's t, with Satterthwaite's degrees
//! of freedom: near those of the seeds where they vary most, near those of the examples where these do. These are estimated too: of equal
//! methods, 3 to 7 in 100 look different at 95 %, the most where three seeds vary about as much as the examples (a test counts them).

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{at_least, finite_difference, level_within, same_count};
use crate::student::{mean, t_quantile, variance_of_mean};

/// A mean difference with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossedInterval {
    /// Mean of the first method's values minus the second's.
    pub difference: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Of Student's t; infinite where nothing varies.
    pub degrees_of_freedom: f64,
}

impl CrossedInterval {
    /// The interval of this level for one list of values `[examples]` a seed and method, both methods in the same order. With one seed it
    /// speaks of the examples alone.
    ///
    /// ```
    /// use lora_eval::CrossedInterval;
    /// // Two seeds, three examples: the first method is better by 0.4 on average.
    /// let ours = [vec![0.1, 0.5, 0.3], vec![0.2, 0.5, 0.2]];
    /// let theirs = [vec![0.6, 0.8, 0.7], vec![0.6, 0.9, 0.6]];
    /// let interval = CrossedInterval::of(&ours, &theirs, 0.95)?;
    /// assert!((interval.difference + 0.4).abs() < 1e-12 && interval.lower < -0.4);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ConfidenceLevel`] for a level that is not between 0 and 1, [`EvalError::AxisTooShort`] without seeds or with fewer than
    /// two examples, [`EvalError::ExampleCount`] for another number of seeds or lists of different lengths,
    /// [`EvalError::DifferenceNotFinite`] for values that are NaN or infinite.
    pub fn of(first: &[Vec<f64>], second: &[Vec<f64>], level: f64) -> Result<Self, EvalError> {
        level_within(level)?;
        let [seeds, examples] = shape(first, second)?;
        let of_cell = |seed: usize, example: usize| first[seed][example] - second[seed][example];
        let of_seeds: Vec<f64> = (0..seeds)
            .map(|seed| mean((0..examples).map(|example| of_cell(seed, example))))
            .collect();
        let of_examples: Vec<f64> = (0..examples)
            .map(|example| mean((0..seeds).map(|seed| of_cell(seed, example))))
            .collect();
        let parts = [error_of_mean(&of_seeds), error_of_mean(&of_examples)];
        let variance: f64 = parts.iter().map(|(variance, _)| variance).sum();
        let spread: f64 = parts
            .iter()
            .filter(|(variance, _)| *variance > 0.0)
            .map(|(variance, freedom)| variance.powi(2) / freedom)
            .sum();
        let difference = finite_difference(mean(of_seeds.iter().copied()), None)?;
        let standard_error = variance.sqrt();
        let (half, degrees_of_freedom) = if spread > 0.0 {
            let freedom = variance.powi(2) / spread;
            let quantile = t_quantile(f64::midpoint(1.0, level), freedom)
                .ok_or(EvalError::ConfidenceLevel { found: level })?;
            (quantile * standard_error, freedom)
        } else {
            (0.0, f64::INFINITY)
        };
        Ok(Self {
            difference,
            lower: difference - half,
            upper: difference + half,
            standard_error,
            degrees_of_freedom,
        })
    }

    /// Whether 0 lies outside of the interval: the methods differ at this level.
    pub fn excludes_zero(&self) -> bool {
        self.lower > 0.0 || self.upper < 0.0
    }
}

/// Seeds and examples.
fn shape(first: &[Vec<f64>], second: &[Vec<f64>]) -> Result<[usize; 2], EvalError> {
    same_count("the seeds of the second method", first.len(), second.len())?;
    let examples = first.first().map_or(0, Vec::len);
    for list in first.iter().chain(second) {
        same_count("the list of a seed", examples, list.len())?;
    }
    at_least("seeds", first.len(), 1)?;
    at_least("examples", examples, 2)?;
    Ok([first.len(), examples])
}

/// Variance of the mean, and its degrees of freedom; 0 of a single value, which tells nothing.
fn error_of_mean(values: &[f64]) -> (f64, f64) {
    let freedom = values.len() as f64 - 1.0;
    if freedom < 1.0 {
        return (0.0, 0.0);
    }
    let center = mean(values.iter().copied());
    (variance_of_mean(values, center), freedom)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn against_zero(values: &[Vec<f64>]) -> CrossedInterval {
        let zeros: Vec<Vec<f64>> = values.iter().map(|list| vec![0.0; list.len()]).collect();
        CrossedInterval::of(values, &zeros, 0.95).unwrap()
    }

    #[test]
    fn one_seed_gives_the_interval_of_a_paired_t_test() {
        // The quantile is t(3) of any table: 3.182446.
        let interval =
            CrossedInterval::of(&[vec![2.0, 0.5, 1.0, 4.0]], &[vec![1.0, 0.25, 3.0, 0.0]], 0.95).unwrap();
        let deviation = ([1.0, 0.25, -2.0, 4.0]
            .map(|value: f64| (value - 0.8125).powi(2))
            .iter()
            .sum::<f64>()
            / 3.0)
            .sqrt();
        let half = 3.182_446_305_284_263 * deviation / 2.0;
        assert!((interval.difference - 0.8125).abs() < 1e-12);
        assert!(
            (interval.upper - 0.8125 - half).abs() < 1e-9,
            "{interval:?}, {half}"
        );
        assert!((interval.degrees_of_freedom - 3.0).abs() < 1e-12);
    }

    #[test]
    fn where_seeds_alone_vary_their_number_decides() {
        // Every example agrees; three seeds say 0, 1 and 2: mean 1, standard error 1/√3, t(2) = 4.302653.
        let interval = against_zero(&[vec![0.0; 50], vec![1.0; 50], vec![2.0; 50]]);
        let half = 4.302_652_729_749_464 / 3.0_f64.sqrt();
        assert!((interval.upper - 1.0 - half).abs() < 1e-9, "{interval:?}");
        assert!(!interval.excludes_zero());
    }

    #[test]
    fn nothing_varies_and_nothing_is_left_open() {
        let interval = against_zero(&[vec![0.5; 4], vec![0.5; 4]]);
        assert_eq!((interval.lower, interval.upper), (0.5, 0.5));
        assert!(interval.excludes_zero());
        assert!(!against_zero(&[vec![0.0; 4]]).excludes_zero());
    }

    /// What 95 % says is one in twenty. The degrees of freedom are estimated, so it is 3 to 7 in a hundred.
    #[test]
    fn of_equal_methods_few_look_different() {
        const DRAWS: usize = 2_000;
        let mut generator = ChaCha8Rng::seed_from_u64(4);
        let mut normal = |deviation: f64| -> f64 {
            let value: f64 = StandardNormal.sample(&mut generator);
            deviation * value
        };
        // Deviations of seeds, examples, and both together.
        for (seeds, of_seed, of_example, of_both) in [
            (3, 1.0, 1.0, 1.0),
            (5, 1.0, 0.0, 0.1),
            (5, 0.0, 1.0, 1.0),
            (2, 0.3, 2.0, 0.5),
        ] {
            let mut different = 0;
            for _ in 0..DRAWS {
                let examples: Vec<f64> = (0..40).map(|_| normal(of_example)).collect();
                let lists: Vec<Vec<f64>> = (0..seeds)
                    .map(|_| {
                        let shift = normal(of_seed);
                        examples
                            .iter()
                            .map(|example| example + shift + normal(of_both))
                            .collect()
                    })
                    .collect();
                different += usize::from(against_zero(&lists).excludes_zero());
            }
            let share = different as f64 / DRAWS as f64;
            // Three standard errors above 7 in a hundred.
            assert!((0.02..0.087).contains(&share), "{seeds} seeds: {share}");
        }
    }

    #[test]
    fn bad_levels_and_lists_that_do_not_match_are_refused() {
        let (lists, other) = ([vec![0.0; 3], vec![1.0; 3]], [vec![0.0; 3], vec![1.0; 2]]);
        for level in [0.0, 1.0, f64::NAN] {
            assert!(matches!(
                CrossedInterval::of(&lists, &lists, level),
                Err(EvalError::ConfidenceLevel { .. })
            ));
        }
        let refused =
            |first: &[Vec<f64>], second: &[Vec<f64>]| CrossedInterval::of(first, second, 0.95).unwrap_err();
        assert!(matches!(
            refused(&lists, &lists[..1]),
            EvalError::ExampleCount { .. }
        ));
        assert!(matches!(refused(&lists, &other), EvalError::ExampleCount { .. }));
        assert!(matches!(refused(&[], &[]), EvalError::AxisTooShort { .. }));
        assert!(matches!(
            refused(&[vec![1.0]], &[vec![2.0]]),
            EvalError::AxisTooShort { .. }
        ));
    }
}
