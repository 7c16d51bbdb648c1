//! The command that trains what a comparison advises: the very rows, seed and settings of its first training.

use std::path::Path;

use lora_core::atomic::write_file;
use lora_data::tasks::Rows;
use lora_data::{Dataset, ProblemType, Target};
use lora_pipeline::config::keys::Key;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::files::provenance::quoted;
use serde_json::{Map, Value, json};

use super::CompareOptions;
use super::preset::base;
use crate::report::results::Configuration;
use crate::sweep::data::{Drawn, SweepTask};
use crate::sweep::file::RowCount;
use crate::sweep::inference_method::InferenceMethod;

/// The rows of a training, in files that `lora train` reads.
const FILES: [(&str, &str); 3] = [
    ("--train-file", "train.jsonl"),
    ("--validation-file", "validation.jsonl"),
    ("--test-file", "test.jsonl"),
];
/// The folder of the training, within that of the comparison: the same command again replaces it.
const CHOSEN: &str = "chosen";

/// Writes the rows of the configuration's first training beside the results, and says what trains it on them, as a shell takes it.
///
/// # Errors
///
/// If rows cannot be drawn, or a file not be written.
pub(super) fn command(
    configuration: &Configuration<'_>,
    task: &SweepTask,
    rows: RowCount,
    options: &CompareOptions,
) -> Result<String> {
    let (first, _) = configuration
        .trials
        .first()
        .context("a configuration has a trial")?;
    let Drawn { train, validation } = task.draw(rows, first.data_seed)?;
    for ((_, name), part) in FILES.iter().zip([&train, &validation, task.test_rows()]) {
        write_rows(&options.output.join(name), part)?;
    }
    let kind = task.kind.problem_type();
    Ok(words(configuration, first.seed, kind, options).join(" "))
}

fn words(
    configuration: &Configuration<'_>,
    seed: u64,
    problem_type: ProblemType,
    options: &CompareOptions,
) -> Vec<String> {
    let path = |name: &str| quoted(&options.output.join(name).display().to_string());
    let mut words = vec!["lora train".to_owned()];
    words.extend(FILES.iter().map(|(flag, name)| format!("{flag} {}", path(name))));
    words.push(format!("--output {} --overwrite", path(CHOSEN)));
    words.push(format!("--problem-type {} --seed {seed}", problem_type.name()));
    let mut settings = base(options);
    settings["ensemble_members"] = match configuration.prediction {
        InferenceMethod::Ensemble { members, .. } => (*members).into(),
        _ => 0.into(),
    };
    for (key, value) in configuration.settings {
        // Those of the method; the others are there.
        if settings.get(key).is_none() {
            settings[key] = value.clone();
        }
    }
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let flag = Key::named(key).map_or(key.as_str(), |key| key.flag());
        words.push(format!("--{flag} {}", quoted(&value)));
    }
    words
}

/// One object a row, under the names that are read without being named.
fn write_rows(path: &Path, rows: &Rows) -> Result<()> {
    let Rows::Texts(dataset) = rows else {
        lora_pipeline::bail!("a comparison is of texts");
    };
    let lines: Vec<String> = (0..dataset.len())
        .map(|row| Value::Object(object(dataset, row)).to_string() + "\n")
        .collect();
    Ok(write_file(path, lines.concat().as_bytes())?)
}

fn object(dataset: &Dataset, row: usize) -> Map<String, Value> {
    let example = &dataset.examples[row];
    let mut object = Map::new();
    object.insert("text".to_owned(), json!(example.text));
    if let Some(pair) = &example.text_pair {
        object.insert("text_pair".to_owned(), json!(pair));
    }
    let label = match (&example.target, dataset.task.labels()) {
        (Some(Target::Class(class)), Some(labels)) => json!(labels.name(*class)),
        (Some(Target::Value(value)), _) => json!(value),
        _ => Value::Null,
    };
    object.insert("label".to_owned(), label);
    object
}
