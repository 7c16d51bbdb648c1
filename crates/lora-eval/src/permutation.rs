//! Paired permutation test: if two methods were the same, how often would chance make them differ this much?
//!
//! Under that hypothesis the two answers to an example may be exchanged. The test exchanges them at random, example by example, and
//! counts the exchanges whose difference is at least as far from 0 as the one observed (two-sided; Good 2005, chapter 3). It
//! speaks of the choice of test examples only, as the [bootstrap](crate::Bootstrap) does.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{finite_difference, paired_differences, refuse_empty};

/// How to permute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permutation {
    /// How many random exchanges; at least 1, thousands to be of use. With so few examples that there are no more exchanges than
    /// this, each is counted once instead.
    pub permutations: u64,
    /// Seed of the exchanges. The same seed gives the same p on every machine.
    pub seed: u64,
}

/// The difference of two methods and how probable it is without one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PermutationTest {
    /// The difference on the data itself.
    pub difference: f64,
    /// Two-sided p value: the share of exchanges that differ at least as much. Of random exchanges it is
    /// `(1 + hits) / (1 + permutations)`, so never 0 (Phipson and Smyth 2010).
    pub p_value: f64,
    /// How many exchanges were looked at.
    pub permutations: u64,
    /// Whether these were all exchanges that there are.
    pub exact: bool,
}

/// Differences this close, relative to the observed one, are equal: sums in another order differ in their last bits.
const ROUNDING: f64 = 1e-12;

impl Default for Permutation {
    /// 10,000 exchanges, seed 0.
    fn default() -> Self {
        Self {
            permutations: 10_000,
            seed: 0,
        }
    }
}

impl Permutation {
    /// Tests any difference over `examples` examples.
    ///
    /// `difference` is called with one mark an example (first without any): whether the answers of the two methods are exchanged
    /// there. It returns the metric of the first method minus that of the second.
    ///
    /// # Errors
    /// [`EvalError::ResampleCount`] for no permutations, [`EvalError::NoExamples`] without examples,
    /// [`EvalError::DifferenceNotFinite`] if the difference is NaN or infinite, and whatever `difference` returns.
    pub fn paired(
        &self,
        examples: usize,
        mut difference: impl FnMut(&[bool]) -> Result<f64, EvalError>,
    ) -> Result<PermutationTest, EvalError> {
        if self.permutations == 0 {
            return Err(EvalError::ResampleCount { found: 0, minimum: 1 });
        }
        refuse_empty("paired permutation test", examples == 0)?;
        let mut finite = |exchanged: &[bool], index| finite_difference(difference(exchanged)?, index);
        let mut exchanged = vec![false; examples];
        let observed = finite(&exchanged, None)?;
        let least = observed.abs() * (1.0 - ROUNDING);

        let all = u32::try_from(examples)
            .ok()
            .and_then(|examples| 1_u64.checked_shl(examples));
        let all = all.filter(|all| *all > 0 && *all <= self.permutations);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let permutations = all.unwrap_or(self.permutations);
        let mut hits = 0_u64;
        for index in 0..permutations {
            for (place, exchange) in exchanged.iter_mut().enumerate() {
                *exchange = if all.is_some() {
                    index >> place & 1 == 1
                } else {
                    rng.random()
                };
            }
            hits += u64::from(finite(&exchanged, Some(index as usize))?.abs() >= least);
        }
        let p_value = match all {
            Some(all) => hits as f64 / all as f64,
            None => (hits + 1) as f64 / (permutations + 1) as f64,
        };
        Ok(PermutationTest {
            difference: observed,
            p_value,
            permutations,
            exact: all.is_some(),
        })
    }

    /// Tests the difference of two means, for metrics that are a mean over examples (accuracy, NLL, Brier, squared error): one value
    /// an example for each method. Exchanging an example turns the sign of its difference.
    ///
    /// ```
    /// use lora_eval::permutation::Permutation;
    /// let test = Permutation::default().paired_means(&[1.0, 2.0, 3.0], &[0.0, 0.0, 0.0])?;
    /// // Of the 8 choices of signs, only all plus and all minus are as far from 0.
    /// assert!(test.exact && test.p_value == 0.25);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// As [`paired`](Self::paired), and [`EvalError::ExampleCount`] for lists of different lengths.
    pub fn paired_means(&self, first: &[f64], second: &[f64]) -> Result<PermutationTest, EvalError> {
        let differences = paired_differences(first, second)?;
        let count = differences.len() as f64;
        self.paired(differences.len(), |exchanged| {
            let signed = differences.iter().zip(exchanged);
            Ok(signed
                .map(|(value, turned)| if *turned { -value } else { *value })
                .sum::<f64>()
                / count)
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn methods_that_agree_everywhere_have_p_one() {
        for examples in [3, 60] {
            let values = vec![0.25; examples];
            let test = Permutation::default().paired_means(&values, &values).unwrap();
            assert_eq!((test.difference, test.p_value), (0.0, 1.0), "{examples}");
        }
    }

    #[test]
    fn random_exchanges_come_near_the_exact_p() {
        // Thirteen differences: 8,192 exchanges, counted exactly and by 8,000 random ones.
        let first: Vec<f64> = (0_u8..13)
            .map(|index| (f64::from(index) * 1.7).sin() + 0.4)
            .collect();
        let of = |permutations| {
            let settings = Permutation {
                permutations,
                seed: 5,
            };
            settings.paired_means(&first, &[0.0; 13]).unwrap()
        };
        let (exact, random) = (of(8_192), of(8_000));
        assert!(exact.exact && !random.exact);
        let error = (exact.p_value * (1.0 - exact.p_value) / 8_000.0).sqrt();
        assert!(
            (exact.p_value - random.p_value).abs() < 4.0 * error,
            "{exact:?} {random:?}"
        );
        assert_eq!(random, of(8_000));
    }

    #[test]
    fn a_metric_that_is_no_mean_is_tested_by_exchanging_answers() {
        // The maximum of the first method against that of the second, over two examples: 2 against 1, 1 against 2, ...
        let (first, second) = ([2.0_f64, 0.0], [1.0_f64, 0.5]);
        let test = Permutation::default()
            .paired(2, |exchanged| {
                let pick = |example: usize, own: bool| {
                    if own == exchanged[example] {
                        second[example]
                    } else {
                        first[example]
                    }
                };
                Ok(pick(0, true).max(pick(1, true)) - pick(0, false).max(pick(1, false)))
            })
            .unwrap();
        assert_eq!((test.difference, test.p_value), (1.0, 1.0));
    }

    #[test]
    fn bad_settings_and_unequal_lists_are_refused() {
        let none = Permutation {
            permutations: 0,
            seed: 0,
        };
        assert!(matches!(
            none.paired_means(&[1.0], &[0.0]),
            Err(EvalError::ResampleCount { .. })
        ));
        let settings = Permutation::default();
        assert!(matches!(
            settings.paired_means(&[], &[]),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            settings.paired_means(&[1.0], &[]),
            Err(EvalError::ExampleCount { .. })
        ));
        let not_finite = settings.paired(2, |_| Ok(f64::NAN));
        assert!(matches!(
            not_finite,
            Err(EvalError::DifferenceNotFinite { resample: None, .. })
        ));
    }
}
