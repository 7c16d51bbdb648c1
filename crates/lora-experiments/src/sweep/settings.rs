//! From the maps of a sweep's file to the settings of one training.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use itertools::Itertools as _;
use lora_pipeline::bail;
use lora_pipeline::config::keys::{Key, REQUIRED, nearest};
use lora_pipeline::config::{Origins, RunConfig, default_values, resolve_values};
use lora_pipeline::error::{Error, Result};
use serde_json::{Map, Value, json};

/// The settings of a training that are not the defaults, by key: what it is known by.
pub type Settings = BTreeMap<String, Value>;

const ONE_FILE: &str = "a sweep writes one file of results, --results";
const NO_CHECKPOINTS: &str = "a sweep goes on with the trials that its results file lacks";

/// Keys that a sweep gives itself, with what says it in the file.
const GIVEN: [(&str, &str); 21] = [
    ("output_dir", ONE_FILE),
    ("overwrite_output_dir", ONE_FILE),
    ("report_to", ONE_FILE),
    ("mlflow_tracking_uri", ONE_FILE),
    ("mlflow_experiment_name", ONE_FILE),
    ("seed", "the seeds stand in `seeds`"),
    ("train_file", "files stand in `data` of a task"),
    ("validation_file", "files stand in `data` of a task"),
    ("test_file", "files stand in `data` of a task"),
    ("data_file", "files stand in `data` of a task"),
    ("validation_fraction", "the rows stand in `validation_rows`"),
    ("test_fraction", "it stands in `data` of a task, beside data_file"),
    ("ensemble_members", "members stand in `predictions` of a method"),
    ("ensemble_average", "averages stand in `predictions` of a method"),
    (
        "temperature_scaling",
        "every prediction is scored without and with temperature",
    ),
    ("problem_type", "it stands in `data` of a task"),
    ("swag", "it stands in `predictions` of a method"),
    ("save_strategy", NO_CHECKPOINTS),
    ("save_steps", NO_CHECKPOINTS),
    ("save_total_limit", NO_CHECKPOINTS),
    ("resume_from_checkpoint", NO_CHECKPOINTS),
];

/// Keys that change where a training runs, not what comes out.
const OF_THE_MACHINE: [&str; 2] = ["device", "per_device_eval_batch_size"];

/// Some settings, and the place in the file where they stand.
pub struct Layer<'a> {
    /// The place, such as `base`.
    pub place: String,
    /// The settings.
    pub values: &'a Map<String, Value>,
}

/// The settings of a training: later layers win.
///
/// # Errors
///
/// A key that is unknown or that a sweep gives itself, a value that cannot be used; with file, place and mend.
pub fn config_of(file: &Path, layers: &[Layer<'_>], seed: u64) -> Result<(RunConfig, Settings)> {
    let mut values = Map::new();
    let mut places = BTreeMap::new();
    for layer in layers {
        for (name, value) in layer.values {
            let key = known_key(file, &layer.place, name)?;
            places.insert(key.name, layer.place.clone());
            values.insert(name.clone(), value.clone());
        }
    }
    if values.contains_key("max_steps") && !values.contains_key("num_train_epochs") {
        values.insert("num_train_epochs".to_owned(), json!(1));
    }
    let given = |key: &str| GIVEN.iter().any(|(name, _)| *name == key);
    let missing: Vec<&str> = REQUIRED
        .into_iter()
        .filter(|key| !given(key) && !values.contains_key(*key))
        .collect();
    if !missing.is_empty() {
        bail!(
            "`{}`: base lacks {}; add what every training needs",
            file.display(),
            missing.join(", ")
        );
    }
    for (name, value) in [
        ("output_dir", json!("-")),
        ("data_file", json!("-")),
        ("seed", json!(seed)),
    ] {
        values.insert(name.to_owned(), value);
    }
    let config = resolve_values(values, Origins::within(file, places))?.config;
    let settings = settings_of(&config);
    Ok((config, settings))
}

/// What differs from the default settings, but for data, seed and machine.
pub fn settings_of(config: &RunConfig) -> Settings {
    let default = default_values();
    let Value::Object(all) = json!(config) else {
        return Settings::new();
    };
    let matters = |name: &str, value: &Value| {
        let is_given = GIVEN.iter().any(|(given, _)| *given == name);
        let is_required = REQUIRED.contains(&name);
        !is_given && !OF_THE_MACHINE.contains(&name) && (is_required || *value != default[name])
    };
    all.into_iter()
        .filter(|(name, value)| matters(name, value))
        .collect()
}

/// Settings in which these differ.
pub fn varied<'s>(all: impl IntoIterator<Item = &'s Settings>) -> BTreeSet<String> {
    let all: Vec<&Settings> = all.into_iter().collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
    let differs = |key: &&String| all.iter().any(|settings| settings.get(*key) != all[0].get(*key));
    keys.into_iter().filter(differs).cloned().collect()
}

/// A setting; the default where they say nothing of it, if there is one.
pub fn setting(settings: &Settings, key: &str) -> Option<Value> {
    let default = || {
        let default = default_values().get(key).cloned();
        default.filter(|value| !value.is_null() && !REQUIRED.contains(&key))
    };
    settings.get(key).cloned().or_else(default)
}

/// These of the settings, each in words: `mask_probability 0.3`.
pub fn in_words(settings: &Settings, keys: &BTreeSet<String>) -> Vec<String> {
    let words = keys.iter().map(|key| match setting(settings, key) {
        None => format!("{key} as usual"),
        Some(Value::String(word)) => format!("{key} {word}"),
        Some(value) => format!("{key} {value}"),
    });
    words.collect()
}

fn known_key(file: &Path, place: &str, name: &str) -> Result<&'static Key> {
    let shown = file.display();
    if let Some((_, instead)) = GIVEN.iter().find(|(given, _)| *given == name) {
        bail!("`{shown}`, {place}: {name} is not set here, because {instead}; remove it");
    }
    Key::named(name).ok_or_else(|| {
        let hint = match nearest(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`lora train --help` lists all keys".to_owned(),
        };
        Error::input(format!("`{shown}`, {place}: unknown key `{name}`; {hint}"))
    })
}

/// Every combination of a grid's values, the last key changing fastest; one empty combination for an empty grid.
///
/// # Errors
///
/// If a key has no list of values.
pub fn points(file: &Path, place: &str, grid: &Map<String, Value>) -> Result<Vec<Map<String, Value>>> {
    let lists = grid.iter().map(|(name, values)| {
        let values = values.as_array().filter(|values| !values.is_empty());
        let Some(values) = values else {
            bail!(
                "`{}`, {place}: {name} is {}: expected a list of values, such as [0.1, 0.3]; a single value stands in train or base",
                file.display(),
                grid[name]
            );
        };
        Ok(values.iter().map(move |value| (name.clone(), value.clone())))
    });
    let lists = lists.collect::<Result<Vec<_>>>()?;
    let points = lists.into_iter().multi_cartesian_product();
    Ok(points.map(|point| point.into_iter().collect()).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn base() -> Map<String, Value> {
        map(
            &json!({"model_name_or_path": "m", "learning_rate": 1e-3, "num_train_epochs": 2, "per_device_train_batch_size": 8}),
        )
    }

    fn of(layers: &[(&str, Value)]) -> Result<Settings> {
        let base = base();
        let maps: Vec<_> = layers
            .iter()
            .map(|(place, value)| ((*place).to_owned(), map(value)))
            .collect();
        let mut all = vec![Layer {
            place: "base".to_owned(),
            values: &base,
        }];
        all.extend(maps.iter().map(|(place, values)| Layer {
            place: place.clone(),
            values,
        }));
        Ok(config_of(Path::new("s.yaml"), &all, 1)?.1)
    }

    #[test]
    fn settings_are_what_differs_from_the_usual_ones() {
        let plain = of(&[]).unwrap();
        assert_eq!(of(&[("task", json!({"r": 8, "device": "flex"}))]).unwrap(), plain);
        assert_eq!(
            of(&[("task", json!({"r": 4})), ("method", json!({"r": 8}))]).unwrap(),
            plain
        );
        let other = of(&[("task", json!({"r": 4}))]).unwrap();
        assert_eq!(other["r"], 4);
        assert_eq!(other.len(), plain.len() + 1);
    }

    #[test]
    fn settings_that_differ_are_told_with_the_default_where_nothing_is_said() {
        let all = [
            json!({}),
            json!({"mask_probability": "auto"}),
            json!({"mask_probability": 0.5}),
        ];
        let all = all.map(|settings| of(&[("methods lora", settings)]).unwrap());
        assert!(varied(&all[..1]).is_empty());
        let keys = varied(&all);
        let words = all.map(|settings| in_words(&settings, &keys).join(", "));
        assert!(words[0].contains("mask_probability 0"), "{words:?}");
        assert!(words[1].contains("mask_probability auto"), "{words:?}");
        assert!(words[2].contains("mask_probability 0.5"), "{words:?}");
        assert!(!words[2].contains("learning_rate"), "{words:?}");
    }

    #[test]
    fn a_wrong_setting_names_file_place_key_and_mend() {
        let mistakes = [
            (
                json!({"learning_rat": 1}),
                [
                    "`s.yaml`, methods lora: unknown key",
                    "did you mean `learning_rate`?",
                ],
            ),
            (
                json!({"seed": 3}),
                ["`s.yaml`, methods lora: seed is not set here", "`seeds`"],
            ),
            (
                json!({"r": 0}),
                ["`s.yaml`, methods lora: rank is 0", "8 is usual"],
            ),
            (
                json!({"weight_decay": "fast"}),
                ["`s.yaml`, methods lora: weight_decay", "expected"],
            ),
        ];
        for (settings, parts) in mistakes {
            let message = of(&[("methods lora", settings)]).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let empty = Map::new();
        let layer = Layer {
            place: "base".to_owned(),
            values: &empty,
        };
        let message = config_of(Path::new("s.yaml"), &[layer], 1)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("base lacks model_name_or_path, learning_rate"),
            "{message}"
        );
    }

    #[test]
    fn a_grid_is_every_combination() {
        let grid = map(&json!({"r": [2, 4], "mask_probability": [0.1, 0.3]}));
        let points = points(Path::new("s.yaml"), "grid", &grid).unwrap();
        let text: Vec<String> = points.iter().map(|point| json!(point).to_string()).collect();
        assert_eq!(text[1], r#"{"r":2,"mask_probability":0.3}"#);
        assert_eq!(text.len(), 4);
        let message = super::points(Path::new("s.yaml"), "grid", &map(&json!({"r": 4}))).unwrap_err();
        assert!(message.to_string().contains("expected a list"), "{message}");
    }
}
