//! Where model and rows come from: a base model; files, or a benchmark by name.

use std::path::PathBuf;

use lora_data::tasks::{self, Benchmark};
use lora_data::{ColumnSelector, Columns, Format, LabelRule, ProblemType, ReadOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::Key;
use super::{Origins, RunConfig};
use crate::bail;
use crate::error::Result;

/// Where the rows come from, how they are read, and what is split off: some of the keys of [`RunConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Training data.
    #[serde(default)]
    pub train_file: Option<PathBuf>,
    /// Validation data.
    #[serde(default)]
    pub validation_file: Option<PathBuf>,
    /// Test data.
    #[serde(default)]
    pub test_file: Option<PathBuf>,
    /// One file in place of the three.
    #[serde(default)]
    pub data_file: Option<PathBuf>,
    /// A benchmark by name, in place of files.
    #[serde(default)]
    pub task_name: Option<String>,
    /// The folder in which it lies.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// Format of the files; none: told from the name.
    #[serde(default)]
    pub data_format: Option<Format>,
    /// Whether the first row of a CSV or TSV names the columns.
    #[serde(default = "super::defaults::yes")]
    pub header: bool,
    /// Share of the rows split off for validation.
    #[serde(default = "super::defaults::fraction")]
    pub validation_fraction: f64,
    /// Share of the rows split off for the test.
    #[serde(default = "super::defaults::fraction")]
    pub test_fraction: f64,
    /// Column of the text.
    #[serde(default)]
    pub text_column: Option<ColumnSelector>,
    /// Column of the second text.
    #[serde(default)]
    pub text_pair_column: Option<ColumnSelector>,
    /// Column of the label.
    #[serde(default)]
    pub label_column: Option<ColumnSelector>,
    /// Several columns of 0 and 1 in its place, whose names are labels any number of which may hold.
    #[serde(default)]
    pub label_columns: Vec<ColumnSelector>,
    /// What is predicted; none: told from the labels.
    #[serde(default)]
    pub problem_type: Option<ProblemType>,
    /// Whether the prompts of a language model are written with its chat template.
    #[serde(default)]
    pub chat_template: bool,
}

/// How many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// A row has at most.
    pub longest: usize,
    /// Windows of a long context share.
    pub overlap: usize,
    /// An answer has at most.
    pub answer: usize,
}

impl DataConfig {
    /// The benchmark that is named, or that has the form of the files; none for texts in files, which have columns and labels of
    /// their own, and for prompts with completions in files.
    ///
    /// # Errors
    ///
    /// If there is no task of this name.
    pub fn benchmark(&self) -> Result<Option<&'static Benchmark>> {
        if let Some(name) = &self.task_name {
            return Ok(Some(tasks::find(name)?));
        }
        let problem = self
            .problem_type
            .filter(|problem| *problem != ProblemType::CausalLm);
        Ok(problem.and_then(tasks::of_own_files))
    }

    /// What is predicted; of texts without a problem type their labels tell.
    ///
    /// # Errors
    ///
    /// If there is no task of the name.
    pub fn problem(&self) -> Result<ProblemType> {
        let of_files = self
            .problem_type
            .unwrap_or(ProblemType::SingleLabelClassification);
        Ok(self.benchmark()?.map_or(of_files, Benchmark::problem_type))
    }

    /// Share of the training rows that is split off for validation.
    pub fn validation_share(&self) -> f64 {
        if self.validation_file.is_none() {
            self.validation_fraction
        } else {
            0.0
        }
    }

    /// Share of them that is split off for the test: of one file that holds all rows.
    pub fn test_share(&self) -> f64 {
        if self.data_file.is_some() {
            self.test_fraction
        } else {
            0.0
        }
    }

    /// The columns to read.
    pub fn columns(&self) -> Columns {
        Columns {
            text: self.text_column.clone(),
            text_pair: self.text_pair_column.clone(),
            label: self.label_column.clone(),
        }
    }

    /// How a file of texts is read, whose labels follow a rule.
    pub fn read_options(&self, labels: LabelRule) -> ReadOptions {
        ReadOptions {
            format: self.data_format,
            columns: self.columns(),
            header: self.header,
            labels,
            ..ReadOptions::default()
        }
    }
}

impl RunConfig {
    /// Tokens that windows of a long context share.
    pub fn window_overlap(&self) -> usize {
        self.doc_stride.unwrap_or(self.max_seq_length / 3)
    }

    /// How many tokens rows have.
    pub fn lengths(&self) -> Lengths {
        Lengths {
            longest: self.max_seq_length,
            overlap: self.window_overlap(),
            answer: self.max_answer_length,
        }
    }
}

/// Refuses values that lack a source of rows, or one of the keys `required`.
pub(super) fn check_required(
    required: &[&'static str],
    values: &Map<String, Value>,
    origins: &Origins,
) -> Result<()> {
    let mut missing: Vec<&str> = required.to_vec();
    missing.retain(|key| !values.contains_key(*key));
    let sources = ["train_file", "data_file", "task_name", "data_dir"];
    if !sources.iter().any(|key| values.contains_key(*key)) {
        missing.push("train_file (or data_file, or task_name and data_dir)");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let flag = |key: &&str| Key::named(key).map_or("--data".to_owned(), |key| format!("--{}", key.flag()));
    let flags = missing.iter().map(flag).collect::<Vec<_>>().join(", ");
    let missing = missing.join(", ");
    match &origins.file {
        Some(file) => bail!(
            "`{}` lacks {missing}; add the missing keys to the file, or give them as flags: {flags}",
            file.display()
        ),
        None => bail!(
            "missing: {missing}; give them in a file with --config, or as flags: {flags}; for classes or a number of each text, --data alone \
             is enough"
        ),
    }
}

/// Shares of the rows, and sources of them that exclude each other.
pub(super) fn check_data(config: &DataConfig, origins: &Origins) -> Result<()> {
    check_shares(config, origins)?;
    let files = [
        ("train_file", &config.train_file),
        ("validation_file", &config.validation_file),
        ("test_file", &config.test_file),
    ];
    let given = files.into_iter().find(|(_, file)| file.is_some());
    if let (Some(_), Some((key, _))) = (&config.data_file, given) {
        let way_out = if key == "train_file" {
            "remove one of them"
        } else {
            "for the file of the training rows alone give train_file (--train-file) in the place of data_file (--data)"
        };
        let message = format!(
            "{key} and data_file are both given: data_file stands in place of the three files; {way_out}"
        );
        return Err(origins.at(key, message));
    }
    let given = given
        .map(|(key, _)| key)
        .or(config.data_file.as_ref().map(|_| "data_file"));
    match (&config.task_name, &config.data_dir) {
        (Some(_), Some(_)) => {
            if let Some(key) = given {
                let message = format!(
                    "{key} and task_name are both given: a benchmark has files of its own in data_dir; remove {key}, or task_name \
                     and data_dir"
                );
                return Err(origins.at(key, message));
            }
        }
        (Some(name), None) => {
            let message = format!(
                "task_name is {name}, but data_dir is not given; nothing is downloaded, so give the folder that holds the set \
                 (lora tasks {name} says what it looks like)"
            );
            return Err(origins.at("task_name", message));
        }
        (None, Some(_)) => {
            let message = "data_dir is given without task_name; name the benchmark that lies there (lora tasks lists the names)";
            return Err(origins.at("data_dir", message));
        }
        (None, None) => {}
    }
    let found = config.problem().map_err(|error| origins.at("task_name", error))?;
    if let (Some(name), Some(problem)) = (&config.task_name, config.problem_type)
        && !problem.has_rows_of(found)
    {
        let message = format!(
            "problem_type is {}, but {name} has {}; remove problem_type",
            problem.name(),
            found.rows()
        );
        return Err(origins.at("problem_type", message));
    }
    check_columns(config, origins)
}

/// Settings of own files of texts beside rows that have a form of their own.
fn check_columns(config: &DataConfig, origins: &Origins) -> Result<()> {
    let Some(benchmark) = config.benchmark()? else {
        return Ok(());
    };
    let given = [
        ("text_column", config.text_column.is_some()),
        ("text_pair_column", config.text_pair_column.is_some()),
        ("label_column", config.label_column.is_some()),
        ("data_format", config.data_format.is_some()),
        ("header", !config.header),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((key, _)) => Err(origins.at(key, changes_nothing(key, benchmark))),
        None => Ok(()),
    }
}

/// Why a setting of own files of texts would be read by nobody.
pub(crate) fn changes_nothing(setting: &str, benchmark: &Benchmark) -> String {
    let of = match benchmark.hub {
        Some(_) => benchmark.name,
        None => benchmark.problem_type().rows(),
    };
    format!(
        "{setting} would change nothing: the columns of {of} are known by their names, and the form of a file by its ending; rename them in the \
         file (lora tasks {} says how), and remove {setting}",
        benchmark.name
    )
}

fn check_shares(config: &DataConfig, origins: &Origins) -> Result<()> {
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
    // A configuration that was printed holds the default.
    let is_wish = ![0.0, super::defaults::fraction()].contains(&config.test_fraction);
    if is_wish && config.data_file.is_none() {
        let message = "test_fraction would change nothing: only the rows of data_file are split into training, validation and test; \
                       give data_file in place of train_file, or a test_file, and remove test_fraction";
        return Err(origins.at("test_fraction", message));
    }
    let together = config.validation_share() + config.test_share();
    if together >= 1.0 {
        let message = format!(
            "validation_fraction and test_fraction are {together} together, which leaves no row to train on; lower them"
        );
        let key = if origins.of("validation_fraction").is_some() {
            "validation_fraction"
        } else {
            "test_fraction"
        };
        return Err(origins.at(key, message));
    }
    Ok(())
}

/// Settings of windows and answers.
pub(super) fn check_answers(config: &RunConfig, origins: &Origins) -> Result<()> {
    let problem = config.data.problem()?;
    for (key, is_wish) in [
        ("doc_stride", config.doc_stride.is_some()),
        ("max_answer_length", origins.of("max_answer_length").is_some()),
    ] {
        // A resolved configuration that was printed holds the default.
        let is_default =
            key == "max_answer_length" && config.max_answer_length == super::defaults::max_answer_length();
        if is_wish && !is_default && problem != ProblemType::QuestionAnswering {
            let message = format!(
                "{key} is a setting of question answering, but the rows are {}; remove it",
                problem.rows()
            );
            return Err(origins.at(key, message));
        }
    }
    if config.max_answer_length == 0 {
        let message = "max_answer_length is 0, which allows no answer; 30 is usual";
        return Err(origins.at("max_answer_length", message));
    }
    if config
        .doc_stride
        .is_some_and(|overlap| overlap >= config.max_seq_length)
    {
        let message = format!(
            "doc_stride is {}, but a window has {} tokens (max_seq_length): windows would not move on; a third of max_seq_length is \
             usual",
            config.window_overlap(),
            config.max_seq_length
        );
        return Err(origins.at("doc_stride", message));
    }
    Ok(())
}
