//! Settings of the variational factors.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the user chooses about a variational A.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "expected settings by name")]
pub struct VariationalSettings {
    /// `σ_p`: standard deviation of the prior of every number of A, above 0.
    pub prior_deviation: f64,
    /// The initial G is between start/√2 and start, so an initial deviation is at most start².
    pub start: f64,
    /// Learning rate of G; none: that of A.
    pub learning_rate: Option<f64>,
    /// w.
    pub kl_weight: KlWeight,
}

/// The weight w of the KL beside the mean loss of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlWeight {
    /// 1/n for n training examples: the evidence lower bound, divided by n.
    #[default]
    Evidence,
    /// 1/M for M steps an epoch: the KL counts once an epoch, beside a mean (not a sum) over the rows of each step. What the authors'
    /// program does without its reweighting.
    Steps,
    /// `2^i / (2^M − 1)` in step i = 0 … M − 1 of an epoch: as [`KlWeight::Steps`], most of it in the last steps (the paper's
    /// reweighting; Blundell et al. 2015, arXiv 1505.05424, section 3.4).
    Doubling,
    /// This number.
    Fixed(f64),
}

/// Why there is no variational A.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum VariationalError {
    /// A setting out of its range.
    #[error("the setting {key} of the variational A is {found}: expected {expected}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Nothing that could be variational.
    #[error(
        "no linear of the model has LoRA's factors, so there is no A to be variational; attach LoRA (not DoRA or AdaLoRA) to linears"
    )]
    NoFactors,
}

impl Default for VariationalSettings {
    /// The authors': `σ_p` = 0.2, G up to 0.05; the weight that makes the loss an evidence lower bound.
    fn default() -> Self {
        Self {
            prior_deviation: 0.2,
            start: 0.05,
            learning_rate: None,
            kl_weight: KlWeight::Evidence,
        }
    }
}

impl VariationalSettings {
    /// # Errors
    ///
    /// [`VariationalError::Setting`].
    pub fn validate(&self) -> Result<(), VariationalError> {
        let above_zero = [
            ("prior_deviation", self.prior_deviation),
            ("start", self.start),
            ("learning_rate", self.learning_rate.unwrap_or(1.0)),
        ];
        for (key, found) in above_zero {
            if !(found.is_finite() && found > 0.0) {
                return Err(VariationalError::Setting {
                    key,
                    found,
                    expected: "a number above 0",
                });
            }
        }
        match self.kl_weight {
            KlWeight::Fixed(found) if !(found.is_finite() && found >= 0.0) => {
                Err(VariationalError::Setting {
                    key: "kl_weight",
                    found,
                    expected: "a number of at least 0",
                })
            }
            _ => Ok(()),
        }
    }
}

impl KlWeight {
    /// w in a step, counted from 0 over the whole training.
    pub fn in_step(self, step: u64, steps_per_epoch: u64, examples: usize) -> f64 {
        match self {
            Self::Evidence => 1.0 / examples as f64,
            Self::Steps => 1.0 / steps_per_epoch as f64,
            Self::Doubling => {
                // 2^(i − M) / (1 − 2^(−M)) does not overflow.
                let place = (step % steps_per_epoch) as f64;
                let steps = steps_per_epoch as f64;
                (place - steps).exp2() / (1.0 - (-steps).exp2())
            }
            Self::Fixed(weight) => weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_an_epoch_sum_to_one_where_the_kl_counts_once_an_epoch() {
        for (weight, steps) in [KlWeight::Steps, KlWeight::Doubling]
            .into_iter()
            .flat_map(|weight| [(weight, 1), (weight, 3), (weight, 2000)])
        {
            let sum: f64 = (steps..2 * steps)
                .map(|step| weight.in_step(step, steps, 50))
                .sum();
            assert!((sum - 1.0).abs() < 1e-12, "{weight:?}, {steps} steps: {sum}");
        }
        // 1, 2 and 4 sevenths.
        assert!((KlWeight::Doubling.in_step(4, 3, 50) - 2.0 / 7.0).abs() < 1e-15);
        assert!((KlWeight::Evidence.in_step(4, 3, 50) - 0.02).abs() < 1e-15);
    }

    #[test]
    fn settings_without_meaning_are_refused_by_key() {
        let default = VariationalSettings::default();
        for (wrong, key) in [
            (
                VariationalSettings {
                    prior_deviation: 0.0,
                    ..default
                },
                "prior_deviation",
            ),
            (
                VariationalSettings {
                    start: f64::NAN,
                    ..default
                },
                "start",
            ),
            (
                VariationalSettings {
                    learning_rate: Some(-1.0),
                    ..default
                },
                "learning_rate",
            ),
            (
                VariationalSettings {
                    kl_weight: KlWeight::Fixed(-0.1),
                    ..default
                },
                "kl_weight",
            ),
        ] {
            assert!(
                matches!(wrong.validate(), Err(VariationalError::Setting { key: found, .. }) if found == key)
            );
        }
        assert_eq!(default.validate(), Ok(()));
    }
}
