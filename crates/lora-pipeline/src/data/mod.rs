//! The rows of a run: read from files or of a benchmark by name, and split.

pub mod benchmark;
pub mod encoded;
pub mod prompts;
pub mod row_checks;
pub mod split;
mod texts;

pub use self::texts::joined_in_words;

use lora_data::tasks::{Benchmark, Rows};
use lora_data::{ColumnSelector, ProblemType, Task};

use self::benchmark::{SplitFiles, read_files, read_folder};
use self::row_checks::RowChecks;
use self::split::{Shares, SplitRows};
use crate::config::Resolved;
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

/// Reads and splits, and says what was made of the files.
///
/// # Errors
///
/// The first thing that is wrong in a file, or too few rows to split.
pub fn read_rows(resolved: &Resolved, progress: &dyn Progress) -> Result<RunRows> {
    let config = &resolved.config;
    let benchmark = config.benchmark()?;
    let (split, columns) = match benchmark {
        Some(benchmark) => read_benchmark(resolved, benchmark)?,
        None if config.problem_type == Some(ProblemType::CausalLm) => prompts::read(resolved, progress)?,
        None => texts::read(resolved, progress)?,
    };
    for note in &split.notes {
        progress.note(note);
    }
    if let (Some(benchmark), Rows::Texts(dataset)) = (benchmark, &split.train) {
        progress.note(&format!("{}{}", benchmark.name, texts::in_words(&dataset.task)));
    }
    let checks = split.checks();
    for sentence in checks.sentences() {
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
fn shares(resolved: &Resolved) -> Shares {
    let config = &resolved.config;
    // Test rows are split off one file that holds all rows.
    let is_one_file = config.data_file.is_some();
    Shares {
        validation: config.validation_fraction,
        test: if is_one_file { config.test_fraction } else { 0.0 },
        seed: config.train.seed,
    }
}

/// The key and the file of the training rows.
fn train_file(resolved: &Resolved) -> Result<(&'static str, &std::path::Path)> {
    let config = &resolved.config;
    match (&config.data_file, &config.train_file) {
        (Some(path), _) => Ok(("data_file", path)),
        (None, Some(path)) => Ok(("train_file", path)),
        (None, None) => crate::bail!("missing: train_file (or data_file)"),
    }
}

/// The rows of a benchmark, from its folder or from files of its form.
fn read_benchmark(resolved: &Resolved, benchmark: &'static Benchmark) -> Result<(SplitRows, ColumnNames)> {
    let config = &resolved.config;
    let mut shares = shares(resolved);
    if benchmark.problem_type() == ProblemType::CausalLm {
        shares = prompts::shares(resolved);
    }
    let (key, read) = if let Some(folder) = &config.data_dir {
        ("data_dir", read_folder(benchmark, folder, shares))
    } else {
        let (_, train) = train_file(resolved)?;
        let files = SplitFiles {
            train,
            validation: config.validation_file.as_deref(),
            test: config.test_file.as_deref(),
        };
        ("train_file", read_files(benchmark, files, shares))
    };
    let mut split = read.with_context(|| {
        let place = resolved.origins.of(key);
        place.unwrap_or_else(|| benchmark.name.to_owned())
    })?;
    split = prompts::as_completions(split, config.chat_template);
    let (text, text_pair, label) = benchmark.column_names();
    let columns = ColumnNames {
        text: text.into(),
        text_pair: text_pair.map(ColumnSelector::from),
        label: label.into(),
    };
    Ok((split, columns))
}
