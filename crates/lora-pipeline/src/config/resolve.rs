//! From file and flags to a checked configuration that knows where each value came from.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use lora_core::Rescale;
use lora_core::ensemble::check_members;
use serde_json::{Map, Value, json};

use super::RunConfig;
use super::checkpoints::check_checkpoints;
use super::checks::{check_blob, check_form, check_masks, check_patience, check_swag, check_tuning};
use super::data::{DataConfig, check_answers, check_data, check_required};
use super::file;
use super::keys::{Key, REQUIRED, smallest};
use super::mask_probability::{MaskProbability, check_mask_probability};
use super::mlflow::check_mlflow;
use super::origins::{Origin, Origins};
use super::overrides::Overrides;
use super::recipe;
use crate::error::{Error, Result};

/// A configuration and the places its values come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The configuration, checked as far as that goes without model and data.
    pub config: RunConfig,
    /// Where the values were given.
    pub origins: Origins,
    /// Whether settings that were not given are those of a text classifier, not the defaults.
    pub uses_recipe: bool,
}

/// Flags win over the file, the file over defaults. Without a file, and without all of the flags that say how to train, the
/// recipe of a text classifier stands in the place of the file.
///
/// # Errors
///
/// The first thing that is wrong, with file and line or flag, key and how to fix it.
pub fn resolve(config_file: Option<&Path>, overrides: &Overrides) -> Result<Resolved> {
    let mut origins = Origins {
        file: config_file.map(Path::to_owned),
        places: BTreeMap::new(),
    };
    let mut values = Map::new();
    for entry in config_file.map(file::read).transpose()?.unwrap_or_default() {
        origins.places.insert(entry.key.name, Origin::File(entry.line));
        values.insert(entry.key.name.to_owned(), entry.value);
    }
    for (key, value) in overrides.values()? {
        origins.places.insert(key.name, Origin::Flag);
        values.insert(key.name.to_owned(), value);
    }
    let uses_recipe = config_file.is_none() && recipe::is_meant(&values);
    if uses_recipe {
        recipe::fill(&mut values);
    }
    let resolved = resolve_values(values, origins)?;
    Ok(Resolved {
        uses_recipe,
        ..resolved
    })
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
    // A configuration that was printed holds an empty list.
    let has_label_columns = values
        .get("label_columns")
        .is_some_and(|columns| *columns != json!([]));
    if !has_label_columns && origins.places.get("label_columns") == Some(&Origin::Flag) {
        let message =
            "label_columns is empty; name the columns, or leave it out: labels are then in label_column";
        return Err(origins.at("label_columns", message));
    }
    if has_label_columns && !values.contains_key("problem_type") {
        // Columns of labels any number of which may hold mean nothing else.
        values.insert("problem_type".to_owned(), json!("multi_label_classification"));
    }
    if MaskProbability::is_auto(values.get("mask_probability")) && !values.contains_key("mask_rescale") {
        // No other masks keep their meaning when p changes.
        values.insert("mask_rescale".to_owned(), json!(Rescale::Rescaled));
    }
    check_required(&REQUIRED, &values, &origins)?;
    let config = serde_json::from_value(Value::Object(values.clone()))
        .map_err(|error| wrong_type(&values, &origins, &error))?;
    check(&config, &origins)?;
    Ok(Resolved {
        config,
        origins,
        uses_recipe: false,
    })
}

/// Checks the keys of data alone.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_data(values: &Map<String, Value>, origins: &Origins) -> Result<DataConfig> {
    check_required(&[], values, origins)?;
    let config = serde_json::from_value(Value::Object(values.clone()))
        .map_err(|error| wrong_type(values, origins, &error))?;
    check_data(&config, origins)?;
    Ok(config)
}

/// How a parser begins a list of words.
const ONE_OF: &str = "one of ";

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
            } else if let Some((found, expected)) = of_kind(&reason) {
                // A word that is the whole value need not be said twice.
                let is_inside = found.starts_with("there is no") && !value.is_string();
                let inside = if is_inside {
                    format!(" ({found})")
                } else {
                    String::new()
                };
                // A list of words says what they stand for.
                let meaning = if expected.starts_with(ONE_OF) {
                    String::new()
                } else {
                    format!("; it stands for: {help}")
                };
                format!("{name} is {value}{inside}: expected {expected}{meaning}")
            } else {
                format!("{name} is {value}, which cannot be used ({reason}); it stands for: {help}")
            };
            return origins.at(name, message);
        }
    }
    Error::input(format!("the settings cannot be used: {whole}"))
}

/// What a parser found and which kind of value it expected, where it says so.
fn of_kind(reason: &str) -> Option<(&str, String)> {
    let (found, expected) = match reason.strip_prefix("expected ") {
        Some(expected) => ("", expected),
        None => reason.rsplit_once(", expected ")?,
    };
    let expected = if expected.starts_with("struct ") {
        "its settings by their names".to_owned()
    } else {
        expected.replace('`', "")
    };
    let Some(words) = expected.strip_prefix(ONE_OF) else {
        return Some((found, expected));
    };
    // Transformers' other name of a metric is read, and not offered.
    let words: Vec<&str> = words.split(", ").collect();
    let is_other_name = |word: &str| {
        word.strip_prefix("eval_")
            .is_some_and(|name| words.contains(&name))
    };
    let offered: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !is_other_name(word))
        .collect();
    Some((found, format!("{ONE_OF}{}", offered.join(", "))))
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

fn check(config: &RunConfig, origins: &Origins) -> Result<()> {
    check_data(&config.data, origins)?;
    check_patience(config, origins)?;
    check_masks(config, origins)?;
    if config.max_seq_length == 0 {
        let message = "max_seq_length is 0, which leaves no token of a text; 128 is usual";
        return Err(origins.at("max_seq_length", message));
    }
    check_mask_probability(config, origins)?;
    check_answers(config, origins)?;
    check_members(config.ensemble_members.unwrap_or_default())
        .map_err(|error| origins.at("ensemble_members", error))?;
    if config.ensemble_members.is_some_and(|members| members > 0)
        && !config.mask_probability.has_masks()
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
    check_checkpoints(config, origins)?;
    check_mlflow(config, origins)?;
    config
        .tuning(&[], &["query"])
        .validate()
        .map_err(|error| origins.adapter_error(&error))?;
    config
        .train
        .validate()
        .map_err(|error| origins.training_error(&error))
}
