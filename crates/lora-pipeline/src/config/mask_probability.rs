//! LoRA Dropout's p: a number, or found while training.

use std::fmt;

use lora_core::Rescale;
use lora_train::{EvalStrategy, MaskSchedule, MaskSearchError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Origins, RunConfig};
use crate::error::Result;

/// LoRA Dropout's p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaskProbability {
    /// This one; 0 is plain LoRA.
    Fixed(f64),
    /// The one that the training finds, by the default [`MaskSchedule`].
    Auto,
}

/// The word for [`MaskProbability::Auto`].
const AUTO: &str = "auto";

impl Default for MaskProbability {
    fn default() -> Self {
        Self::Fixed(0.0)
    }
}

impl MaskProbability {
    /// Whether there are masks.
    pub fn has_masks(self) -> bool {
        self != Self::Fixed(0.0)
    }

    /// That of the first step.
    pub fn first(self) -> f64 {
        match self {
            Self::Fixed(probability) => probability,
            Self::Auto => MaskSchedule::default().first().unwrap_or_default(),
        }
    }

    /// How it is found; none for a number.
    pub fn schedule(self) -> Option<MaskSchedule> {
        (self == Self::Auto).then(MaskSchedule::default)
    }

    /// Whether a value of a file means [`MaskProbability::Auto`].
    pub(super) fn is_auto(value: Option<&Value>) -> bool {
        value.and_then(Value::as_str) == Some(AUTO)
    }
}

impl fmt::Display for MaskProbability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(probability) => probability.fmt(formatter),
            Self::Auto => formatter.write_str(AUTO),
        }
    }
}

impl Serialize for MaskProbability {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(probability) => serializer.serialize_f64(*probability),
            Self::Auto => serializer.serialize_str(AUTO),
        }
    }
}

impl<'de> Deserialize<'de> for MaskProbability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_f64() {
            Some(probability) => Ok(Self::Fixed(probability)),
            None if Self::is_auto(Some(&value)) => Ok(Self::Auto),
            None => Err(serde::de::Error::custom("expected a number or auto")),
        }
    }
}

/// A range for a number, and for `auto` what it needs and what it does not go with.
pub(super) fn check_mask_probability(config: &RunConfig, origins: &Origins) -> Result<()> {
    let at = |message: String| origins.at("mask_probability", message);
    match config.mask_probability {
        MaskProbability::Fixed(found) if !(0.0..1.0).contains(&found) => {
            return Err(at(format!(
                "mask_probability is {found}: expected a probability from 0 up to, but not including, 1 (at 1 every update is dropped), or \
                 auto; 0.5 is the paper's"
            )));
        }
        MaskProbability::Fixed(_) => return Ok(()),
        MaskProbability::Auto => {}
    }
    if config.mask_rescale != Rescale::Rescaled {
        return Err(origins.at("mask_rescale", MaskSearchError::PlainMasks));
    }
    let has_validation = config.data.validation_file.is_some()
        || config.data.task_name.is_some()
        || config.data.validation_fraction > 0.0;
    if config.train.eval_strategy == EvalStrategy::No || !has_validation {
        return Err(at(MaskSearchError::NoEvaluation.to_string()));
    }
    if config.blob.is_some() {
        return Err(origins.at("blob", MaskSearchError::Variational));
    }
    if config.swag.is_some() {
        let message = "swag collects a Gaussian from all states that training passes by, and with mask_probability auto it goes back from \
                       some of them; give mask_probability a number, or remove swag";
        return Err(origins.at("swag", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_and_auto_are_read_as_they_are_written() {
        for (value, expected) in [
            (json!(0.5), MaskProbability::Fixed(0.5)),
            (json!(0.0), MaskProbability::Fixed(0.0)),
            (json!("auto"), MaskProbability::Auto),
        ] {
            let read: MaskProbability = serde_json::from_value(value.clone()).unwrap();
            assert_eq!((read, json!(read)), (expected, value));
        }
        assert_eq!(
            serde_json::from_value::<MaskProbability>(json!(0)).unwrap(),
            MaskProbability::default()
        );
        for value in [json!("often"), json!(true), json!([0.5])] {
            let error = serde_json::from_value::<MaskProbability>(value).unwrap_err();
            assert!(error.to_string().contains("a number or auto"), "{error}");
        }
    }
}
