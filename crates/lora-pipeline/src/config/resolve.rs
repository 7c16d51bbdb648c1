//! From file and flags to a checked configuration that knows where each value came from.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lora_core::ConfigError;
use lora_train::TrainConfigError;
use serde_json::{Map, Value, json};

use super::RunConfig;
use super::checks::{check_blob, check_form, check_masks, check_split, check_swag, check_tuning};
use super::data::{check_data, check_required};
use super::file;
use super::keys::{Key, nearest_of};
use super::overrides::Overrides;
use crate::error::{Error, Result};

/// A configuration and the places its values come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The configuration, checked as far as that goes without model and data.
    pub config: RunConfig,
    /// Where the values were given.
    pub origins: Origins,
}

/// Where values were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    pub(super) file: Option<PathBuf>,
    places: BTreeMap<&'static str, Place>,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    File(Option<usize>),
    /// A part of the file, in words.
    Within(String),
    Flag,
}

/// Flags win over the file, the file over defaults.
///
/// # Errors
///
/// The first thing that is wrong, with file and line or flag, key and mend.
pub fn resolve(config_file: Option<&Path>, overrides: &Overrides) -> Result<Resolved> {
    let mut origins = Origins {
        file: config_file.map(Path::to_owned),
        places: BTreeMap::new(),
    };
    let mut values = Map::new();
    for entry in config_file.map(file::read).transpose()?.unwrap_or_default() {
        origins.places.insert(entry.key.name, Place::File(entry.line));
        values.insert(entry.key.name.to_owned(), entry.value);
    }
    for (key, value) in overrides.values()? {
        origins.places.insert(key.name, Place::Flag);
        values.insert(key.name.to_owned(), value);
    }
    resolve_values(values, origins)
}

/// Checks values that stand under the names of keys.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_values(mut values: Map<String, Value>, origins: Origins) -> Result<Resolved> {
    if values.contains_key("max_steps") && !values.contains_key("num_train_epochs") {
        // The number of steps stands in its place.
        values.insert("num_train_epochs".to_owned(), json!(1));
    }
    check_required(&values, &origins)?;
    let config = serde_json::from_value(Value::Object(values.clone()))
        .map_err(|error| wrong_type(&values, &origins, &error))?;
    check(&config, &origins)?;
    Ok(Resolved { config, origins })
}

impl Origins {
    /// Of values that stand in parts of a file: for each key the part, in words.
    pub fn within(file: &Path, places: BTreeMap<&'static str, String>) -> Self {
        let places = places.into_iter().map(|(key, place)| (key, Place::Within(place)));
        Self {
            file: Some(file.to_owned()),
            places: places.collect(),
        }
    }

    /// Where a key was given, ready to stand before a colon; none for a default.
    pub fn of(&self, key: &str) -> Option<String> {
        let file = self.file.as_deref().unwrap_or(Path::new("")).display();
        Some(match self.places.get(key)? {
            Place::File(Some(line)) => format!("`{file}`, line {line}"),
            Place::File(None) => format!("`{file}`"),
            Place::Within(place) => format!("`{file}`, {place}"),
            Place::Flag => match Key::named(key) {
                Some(key) => format!("flag --{}", key.flag()),
                None => format!("flag --{key}"),
            },
        })
    }

    /// The message with the place where the key was given before it.
    pub fn at(&self, key: &str, message: impl std::fmt::Display) -> crate::error::Error {
        match self.of(key) {
            Some(place) => Error::input(format!("{place}: {message}")),
            None => Error::input(format!("{message}")),
        }
    }

    /// An adapter setting that cannot be used.
    pub fn adapter_error(&self, error: &ConfigError) -> crate::error::Error {
        let key = match error {
            ConfigError::ZeroRank { key } | ConfigError::Alpha { key, .. } => key.as_str(),
            ConfigError::Probability { key, .. }
            | ConfigError::Pattern { key, .. }
            | ConfigError::UnusedPattern { key, .. }
            | ConfigError::AdaLora { key, .. } => key,
            ConfigError::NoTarget { .. } | ConfigError::UnusedTarget { .. } | ConfigError::Table { .. } => {
                "target_modules"
            }
            ConfigError::UnusedModule { .. } => "modules_to_save",
            ConfigError::ZeroBottleneck => "bottleneck_size",
            ConfigError::NothingToTrain { .. } => "tuning",
            ConfigError::RankTooLarge { .. } | ConfigError::OddRank { .. } => "r",
            ConfigError::RankPattern { .. } => "rank_pattern",
            ConfigError::NotFinite { .. } => "model_name_or_path",
            ConfigError::Conflict { one, .. } => one,
        };
        if let ConfigError::NoTarget { targets, .. } = error
            && let name = targets.trim_matches('`')
            && !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
        {
            // A list shows its brackets; a word alone was read as a pattern.
            let message = format!(
                "{error}; a single text is a pattern on the whole path, a name stands in a list: [{name}]"
            );
            return self.at(key, message);
        }
        let unused = match error {
            ConfigError::UnusedPattern {
                pattern, available, ..
            } => Some((pattern, available)),
            ConfigError::UnusedTarget { name, available } => Some((name, available)),
            _ => None,
        };
        if let Some((wrong, available)) = unused
            && let Some(near) = nearest_of(wrong, available.iter().map(String::as_str))
        {
            return self.at(key, format!("{error}; did you mean `{near}`?"));
        }
        // A key inside a pattern is followed by that pattern.
        self.at(key.split(' ').next().unwrap_or(key), error)
    }

    /// A setting of the loop that cannot be used.
    pub fn training_error(&self, error: &TrainConfigError) -> crate::error::Error {
        let key = match error {
            TrainConfigError::OutOfRange { key, .. } | TrainConfigError::Zero { key, .. } => key,
            TrainConfigError::HiddenKey { .. } | TrainConfigError::HiddenKeyWithoutNoise => "hidden_key",
            TrainConfigError::ClassWeight { .. } => "class_weights",
            TrainConfigError::SmoothedFocal { .. } => "focal_loss_gamma",
            TrainConfigError::TwoWarmups { .. } => "warmup_ratio",
            TrainConfigError::MissingEvalSteps => "eval_strategy",
            TrainConfigError::EarlyStoppingWithoutEvaluation { .. } => "early_stopping_patience",
        };
        self.at(key, error)
    }
}

/// Finds the key whose value cannot be read: it alone fails beside values that can.
fn wrong_type(
    values: &Map<String, Value>,
    origins: &Origins,
    whole: &serde_json::Error,
) -> crate::error::Error {
    let readable = smallest();
    for (name, value) in values {
        let mut probe = readable.clone();
        probe[name] = value.clone();
        if let Err(reason) = serde_json::from_value::<RunConfig>(probe) {
            let help = Key::named(name).map_or("", |key| key.help);
            let reason = plain_words(&reason.to_string());
            // Some values say themselves what they are called, what was found and what is expected.
            let message = if reason.starts_with(&format!("{name} is")) {
                reason
            } else if let Some((unknown, _)) = reason.split_once(", expected one of") {
                // The help lists what is known. A word that is the whole value need not be said twice.
                let unknown = if value.is_string() {
                    String::new()
                } else {
                    format!(" ({unknown})")
                };
                format!("{name} is {value}, which cannot be used{unknown}; expected: {help}")
            } else {
                format!("{name} is {value}, which cannot be used ({reason}); expected: {help}")
            };
            return origins.at(name, message);
        }
    }
    Error::input(format!("the settings cannot be used: {whole}"))
}

/// The words of a parser without the names of types.
fn plain_words(reason: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("unknown field", "there is no setting"),
        ("unknown variant", "there is no choice"),
    ];
    words
        .iter()
        .fold(reason.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The keys that must be given, and nothing else.
pub(super) fn smallest() -> Value {
    json!({
        "model_name_or_path": "", "output_dir": "", "learning_rate": 1, "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
    })
}

fn check(config: &RunConfig, origins: &Origins) -> Result<()> {
    for (key, found) in [
        ("validation_fraction", config.validation_fraction),
        ("test_fraction", config.test_fraction),
    ] {
        if !(0.0..1.0).contains(&found) {
            return Err(origins.at(
                key,
                format!(
                    "{key} is {found}: expected a share from 0 up to, but not including, 1; 0.1 is usual"
                ),
            ));
        }
    }
    check_split(config, origins)?;
    check_masks(config, origins)?;
    if config.max_seq_length == 0 {
        let message = "max_seq_length is 0, which leaves no token of a text; 128 is usual";
        return Err(origins.at("max_seq_length", message));
    }
    if !(0.0..1.0).contains(&config.mask_probability) {
        let found = config.mask_probability;
        return Err(origins.at(
            "mask_probability",
            format!(
                "mask_probability is {found}: expected a probability from 0 up to, but not including, 1 (at 1 every \
                 update is dropped); 0.5 is the paper's"
            ),
        ));
    }
    check_data(config, origins)?;
    if config.ensemble_members.is_some_and(|members| members > 0)
        && config.mask_probability == 0.0
        && config.lora_dropout == 0.0
    {
        return Err(origins.at(
            "ensemble_members",
            "ensemble_members needs something that differs between members: set mask_probability (LoRA Dropout), or \
             remove ensemble_members",
        ));
    }
    check_tuning(config, origins)?;
    check_form(config, origins)?;
    check_blob(config, origins)?;
    check_swag(config, origins)?;
    config
        .tuning(&[], &["query"])
        .validate()
        .map_err(|error| origins.adapter_error(&error))?;
    config
        .train
        .validate()
        .map_err(|error| origins.training_error(&error))
}
