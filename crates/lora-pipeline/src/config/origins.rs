//! Where the values of settings were given, for messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lora_core::ConfigError;
use lora_data::{DataError, TokenizerError};
use lora_train::TrainConfigError;

use super::keys::{Key, nearest_of};
use crate::error::Error;

/// Where values were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    pub(super) file: Option<PathBuf>,
    pub(super) places: BTreeMap<&'static str, Origin>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    File(Option<usize>),
    /// A part of the file, in words.
    Within(String),
    Flag,
}

impl Origins {
    /// Of values that stand in parts of a file: for each key the part, in words.
    pub fn within(file: &Path, places: BTreeMap<&'static str, String>) -> Self {
        let places = places
            .into_iter()
            .map(|(key, place)| (key, Origin::Within(place)));
        Self {
            file: Some(file.to_owned()),
            places: places.collect(),
        }
    }

    /// Where a key was given, ready to stand before a colon; none for a default.
    pub fn of(&self, key: &str) -> Option<String> {
        let file = self.file.as_deref().unwrap_or(Path::new("")).display();
        Some(match self.places.get(key)? {
            Origin::File(Some(line)) => format!("`{file}`, line {line}"),
            Origin::File(None) => format!("`{file}`"),
            Origin::Within(place) => format!("`{file}`, {place}"),
            Origin::Flag => match Key::named(key) {
                Some(key) => format!("flag --{}", key.flag()),
                None => format!("flag --{key}"),
            },
        })
    }

    /// The message with the place where the key was given before it.
    pub fn at(&self, key: &str, message: impl std::fmt::Display) -> Error {
        match self.of(key) {
            Some(place) => Error::input(format!("{place}: {message}")),
            None => Error::input(format!("{message}")),
        }
    }

    /// A model that cannot be used, or not with texts of the length. Kept as it is: its kind decides the exit code.
    pub fn model_error(&self, error: Error) -> Error {
        let key = match error {
            Error::Data(DataError::Tokenizer(
                TokenizerError::MaxLengthTooSmall { .. } | TokenizerError::MaxLengthTooLarge { .. },
            )) => "max_seq_length",
            _ => "model_name_or_path",
        };
        match self.of(key) {
            Some(place) => error.at(place),
            None => error,
        }
    }

    /// An adapter setting that cannot be used.
    pub fn adapter_error(&self, error: &ConfigError) -> Error {
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
            ConfigError::Conv1d { .. } => "init_lora_weights",
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
    pub fn training_error(&self, error: &TrainConfigError) -> Error {
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
