//! Where model and rows come from: a base model; files, or a benchmark by name.

use lora_data::Columns;
use lora_data::tasks::{self, Benchmark, RowsKind};
use serde_json::{Map, Value};

use super::keys::REQUIRED;
use super::{Origins, ProblemType, RunConfig};
use crate::bail;
use crate::base::BaseOptions;
use crate::data::benchmark::of_own_files;
use crate::error::Result;

impl RunConfig {
    /// The base model.
    pub fn base(&self) -> BaseOptions<'_> {
        BaseOptions {
            name: &self.model_name_or_path,
            revision: self.revision.as_deref(),
            max_seq_length: self.max_seq_length,
            fp32_precision: self.fp32_precision,
        }
    }

    /// The benchmark that is named, or that has the form of the files; none for texts in files, which have columns and labels of
    /// their own, and for prompts with completions in files.
    ///
    /// # Errors
    ///
    /// If there is no task of this name.
    pub fn benchmark(&self) -> Result<Option<&'static Benchmark>> {
        match (&self.task_name, self.rows_of_files()) {
            (Some(name), _) => Ok(Some(tasks::find(name)?)),
            (None, RowsKind::Texts | RowsKind::Instructions) => Ok(None),
            (None, kind) => Ok(Some(of_own_files(kind)?)),
        }
    }

    fn rows_of_files(&self) -> RowsKind {
        self.problem_type.map_or(RowsKind::Texts, ProblemType::rows)
    }

    /// The shape of the rows.
    ///
    /// # Errors
    ///
    /// If there is no task of the name.
    pub fn rows_kind(&self) -> Result<RowsKind> {
        Ok(self.benchmark()?.map_or(self.rows_of_files(), Benchmark::kind))
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
    let kind = config
        .rows_kind()
        .map_err(|error| origins.at("task_name", error))?;
    if let (Some(name), Some(problem)) = (&config.task_name, config.problem_type)
        && problem.rows() != kind
    {
        let message = format!(
            "problem_type is {}, but {name} has {}; remove problem_type",
            problem.name(),
            kind.words()
        );
        return Err(origins.at("problem_type", message));
    }
    check_answers(config, kind, origins)
}

/// Settings of windows and answers.
fn check_answers(config: &RunConfig, kind: RowsKind, origins: &Origins) -> Result<()> {
    for (key, is_wish) in [
        ("doc_stride", config.doc_stride.is_some()),
        ("max_answer_length", origins.of("max_answer_length").is_some()),
    ] {
        // A resolved configuration that was printed holds the default.
        let is_usual =
            key == "max_answer_length" && config.max_answer_length == super::defaults::max_answer_length();
        if is_wish && !is_usual && kind != RowsKind::Spans {
            let message = format!(
                "{key} is a setting of question answering, but the rows are {}; remove it",
                kind.words()
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
