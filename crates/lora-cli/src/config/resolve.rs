//! From file and flags to a checked configuration that knows where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use lora_core::ConfigError;
use lora_train::TrainConfigError;
use serde_json::{Map, Value, json};

use super::RunConfig;
use super::checks::{check_form, check_masks, check_split, check_tuning};
use super::data::{check_data, check_required};
use super::file;
use super::flags::Overrides;
use super::keys::Key;

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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    File(Option<usize>),
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
    /// Where a key was given, ready to stand before a colon; none for a default.
    pub fn of(&self, key: &str) -> Option<String> {
        let file = self.file.as_deref().unwrap_or(Path::new("")).display();
        Some(match self.places.get(key)? {
            Place::File(Some(line)) => format!("`{file}`, line {line}"),
            Place::File(None) => format!("`{file}`"),
            Place::Flag => format!("flag --{}", key.replace('_', "-")),
        })
    }

    /// The message with the place where the key was given before it.
    pub fn at(&self, key: &str, message: impl std::fmt::Display) -> anyhow::Error {
        match self.of(key) {
            Some(place) => anyhow!("{place}: {message}"),
            None => anyhow!("{message}"),
        }
    }

    /// An adapter setting that cannot be used.
    pub fn adapter_error(&self, error: &ConfigError) -> anyhow::Error {
        let key = match error {
            ConfigError::ZeroRank { key } | ConfigError::Alpha { key, .. } => key.as_str(),
            ConfigError::Probability { key, .. }
            | ConfigError::Pattern { key, .. }
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
        // A key inside a pattern is followed by that pattern.
        self.at(key.split(' ').next().unwrap_or(key), error)
    }

    /// A setting of the loop that cannot be used.
    pub fn training_error(&self, error: &TrainConfigError) -> anyhow::Error {
        let key = match error {
            TrainConfigError::OutOfRange { key, .. } | TrainConfigError::Zero { key, .. } => key,
            TrainConfigError::TwoWarmups { .. } => "warmup_ratio",
            TrainConfigError::MissingEvalSteps => "eval_strategy",
            TrainConfigError::EarlyStoppingWithoutEvaluation { .. } => "early_stopping_patience",
        };
        self.at(key, error)
    }
}

/// Finds the key whose value cannot be read: it alone fails beside values that can.
fn wrong_type(values: &Map<String, Value>, origins: &Origins, whole: &serde_json::Error) -> anyhow::Error {
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
            } else if reason.contains("expected one of") {
                format!("{name} is {value}, which cannot be used; expected: {help}")
            } else {
                format!("{name} is {value}, which cannot be used ({reason}); expected: {help}")
            };
            return origins.at(name, message);
        }
    }
    anyhow!("the settings cannot be used: {whole}")
}

/// The words of a parser without the names of types.
fn plain_words(reason: &str) -> String {
    let words = [
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
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
    config
        .tuning(&[], &["query"])
        .validate()
        .map_err(|error| origins.adapter_error(&error))?;
    config
        .train
        .validate()
        .map_err(|error| origins.training_error(&error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::super::keys::REQUIRED;
    use super::*;

    const FILE: &str = "model_name_or_path: minilm-l6\ntrain_file: a.csv\noutput_dir: out\nlearning_rate: 1e-3\n\
        num_train_epochs: 2\nper_device_train_batch_size: 8\n";

    fn resolve_text(text: &str, flags: &[(&str, &str)]) -> Result<Resolved> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.yaml");
        std::fs::write(&path, text).unwrap();
        let flags = flags
            .iter()
            .map(|(key, value)| (Key::named(key).unwrap(), (*value).to_owned()));
        resolve(Some(&path), &Overrides::from_pairs(flags.collect()))
    }

    fn message(extra: &str) -> String {
        resolve_text(&format!("{FILE}{extra}"), &[])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let config = resolve_text(&format!("{FILE}r: 4\nseed: 1\n"), &[("r", "2")])
            .unwrap()
            .config;
        assert_eq!((config.r, config.train.seed, config.lora_alpha), (2, 1, 8.0));
    }

    #[test]
    fn every_wrong_value_names_file_line_key_and_mend() {
        let mistakes = [
            ("r: 0", ["rank is 0 in r", "8 is usual"]),
            ("r: -1", ["r is -1", "Rank of the update"]),
            (
                "mask_probability: 1",
                ["mask_probability is 1", "0.5 is the paper's"],
            ),
            ("lora_dropout: 1.5", ["lora_dropout is 1.5", "from 0 up to"]),
            ("rank_pattern: {query: 0}", ["rank_pattern `query`", "at least 1"]),
            (
                "target_modules: '('",
                ["target_modules", "not a regular expression"],
            ),
            (
                "weight_decay: fast",
                ["weight_decay is \"fast\"", "expected: Decoupled weight decay"],
            ),
            ("mask_rescale: none", ["mask_rescale is \"none\"", "rescaled"]),
            ("mask_grouping: row", ["mask_grouping is `row`", "example"]),
            ("r: two", ["r is \"two\"", "expected a whole number"]),
            (
                "metric_for_best_model: auc",
                ["metric_for_best_model is \"auc\"", "expected: loss, accuracy"],
            ),
            ("max_seq_length: 0", ["max_seq_length is 0", "128 is usual"]),
            ("warmup_ratio: 2", ["warmup_ratio is 2", "share of all steps"]),
            (
                "validation_fraction: 1",
                ["validation_fraction is 1", "0.1 is usual"],
            ),
            ("data_file: b.csv", ["train_file and data_file", "remove one"]),
            (
                "mask_rescale: rescaled",
                ["mask_rescale", "mask_probability is not given"],
            ),
            ("masks_per_step: 4", ["masks_per_step", "give mask_probability"]),
            (
                "ensemble_members: 4",
                ["ensemble_members", "set mask_probability"],
            ),
            (
                "early_stopping_patience: 0",
                ["early_stopping_patience is 0", "at least 1"],
            ),
        ];
        for (line, parts) in mistakes {
            let message = message(line);
            let place = if line.starts_with("data_file") {
                "line 2"
            } else {
                "line 7"
            };
            assert!(
                message.contains("run.yaml`") && message.contains(place),
                "{message}"
            );
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn rows_for_validation_are_left_and_early_stopping_has_some() {
        let text = FILE.replace("train_file", "data_file");
        let refused = |flags: &[(&str, &str)]| resolve_text(&text, flags).unwrap_err().to_string();
        let shares = refused(&[("validation_fraction", "0.5"), ("test_fraction", "0.5")]);
        assert!(shares.contains("no row to train on"), "{shares}");
        let patience = refused(&[("validation_fraction", "0"), ("early_stopping_patience", "2")]);
        assert!(
            patience.contains("--early-stopping-patience") && patience.contains("no validation rows"),
            "{patience}"
        );
        // A probability of 0 beside settings of masks is the yardstick, not a mistake.
        resolve_text(&text, &[("mask_rescale", "rescaled"), ("mask_probability", "0")]).unwrap();
    }

    #[test]
    fn a_wrong_flag_is_named_as_a_flag() {
        let message = resolve_text(FILE, &[("r", "0")]).unwrap_err().to_string();
        assert!(message.starts_with("flag --r: rank is 0"), "{message}");
    }

    #[test]
    fn all_missing_keys_are_named_at_once() {
        let message = resolve(None, &Overrides::default()).unwrap_err().to_string();
        assert!(
            REQUIRED.iter().all(|key| message.contains(key)) && message.contains("train_file"),
            "{message}"
        );
    }

    #[test]
    fn a_number_of_steps_stands_in_for_the_epochs() {
        let text = FILE.replace("num_train_epochs: 2", "max_steps: 3");
        let config = resolve_text(&text, &[]).unwrap().config;
        assert_eq!(config.train.total_steps(100), 3);
    }
}
