//! Loading the tasks of a sweep: benchmarks by name, the embedded snippets, files of the user's. Nothing else in a sweep knows
//! where rows come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lora_data::tasks::{Rows, find};
use lora_data::{
    Dataset, LabelRule, ReadOptions, Target, Targets, Task, read_file, read_snippets, snippet_dataset,
};
use lora_eval::glue::GlueMetric;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::file::{ShiftedEntry, TaskEntry};
use crate::benchmark::glue_metric;
use crate::config::keys::Key;
use crate::config::{Origins, Resolved, resolve_values};
use crate::demo::data::{MOVIES, TWEETS};
use crate::terminal::Terminal;
use crate::train::data::read_parts;

/// The embedded task.
const SNIPPETS: &str = "snippets";
/// What splits test rows off one file of the user's: the same rows for every seed.
const TEST_SEED: u64 = 0;
/// Keys of `lora train` that may stand in `data`.
const DATA_KEYS: [&str; 11] = [
    "train_file",
    "validation_file",
    "test_file",
    "data_file",
    "data_format",
    "header",
    "test_fraction",
    "text_column",
    "text_pair_column",
    "label_column",
    "problem_type",
];

/// A task, read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What training rows, and validation rows unless there are any, are drawn from.
    pub pool: Dataset,
    /// Validation rows with a file of their own.
    pub validation: Option<Dataset>,
    /// What is tested on.
    pub test: Dataset,
    /// Rows of another kind, with the same labels or without.
    pub shifted: Option<Dataset>,
    /// What the task is scored by.
    pub metric: GlueMetric,
}

impl Loaded {
    /// The number by which these rows are known: another one for other rows, the same wherever the files lie.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Xxh3::new();
        let parts = [
            Some(&self.pool),
            self.validation.as_ref(),
            Some(&self.test),
            self.shifted.as_ref(),
        ];
        for part in parts {
            let examples = part.map_or(&[][..], |part| &part.examples[..]);
            hasher.update(&(examples.len() as u64).to_le_bytes());
            for example in examples {
                hasher.update(example.text.as_bytes());
                hasher.update(&[0]);
                hasher.update(example.text_pair.as_deref().unwrap_or_default().as_bytes());
                hasher.update(&[0]);
                let target = match example.target {
                    None => [0; 8],
                    Some(Target::Class(class)) => (class as u64 + 1).to_le_bytes(),
                    Some(Target::Value(value)) => f64::from(value).to_le_bytes(),
                };
                hasher.update(&target);
            }
        }
        hasher.digest()
    }
}

/// Reads a task.
///
/// # Errors
///
/// If its name, its files or its rows are not what a sweep can use; with file and key.
pub fn load(file: &Path, entry: &TaskEntry, data_dir: Option<&Path>, terminal: &Terminal) -> Result<Loaded> {
    let place = || format!("`{}`, task {}", file.display(), entry.name);
    let loaded = match (&entry.data, &entry.benchmark) {
        (Some(_), Some(_)) => bail!(
            "benchmark and data are both given; a task has files of the user's in data, or is a benchmark, remove one"
        ),
        (Some(data), None) => user_files(file, entry, data, terminal),
        (None, None) if entry.name == SNIPPETS => snippets(entry),
        (None, name) => benchmark(entry, name.as_ref().unwrap_or(&entry.name), data_dir),
    };
    let loaded = loaded.with_context(place)?;
    if let Targets::None = loaded.test.targets().with_context(place)? {
        bail!(
            "{}: its test rows have no labels; name another split with `test`",
            place()
        );
    }
    Ok(loaded)
}

fn snippets(entry: &TaskEntry) -> Result<Loaded> {
    let movies = snippet_dataset(&read_snippets(MOVIES, "movies.tsv")?);
    let parts = lora_data::stratified_split(&movies.strata(), &[movies.len() / 4], TEST_SEED)?;
    let rest: Vec<usize> = (0..movies.len())
        .filter(|row| parts[0].binary_search(row).is_err())
        .collect();
    let shifted = match &entry.shifted {
        None => None,
        Some(ShiftedEntry::Split(name)) if name == "tweets" => {
            Some(snippet_dataset(&read_snippets(TWEETS, "tweets.tsv")?))
        }
        Some(_) => bail!("shifted of the embedded snippets can only be `split: tweets`"),
    };
    Ok(Loaded {
        test: movies.select(&parts[0]),
        pool: movies.select(&rest),
        validation: None,
        shifted,
        metric: GlueMetric::Accuracy,
    })
}

fn benchmark(entry: &TaskEntry, name: &str, data_dir: Option<&Path>) -> Result<Loaded> {
    let benchmark = find(name)?;
    let Some(metric) = glue_metric(benchmark.metric) else {
        bail!(
            "{name} is scored by {}; a sweep runs texts with a class or a number",
            benchmark.metric.words()
        );
    };
    let folder = folder_of(entry, data_dir)?;
    let read = |split: &str| -> Result<Dataset> { Ok(benchmark.read(&folder, split)?.into_texts()?) };
    let test = match &entry.test {
        Some(split) => read(split)?,
        None => match read("test") {
            Ok(test) if test.examples.iter().all(|example| example.target.is_some()) => test,
            _ => read("validation")?,
        },
    };
    let shifted = match &entry.shifted {
        None => None,
        Some(ShiftedEntry::Split(split)) => Some(read(split)?),
        Some(_) => bail!("shifted of a benchmark is a split of it, such as `split: oos_test`"),
    };
    Ok(Loaded {
        pool: read("train")?,
        validation: None,
        test,
        shifted,
        metric,
    })
}

fn folder_of(entry: &TaskEntry, data_dir: Option<&Path>) -> Result<PathBuf> {
    match (data_dir, &entry.data_dir) {
        (Some(above), Some(folder)) => Ok(above.join(folder)),
        (Some(folder), None) => Ok(folder.to_owned()),
        (None, Some(folder)) => Ok(folder.clone()),
        (None, None) => bail!(
            "nothing says where its files are; give the folder of all sets with --data-dir, or data_dir in the task"
        ),
    }
}

fn user_files(
    file: &Path,
    entry: &TaskEntry,
    data: &Map<String, Value>,
    terminal: &Terminal,
) -> Result<Loaded> {
    let resolved = data_settings(file, entry, data)?;
    let parts = read_parts(&resolved, &Terminal::new(true, terminal.json()))?;
    let Some(test) = parts.test else {
        bail!("there are no test rows; give test_file beside train_file, or data_file with a test_fraction");
    };
    let (pool, test) = (texts(parts.train)?, texts(test)?);
    let options = |labels| ReadOptions {
        format: resolved.config.data_format,
        columns: resolved.config.columns(),
        header: resolved.config.header,
        labels,
        ..ReadOptions::default()
    };
    let task = &pool.task;
    let shifted = match &entry.shifted {
        None => None,
        Some(ShiftedEntry::File(path)) => {
            let rule = match task {
                Task::Classification { labels } => LabelRule::Known(labels.clone()),
                Task::Regression => LabelRule::Numbers,
            };
            Some(read_file(path, &options(rule))?.dataset)
        }
        Some(ShiftedEntry::OutOfScope(path)) => {
            Some(read_file(path, &options(LabelRule::Unlabelled(task.clone())))?.dataset)
        }
        Some(ShiftedEntry::Split(_)) => {
            bail!("shifted of files is a file: `file: PATH` with labels, or `out_of_scope: PATH`")
        }
    };
    let metric = match task {
        Task::Classification { .. } => GlueMetric::Accuracy,
        Task::Regression => GlueMetric::PearsonAndSpearman,
    };
    Ok(Loaded {
        validation: parts.validation.map(texts).transpose()?,
        test,
        shifted,
        metric,
        pool,
    })
}

fn texts(rows: Rows) -> Result<Dataset> {
    match rows {
        Rows::Texts(dataset) => Ok(dataset),
        _ => bail!("problem_type is not one of texts; a sweep runs texts with a class or a number"),
    }
}

fn data_settings(file: &Path, entry: &TaskEntry, data: &Map<String, Value>) -> Result<Resolved> {
    let place = format!("task {}, data", entry.name);
    let mut values = data.clone();
    let mut places = BTreeMap::new();
    for name in data.keys() {
        let Some(key) = Key::named(name).filter(|key| DATA_KEYS.contains(&key.name)) else {
            bail!(
                "data: `{name}` is no key for files; expected one of {}",
                DATA_KEYS.join(", ")
            );
        };
        places.insert(key.name, place.clone());
    }
    // A sweep draws validation rows itself, and only the files matter here.
    let others = json!({
        "validation_fraction": 0, "model_name_or_path": "-", "output_dir": "-", "learning_rate": 1, "num_train_epochs": 1,
        "per_device_train_batch_size": 1, "seed": TEST_SEED,
    });
    if let Value::Object(others) = others {
        values.extend(others);
    }
    resolve_values(values, Origins::within(file, places))
}
