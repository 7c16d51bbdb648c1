//! The rows of a run: read from files or of a benchmark by name, and split.

pub mod benchmark;
pub mod encoded;
pub mod prompts;
pub mod row_checks;
pub mod split;
mod texts;

pub use self::texts::{indices_in_words, joined_in_words};

use std::path::Path;

use lora_data::tasks::{Benchmark, Rows};
use lora_data::{ColumnSelector, ProblemType, ResolvedColumn, Task};
use lora_train::EvalStrategy;

use self::benchmark::{SplitFiles, read_files, read_folder};
use self::row_checks::RowChecks;
use self::split::{Shares, SplitRows};
use crate::config::{DataConfig, Origins, Resolved};
use crate::error::{Context, Result};
use crate::progress::Progress;

/// The rows of a run.
#[derive(Clone, Debug)]
pub struct RunRows {
    /// Rows to train on, to choose by and to score.
    pub split: SplitRows,
    /// What the columns are called, so that other files can be read like these.
    pub columns: ColumnNames,
    /// The benchmark whose form they have; none for texts and prompts in files.
    pub benchmark: Option<&'static Benchmark>,
    /// What makes scores of the splits misleading.
    pub checks: RowChecks,
}

impl RunRows {
    /// What is predicted of them.
    pub fn task(&self) -> Task {
        self.split.train.task(self.benchmark)
    }
}

/// Columns as a user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnNames {
    /// Of the text.
    pub text: ColumnSelector,
    /// Of the second text.
    pub text_pair: Option<ColumnSelector>,
    /// Of the label.
    pub label: ColumnSelector,
}

/// What rows are read from, and how they are split.
#[derive(Clone, Copy, Debug)]
pub struct RowSource<'a> {
    /// Files or a benchmark.
    pub data: &'a DataConfig,
    /// Where its values were given, for messages.
    pub origins: &'a Origins,
    /// Draws the rows that are split off.
    pub seed: u64,
    /// Whether a training is evaluated on its way: the validation rows of a language model are for nothing else.
    pub is_evaluated: bool,
}

impl<'a> From<&'a Resolved> for RowSource<'a> {
    fn from(resolved: &'a Resolved) -> Self {
        let train = &resolved.config.train;
        Self {
            data: &resolved.config.data,
            origins: &resolved.origins,
            seed: train.seed,
            is_evaluated: train.eval_strategy != EvalStrategy::No,
        }
    }
}

impl RowSource<'_> {
    /// Reads and splits, and says what was made of the files.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong in a file, or too few rows to split.
    pub fn read(&self, progress: &dyn Progress) -> Result<RunRows> {
        let benchmark = self.data.benchmark()?;
        let (split, columns) = match benchmark {
            Some(benchmark) => self.read_benchmark(benchmark)?,
            None if self.data.problem_type == Some(ProblemType::CausalLm) => prompts::read(self, progress)?,
            None => texts::read(self, progress)?,
        };
        let checks = split.checks();
        // What labels are stands with the file that they are from, before what is split off it.
        for note in checks.of_labels().iter().chain(&split.notes) {
            progress.note(note);
        }
        if let (Some(benchmark), Rows::Texts(dataset)) = (benchmark, &split.train) {
            progress.note(&format!("{}{}", benchmark.name, texts::in_words(&dataset.task)));
        }
        for sentence in checks.of_rows() {
            progress.note(&sentence);
        }
        Ok(RunRows {
            split,
            columns,
            benchmark,
            checks,
        })
    }

    /// What is split off where there are no files of it.
    fn shares(&self, problem: ProblemType) -> Shares {
        let is_writing = problem == ProblemType::CausalLm;
        Shares {
            validation: if is_writing && !self.is_evaluated {
                0.0
            } else {
                self.data.validation_fraction
            },
            test: if is_writing { 0.0 } else { self.data.test_share() },
            seed: self.seed,
        }
    }

    /// The key and the file of the training rows.
    fn train_file(&self) -> Result<(&'static str, &Path)> {
        match (&self.data.data_file, &self.data.train_file) {
            (Some(path), _) => Ok(("data_file", path)),
            (None, Some(path)) => Ok(("train_file", path)),
            (None, None) => crate::bail!("missing: train_file (or data_file)"),
        }
    }

    /// Where the value of a key was given; the key itself if nowhere.
    fn place(&self, key: &str) -> String {
        self.origins.of(key).unwrap_or_else(|| key.to_owned())
    }

    /// The rows of a benchmark, from its folder or from files of its form.
    fn read_benchmark(&self, benchmark: &'static Benchmark) -> Result<(SplitRows, ColumnNames)> {
        let shares = self.shares(benchmark.problem_type());
        let (key, read) = if let Some(folder) = &self.data.data_dir {
            ("data_dir", read_folder(benchmark, folder, shares))
        } else {
            let (_, train) = self.train_file()?;
            let files = SplitFiles {
                train,
                validation: self.data.validation_file.as_deref(),
                test: self.data.test_file.as_deref(),
            };
            ("train_file", read_files(benchmark, files, shares))
        };
        let mut split = read.with_context(|| {
            let place = self.origins.of(key);
            place.unwrap_or_else(|| benchmark.name.to_owned())
        })?;
        split = prompts::as_completions(split, self.data.chat_template);
        let (text, text_pair, label) = benchmark.column_names();
        let columns = ColumnNames {
            text: text.into(),
            text_pair: text_pair.map(ColumnSelector::from),
            label: label.into(),
        };
        Ok((split, columns))
    }

    /// What columns are called: as the user gave them, where they are given, for an index stays an index; else by the names that were
    /// found.
    fn column_names(
        &self,
        text: &ResolvedColumn,
        text_pair: Option<&ResolvedColumn>,
        label: Option<&ResolvedColumn>,
    ) -> ColumnNames {
        let column = |given: &Option<ColumnSelector>, found: &ResolvedColumn| {
            given.clone().unwrap_or(ColumnSelector::Name(found.name.clone()))
        };
        ColumnNames {
            text: column(&self.data.text_column, text),
            text_pair: text_pair.map(|found| column(&self.data.text_pair_column, found)),
            label: label.map_or("label".into(), |found| column(&self.data.label_column, found)),
        }
    }
}
