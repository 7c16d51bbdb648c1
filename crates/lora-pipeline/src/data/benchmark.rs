//! A benchmark by name and folder: its splits, and what of them is trained on, chooses and is scored.
//!
//! | in the folder | trained on | chooses the best model, the temperature and thresholds | scored at the end |
//! |---|---|---|---|
//! | training, validation and labelled test rows | training | validation | test |
//! | training and validation rows (GLUE and SQuAD keep the truth of their test rows back) | the rest of training | a share of training | validation |
//! | training and labelled test rows (TREC) | the rest of training | a share of training | test |
//! | training rows alone | the rest of training | a share of training | nothing |
//!
//! The rows that numbers are published for never choose anything. Shares are drawn by the seed, classes in proportion, contexts whole.

use std::path::{Path, PathBuf};

use lora_data::tasks::{Benchmark, ReadSplit, Rows, TaskMetric};
use lora_data::{DataError, LabelNames, TaskError};
use lora_eval::glue::GlueMetric;

use super::indices_in_words;
use super::split::{Shares, SplitRows};
use crate::bail;
use crate::counted::counted;
use crate::error::Result;

/// A split that is scored.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredSplit {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: Rows,
    /// What was read, for people.
    pub note: String,
}

/// Files in place of a folder.
#[derive(Clone, Copy, Debug)]
pub struct SplitFiles<'a> {
    /// Rows to train on.
    pub train: &'a Path,
    /// Rows for validation.
    pub validation: Option<&'a Path>,
    /// Rows for the test.
    pub test: Option<&'a Path>,
}

/// The rows of all splits, from the folder in which a benchmark lies, as the table above says.
///
/// # Errors
///
/// If the folder has no training rows, a file is wrong, or there are too few rows to split.
pub fn read_folder(benchmark: &'static Benchmark, folder: &Path, shares: Shares) -> Result<SplitRows> {
    if folder.is_file() {
        bail!(
            "`{}` is a file; give the folder that holds the splits of {}, or train_file and validation_file with problem_type {}",
            folder.display(),
            benchmark.name,
            benchmark.problem_type().name(),
        );
    }
    if benchmark.split("train").is_err() {
        bail!(
            "{} has no training rows ({}); train on another task, such as alpaca, and score with lora eval --task-name {}",
            benchmark.name,
            split_names(benchmark),
            benchmark.name
        );
    }
    let train = benchmark.read(folder, "train")?;
    let names = tags_of(&train.rows).cloned();
    let official = if_there(benchmark, folder, validation_name(benchmark), names.as_ref())?;
    let labelled_test = if_there(benchmark, folder, test_name(benchmark), names.as_ref())?
        .filter(|split| split.rows.is_labelled());
    let (validation, test) = match (official, labelled_test) {
        (official, Some(test)) => (official, Some(test)),
        (official, None) => (None, official),
    };
    let shares = Shares { test: 0.0, ..shares };
    complete(train, validation, test, shares)
}

/// The rows of all splits from single files that have the form of the benchmark.
///
/// # Errors
///
/// If a file is wrong, or there are too few rows to split.
pub fn read_files(benchmark: &'static Benchmark, files: SplitFiles<'_>, shares: Shares) -> Result<SplitRows> {
    let train = benchmark.read(files.train, "train")?;
    let names = tags_of(&train.rows).cloned();
    let further = |file: Option<&Path>, split| {
        file.map(|file| benchmark.read_with_names(file, split, names.as_ref()))
            .transpose()
    };
    let (validation, test) = (
        further(files.validation, "validation")?,
        further(files.test, "test")?,
    );
    complete(train, validation, test, shares)
}

/// The split that is scored: the one asked for, else the test rows if they have labels, else the validation rows. `at` is a folder or the
/// file itself; `tags` are the names that the model knows.
///
/// # Errors
///
/// If the split is unknown, not there, or without labels, or a file is wrong.
pub fn read_scored(
    benchmark: &'static Benchmark,
    at: &Path,
    split: Option<&str>,
    tags: Option<&LabelNames>,
) -> Result<ScoredSplit> {
    let read = |name: &str| benchmark.read_with_names(at, name, tags);
    let default = || -> Result<(&'static str, ReadSplit)> {
        let (test, validation) = (test_name(benchmark), validation_name(benchmark));
        let found = if_there(benchmark, at, test, tags)?.filter(|split| split.rows.is_labelled());
        match (found, test, validation) {
            (Some(split), Some(name), _) => Ok((name, split)),
            (_, _, Some(name)) | (_, Some(name), None) => Ok((name, read(name)?)),
            (_, None, None) => {
                let only = benchmark.splits[0].name;
                Ok((only, read(only)?))
            }
        }
    };
    let (name, found) = match split {
        Some(name) => (benchmark.split(name)?.name, read(name)?),
        None => default()?,
    };
    if !found.rows.is_labelled() {
        bail!(
            "the split `{name}` of {} has no labels, as test rows of benchmarks often; score another split ({})",
            benchmark.name,
            split_names(benchmark)
        );
    }
    let note = note_of(name, &found);
    Ok(ScoredSplit {
        name,
        rows: found.rows,
        note,
    })
}

/// The metric of GLUE that a task is scored by; none for those of other shapes.
pub fn glue_metric(metric: TaskMetric) -> Option<GlueMetric> {
    match metric {
        TaskMetric::Accuracy => Some(GlueMetric::Accuracy),
        TaskMetric::Matthews => Some(GlueMetric::Matthews),
        TaskMetric::AccuracyAndF1 => Some(GlueMetric::AccuracyAndF1),
        TaskMetric::PearsonAndSpearman => Some(GlueMetric::PearsonAndSpearman),
        TaskMetric::SquadV1 | TaskMetric::SquadV2 | TaskMetric::EntityF1 | TaskMetric::Loss => None,
    }
}

/// Says what every split is, and splits off what is missing.
fn complete(
    train: ReadSplit,
    validation: Option<ReadSplit>,
    test: Option<ReadSplit>,
    shares: Shares,
) -> Result<SplitRows> {
    let given = [
        ("training", Some(&train)),
        ("validation", validation.as_ref()),
        ("test", test.as_ref()),
    ];
    let notes = given
        .iter()
        .filter_map(|(name, split)| Some(note_of(name, (*split)?)));
    let notes = notes.collect();
    let rows = |split: Option<ReadSplit>| split.map(|split| split.rows);
    let given = SplitRows::new(train.rows, rows(validation), rows(test));
    SplitRows { notes, ..given }.complete(shares)
}

/// The split, or nothing where the set has none or the folder no file of it.
fn if_there(
    benchmark: &'static Benchmark,
    at: &Path,
    split: Option<&'static str>,
    tags: Option<&LabelNames>,
) -> Result<Option<ReadSplit>> {
    let Some(split) = split else { return Ok(None) };
    match benchmark.read_with_names(at, split, tags) {
        Ok(read) => Ok(Some(read)),
        Err(DataError::Task(TaskError::NoSplitFile { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn validation_name(benchmark: &Benchmark) -> Option<&'static str> {
    first_named(benchmark, "validation")
}

fn test_name(benchmark: &Benchmark) -> Option<&'static str> {
    first_named(benchmark, "test")
}

/// MNLI has two of each, of which the first, matched, is the default.
fn first_named(benchmark: &Benchmark, beginning: &str) -> Option<&'static str> {
    let mut splits = benchmark.splits.iter();
    let split = splits.find(|split| split.name.starts_with(beginning))?;
    Some(split.name)
}

/// Names of all splits, for messages.
fn split_names(benchmark: &Benchmark) -> String {
    let names: Vec<&str> = benchmark.splits.iter().map(|split| split.name).collect();
    names.join(", ")
}

fn tags_of(rows: &Rows) -> Option<&LabelNames> {
    match rows {
        Rows::Words(words) => Some(&words.tags),
        _ => None,
    }
}

fn note_of(split_name: &str, split: &ReadSplit) -> String {
    let shown = |file: &PathBuf| file.display().to_string();
    let files = match &split.files[..] {
        [file] => shown(file),
        [first, others @ ..] => format!("{} with {}", shown(first), counted(others.len(), "more file")),
        [] => String::new(),
    };
    let left_out = match split.left_out {
        0 => String::new(),
        rows => format!("; {rows} broken or empty ones left out"),
    };
    let indices = match &split.index_tag {
        Some(tag) => format!("; {}", indices_in_words(tag, &split.rows.task(None))),
        None => String::new(),
    };
    format!(
        "{split_name}: {} from {files}{left_out}{indices}",
        counted(split.rows.len(), "row")
    )
}

#[cfg(test)]
mod tests;
