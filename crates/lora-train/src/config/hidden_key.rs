//! Settings of `HiddenKey`; what it does stands in `hidden_key.rs`.

use serde::{Deserialize, Serialize};

use super::TrainConfigError;

/// What the user chooses about `HiddenKey`; what is not given is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "expected settings by name")]
pub struct HiddenKeySettings {
    /// Probability that a key is dropped from the attention of an example and head; 0 drops none.
    pub key_probability: f64,
    /// Probability that a number of a feed-forward block's output is cut; 0 cuts none.
    pub cut_probability: f64,
    /// w; 0 leaves the second pass out, as the paper does where it has no time for it.
    pub kl_weight: f64,
}

impl HiddenKeySettings {
    /// # Errors
    ///
    /// [`TrainConfigError::HiddenKey`] for a probability or a weight out of its range, [`TrainConfigError::HiddenKeyWithoutNoise`].
    pub fn validate(&self) -> Result<(), TrainConfigError> {
        let Self {
            key_probability,
            cut_probability,
            kl_weight,
        } = *self;
        let probability = |value: f64| (0.0..1.0).contains(&value);
        let checks = [
            (
                "key_probability",
                key_probability,
                probability(key_probability),
                "from 0 up to, but not including, 1",
            ),
            (
                "cut_probability",
                cut_probability,
                probability(cut_probability),
                "from 0 up to, but not including, 1",
            ),
            (
                "kl_weight",
                kl_weight,
                kl_weight.is_finite() && kl_weight >= 0.0,
                "of at least 0",
            ),
        ];
        if let Some((setting, found, _, expected)) = checks.into_iter().find(|(_, _, fits, _)| !fits) {
            return Err(TrainConfigError::HiddenKey {
                setting,
                found,
                expected,
            });
        }
        if key_probability == 0.0 && cut_probability == 0.0 {
            return Err(TrainConfigError::HiddenKeyWithoutNoise);
        }
        Ok(())
    }
}
