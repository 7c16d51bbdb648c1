//! Where model and rows come from: a base model; files, or a benchmark by name.

use lora_data::tasks::{self, Benchmark};
use lora_data::{Columns, ProblemType};
use serde_json::{Map, Value};

use super::keys::REQUIRED;
use super::{Origins, RunConfig};
use crate::bail;
use crate::error::Result;

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

impl RunConfig {
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

    /// The columns to read.
    pub fn columns(&self) -> Columns {
        Columns {
            text: self.text_column.clone(),
            text_pair: self.text_pair_column.clone(),
            label: self.label_column.clone(),
        }
    }

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

pub(super) fn check_required(values: &Map<String, Value>, origins: &Origins) -> Result<()> {
    let mut missing: Vec<&str> = REQUIRED
        .into_iter()
        .filter(|key| !values.contains_key(*key))
        .collect();
    let sources = ["train_file", "data_file", "task_name", "data_dir"];
    if !sources.iter().any(|key| values.contains_key(*key)) {
        missing.push("train_file (or data_file, or task_name and data_dir)");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    match &origins.file {
        Some(file) => bail!(
            "`{}` lacks {missing}; add the missing keys to the file, or give them as flags such as --output",
            file.display()
        ),
        None => {
            bail!("missing: {missing}; give them in a file with --config, or as flags such as --output")
        }
    }
}

/// Sources of rows that exclude each other, and settings of another shape of rows.
pub(super) fn check_data(config: &RunConfig, origins: &Origins) -> Result<()> {
    let files = [
        ("train_file", &config.train_file),
        ("validation_file", &config.validation_file),
        ("test_file", &config.test_file),
    ];
    let given = files.into_iter().find(|(_, file)| file.is_some());
    if let (Some(_), Some((key, _))) = (&config.data_file, given) {
        let message = format!(
            "{key} and data_file are both given: data_file stands in place of the three files, remove one of them"
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
    check_answers(config, found, origins)
}

/// Settings of windows and answers.
fn check_answers(config: &RunConfig, problem: ProblemType, origins: &Origins) -> Result<()> {
    for (key, is_wish) in [
        ("doc_stride", config.doc_stride.is_some()),
        ("max_answer_length", origins.of("max_answer_length").is_some()),
    ] {
        // A resolved configuration that was printed holds the default.
        let is_usual =
            key == "max_answer_length" && config.max_answer_length == super::defaults::max_answer_length();
        if is_wish && !is_usual && problem != ProblemType::QuestionAnswering {
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
