//! The file of a sweep: what is trained, on what, and how it predicts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use lora_data::{EncodingError, decode_text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::inference_method_entry::InferenceMethodEntry;

/// Rows of a test set, or of a shifted one, unless the file says otherwise.
pub const TEST_ROWS: usize = 1000;
/// Validation rows that are split off a training set, unless the file says otherwise.
pub const VALIDATION_ROWS: usize = 200;

/// A sweep: every method with every point of the grids, on every task and subset, with every seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Keys of `lora train` for every training.
    pub base: Map<String, Value>,
    /// What is learned.
    pub tasks: Vec<TaskEntry>,
    /// What is compared; the first one is what the others are compared with, unless `reference` names another.
    pub methods: Vec<MethodEntry>,
    /// Keys of `lora train` with lists of values: every combination is trained, with every method.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub grid: Map<String, Value>,
    /// Seeds of new weights, order of rows, masks and ensembles.
    pub seeds: Vec<u64>,
    /// What draws training and validation rows.
    #[serde(default)]
    pub data_seed: DataSeed,
    /// Name of the method that the others are compared with, by its mean pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Validation rows that are split off the training set.
    #[serde(default = "validation_rows")]
    pub validation_rows: usize,
    /// Test rows, at most; as many shifted ones.
    #[serde(default = "test_rows")]
    pub test_rows: usize,
    /// Which models of a training predict.
    #[serde(default = "early_stopping", skip_serializing_if = "is_early_stopping")]
    pub stopping: Vec<Stopping>,
    /// Scores on the way, for a picture of how training went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<CurveEntry>,
}

/// Which model of a training predicts. Both are had from one training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopping {
    /// That of the evaluation with the best `metric_for_best_model` on validation rows; without evaluation the last one.
    #[default]
    Early,
    /// That of the last step: a fixed budget.
    Never,
}

impl Stopping {
    /// Whether it is the default.
    pub fn is_early(&self) -> bool {
        *self == Self::Early
    }
}

fn early_stopping() -> Vec<Stopping> {
    vec![Stopping::Early]
}

fn is_early_stopping(stopping: &[Stopping]) -> bool {
    stopping == [Stopping::Early]
}

/// After which epochs a training is scored on the way, and on how much. It changes nothing about the training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveEntry {
    /// The epochs, from 1.
    pub epochs: Vec<u64>,
    /// Members of the ensemble, for trainings that have one; 0 for none.
    #[serde(default = "curve_members")]
    pub members: u64,
    /// Training and test rows that are scored, at most.
    #[serde(default = "curve_rows")]
    pub rows: usize,
    /// The seeds whose trainings are scored; none for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
}

fn curve_members() -> u64 {
    4
}

fn curve_rows() -> usize {
    200
}

fn validation_rows() -> usize {
    VALIDATION_ROWS
}

fn test_rows() -> usize {
    TEST_ROWS
}

/// What draws training and validation rows: a number, the same rows for every seed; or `seed`, other rows for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or the word seed")]
pub enum DataSeed {
    /// The same rows for every seed.
    Fixed(u64),
    /// Other rows for every seed. The members of a deep ensemble share theirs.
    Word(SeedWord),
}

/// The word `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedWord {
    /// The seed of the training.
    Seed,
}

impl Default for DataSeed {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl DataSeed {
    /// What draws the rows for a seed.
    pub fn of(self, seed: u64) -> u64 {
        match self {
            Self::Fixed(number) => number,
            Self::Word(SeedWord::Seed) => seed,
        }
    }
}

/// A task: a benchmark by name, the embedded `snippets`, or files of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskEntry {
    /// What reports call it; without `benchmark` and `data` also the name of the benchmark.
    pub name: String,
    /// Name of the benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<String>,
    /// Folder of the benchmark, below the folder that `--data-dir` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Keys of `lora train` that name files and columns, for files of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// Training rows: numbers, or `all`.
    #[serde(default = "all_rows")]
    pub rows: Vec<RowCount>,
    /// In place of the number for all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_rows: Option<usize>,
    /// In place of the number for all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<usize>,
    /// Split of the benchmark that is trained on; none: `train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    /// Split of the benchmark that is tested on; none: `test` if it has labels, else `validation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Rows of another kind, on which doubt should rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifted: Option<ShiftedEntry>,
    /// Keys of `lora train` for this task.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
}

fn all_rows() -> Vec<RowCount> {
    vec![RowCount::All]
}

/// How many training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "RowCountEntry", into = "RowCountEntry")]
pub enum RowCount {
    /// So many, classes in proportion.
    Some(usize),
    /// All but the validation rows.
    All,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of rows, or the word all")]
enum RowCountEntry {
    Some(usize),
    All(AllWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AllWord {
    All,
}

impl From<RowCountEntry> for RowCount {
    fn from(entry: RowCountEntry) -> Self {
        match entry {
            RowCountEntry::Some(rows) => Self::Some(rows),
            RowCountEntry::All(AllWord::All) => Self::All,
        }
    }
}

impl From<RowCount> for RowCountEntry {
    fn from(rows: RowCount) -> Self {
        match rows {
            RowCount::Some(rows) => Self::Some(rows),
            RowCount::All => Self::All(AllWord::All),
        }
    }
}

impl fmt::Display for RowCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Some(rows) => write!(formatter, "{rows}"),
            Self::All => formatter.write_str("all"),
        }
    }
}

/// Rows of another domain with the same labels, or out-of-scope rows without labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ShiftedEntry {
    /// A split of the same benchmark; of the embedded snippets: `tweets`.
    Split(String),
    /// A file with the columns and the labels of the task's files.
    File(PathBuf),
    /// A file with the text columns of the task's files, whose rows have none of the labels.
    OutOfScope(PathBuf),
    /// Rows of another benchmark, of questions with choices.
    Benchmark(OtherBenchmark),
}

/// A benchmark whose rows are given to models that were trained on another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherBenchmark {
    /// Its name.
    pub name: String,
    /// Its folder, below the folder that `--data-dir` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Its split; none: `test`, or `validation` where there is no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
}

/// A method: what is trained, and the ways to predict with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodEntry {
    /// What reports call it.
    pub name: String,
    /// Keys of `lora train` that make it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub train: Map<String, Value>,
    /// Keys of `lora train` with lists of values, for this method alone.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub grid: Map<String, Value>,
    /// How it predicts.
    pub predictions: Vec<InferenceMethodEntry>,
}

/// A file that is no sweep.
#[derive(Debug, Error)]
pub enum SweepFileError {
    /// It cannot be read.
    #[error("cannot read the sweep's file `{}` ({source}); check the path given to --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no text.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// It is no YAML, or not of a sweep's form.
    #[error("`{}`{}: {reason}; a sweep has the keys base, tasks, methods, seeds, and as you like grid, data_seed, reference, \
             validation_rows, test_rows (see the book's page on experiments)", path.display(), at_line(*line))]
    Form {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: Option<usize>,
        /// What the parser says.
        reason: String,
    },
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

/// Reads the file of a sweep, YAML.
///
/// # Errors
///
/// [`SweepFileError`].
pub fn read(path: &Path) -> Result<SweepFile, SweepFileError> {
    let bytes = fs::read(path).map_err(|source| SweepFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = decode_text(&bytes, path)?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let words = error.without_snippet().to_string();
        let first = words.lines().next().unwrap_or_default();
        SweepFileError::Form {
            path: path.to_owned(),
            line: error.location().map(|location| location.line() as usize),
            // The place stands in front.
            reason: first.split(" at line ").next().unwrap_or(first).to_owned(),
        }
    })
}
