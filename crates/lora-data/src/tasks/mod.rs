//! Benchmark tasks by name: where their rows come from, what they look like, how they are scored.
//!
//! ```no_run
//! use lora_data::tasks;
//!
//! let task = tasks::find("cola")?;
//! let train = task.read("data/CoLA", "train")?;
//! println!("{}: {} rows from {:?}", task.title, train.rows.len(), train.files);
//! let dataset = train.into_texts()?;
//! # Ok::<(), lora_data::DataError>(())
//! ```
//!
//! [`find`] looks into one table, [`ALL`]. A [`Benchmark`] reads a split from a folder in the form in which the set is distributed, from
//! one of the hub's Parquet files, or from a file of the user's of the same shape. There are four shapes, [`Rows`]: texts with a class
//! or a number, questions about a context, questions with choices, and instructions.

mod all;
mod answers;
mod choices;
mod clinc;
mod glue;
mod instructions;
mod locate;
mod mmlu;
mod spans;
mod texts;
mod trec;

use std::path::{Path, PathBuf};

pub use all::ALL;
pub use answers::{AnswerPlace, AnswerSettings, SpanAnswer, read_answers};
pub use choices::{ChoicePrompt, ChoiceQuestion, PromptStyle, prompts};
pub use instructions::Instruction;
pub use spans::{Answer, SpanQuestion, Spans};

use crate::dataset::Dataset;
use crate::error::{DataError, TaskError};
use crate::suggest::nearest;

/// A task: one entry of the table [`ALL`].
#[derive(Debug)]
pub struct Benchmark {
    /// The name that [`find`] knows, in small letters.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// How it is scored.
    pub metric: TaskMetric,
    /// The data set on the Hugging Face hub, and its configuration there; `None` for files of the user's.
    pub hub: Option<(&'static str, &'static str)>,
    /// What is known about the licence of the texts. Not legal advice: read what comes with the files.
    pub license: &'static str,
    /// Folders in which the set often lies below the one that is given.
    pub folders: &'static [&'static str],
    /// Its splits.
    pub splits: &'static [Split],
    /// How its files are read.
    form: Form,
}

/// One split and the files that hold it.
#[derive(Debug)]
pub struct Split {
    /// Its name.
    pub name: &'static str,
    /// How many rows the distributed split has; `None` for files of the user's.
    pub rows: Option<usize>,
    /// Files of the distributed set: the first alternative that is there is read, all its files one after the other.
    pub files: &'static [&'static [&'static str]],
}

/// What a task is scored by. The crate of scores has the functions; these are their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskMetric {
    /// Share of right answers.
    Accuracy,
    /// Matthews' correlation.
    Matthews,
    /// Share of right answers, and F1 of class 1; their mean stands for the task.
    AccuracyAndF1,
    /// Pearson and Spearman correlation; their mean stands for the task.
    PearsonAndSpearman,
    /// Exact match and F1 of words, by the rules of SQuAD 1.1.
    SquadV1,
    /// The same by the rules of SQuAD 2.0, with questions that have no answer.
    SquadV2,
    /// The loss of the answer alone: instructions are scored by another task.
    Loss,
}

impl TaskMetric {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Matthews => "Matthews correlation",
            Self::AccuracyAndF1 => "accuracy and F1",
            Self::PearsonAndSpearman => "Pearson and Spearman correlation",
            Self::SquadV1 => "exact match and F1",
            Self::SquadV2 => "exact match and F1, with no-answer threshold",
            Self::Loss => "loss of the answer",
        }
    }
}

/// How a task's files become rows.
#[derive(Debug)]
enum Form {
    Texts(texts::TextForm),
    Clinc,
    Trec(trec::Detail),
    Spans,
    Choices(PromptStyle),
    Arc,
    Mmlu,
    Instructions,
}

/// The rows of a split, in one of four shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Texts, or pairs of texts, with a class or a number.
    Texts(Dataset),
    /// Questions whose answer is a part of a context.
    Spans(Spans),
    /// Questions with choices.
    Choices(Vec<ChoiceQuestion>),
    /// Instructions and what should follow them.
    Instructions(Vec<Instruction>),
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(dataset) => dataset.len(),
            Self::Spans(spans) => spans.questions.len(),
            Self::Choices(questions) => questions.len(),
            Self::Instructions(instructions) => instructions.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Texts(_) => TEXTS,
            Self::Spans(_) => SPANS,
            Self::Choices(_) => CHOICES,
            Self::Instructions(_) => INSTRUCTIONS,
        }
    }
}

const TEXTS: &str = "texts with a class or a number";
const SPANS: &str = "questions about a context";
const CHOICES: &str = "questions with choices";
const INSTRUCTIONS: &str = "instructions";

/// A split that was read, and what of: to be shown, so that a wrong file is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadSplit {
    /// The task's name.
    pub task: &'static str,
    /// The rows, in the order of the files.
    pub rows: Rows,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Rows that the task leaves out, because the distributed file holds broken ones: QQP's lines with line breaks inside, ARC
    /// questions that a CSV has robbed of the right choice, instructions with an empty answer.
    pub left_out: usize,
}

impl ReadSplit {
    /// The rows as a labelled data set.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_texts(self) -> Result<Dataset, TaskError> {
        match self.rows {
            Rows::Texts(dataset) => Ok(dataset),
            other => Err(other_rows(self.task, TEXTS, &other)),
        }
    }

    /// The rows as questions about contexts.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_spans(self) -> Result<Spans, TaskError> {
        match self.rows {
            Rows::Spans(spans) => Ok(spans),
            other => Err(other_rows(self.task, SPANS, &other)),
        }
    }

    /// The rows as questions with choices.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_choices(self) -> Result<Vec<ChoiceQuestion>, TaskError> {
        match self.rows {
            Rows::Choices(questions) => Ok(questions),
            other => Err(other_rows(self.task, CHOICES, &other)),
        }
    }

    /// The rows as instructions.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_instructions(self) -> Result<Vec<Instruction>, TaskError> {
        match self.rows {
            Rows::Instructions(instructions) => Ok(instructions),
            other => Err(other_rows(self.task, INSTRUCTIONS, &other)),
        }
    }
}

fn other_rows(task: &'static str, wanted: &'static str, found: &Rows) -> TaskError {
    TaskError::OtherRows {
        task,
        wanted,
        found: found.kind(),
    }
}

/// The task of this name.
///
/// # Errors
/// [`TaskError::UnknownTask`], with the nearest name.
pub fn find(name: &str) -> Result<&'static Benchmark, TaskError> {
    ALL.iter()
        .copied()
        .find(|task| task.name == name)
        .ok_or_else(|| TaskError::UnknownTask {
            given: name.to_owned(),
            known: ALL.iter().map(|task| task.name.to_owned()).collect(),
            nearest: nearest(name, ALL.iter().map(|task| task.name)),
        })
}

impl Benchmark {
    /// The split of this name. `dev`, `val` and `valid` are `validation`, unless the task has a split of that very name.
    ///
    /// # Errors
    /// [`TaskError::UnknownSplit`], with the nearest name.
    pub fn split(&self, name: &str) -> Result<&'static Split, TaskError> {
        let named = |name: &str| self.splits.iter().find(|split| split.name == name);
        let alias = matches!(name, "dev" | "val" | "valid").then_some("validation");
        named(name)
            .or_else(|| named(alias?))
            .ok_or_else(|| TaskError::UnknownSplit {
                task: self.name,
                given: name.to_owned(),
                known: self.splits.iter().map(|split| split.name.to_owned()).collect(),
                nearest: nearest(name, self.splits.iter().map(|split| split.name)),
            })
    }

    /// How questions with choices are asked; `None` for other rows.
    pub fn prompt_style(&self) -> Option<PromptStyle> {
        match self.form {
            Form::Choices(style) => Some(style),
            Form::Arc => Some(PromptStyle::Letters),
            Form::Mmlu => Some(PromptStyle::Mmlu),
            Form::Texts(_) | Form::Clinc | Form::Trec(_) | Form::Spans | Form::Instructions => None,
        }
    }

    /// Reads a split from a folder, or from the one file that `at` names.
    ///
    /// In a folder the files of the distributed set are looked for, then files named after the split (`train.tsv`, `train.csv`,
    /// `train.jsonl`, `train.json`, `train.parquet`), then the shards of the hub (`train-00000-of-00002.parquet` and so on); in the
    /// folder itself, then in those that the set is known to lie in, such as `CoLA`.
    ///
    /// # Errors
    /// [`TaskError::UnknownSplit`], [`TaskError::NoSplitFile`], and a [`DataError`] for the first thing that is wrong with a file.
    pub fn read(&'static self, at: impl AsRef<Path>, split: &str) -> Result<ReadSplit, DataError> {
        let split = self.split(split)?;
        let at = at.as_ref();
        let files = match self.form {
            Form::Mmlu => mmlu::locate(self, at, split)?,
            _ => locate::files(self, at, split)?,
        };
        let (rows, left_out) = match &self.form {
            Form::Texts(form) => {
                let (dataset, left_out) = texts::read(form, &files, split)?;
                (Rows::Texts(dataset), left_out)
            }
            Form::Clinc => (Rows::Texts(clinc::read(&files, split)?), 0),
            Form::Trec(detail) => (Rows::Texts(trec::read(&files, *detail)?), 0),
            Form::Spans => (Rows::Spans(spans::read(&files)?), 0),
            Form::Choices(_) | Form::Arc => {
                let (questions, left_out) = choices::read(&files, None, matches!(self.form, Form::Arc))?;
                (Rows::Choices(questions), left_out)
            }
            Form::Mmlu => {
                let (questions, left_out) = mmlu::read(&files, split)?;
                (Rows::Choices(questions), left_out)
            }
            Form::Instructions => {
                let (instructions, left_out) = instructions::read(&files)?;
                (Rows::Instructions(instructions), left_out)
            }
        };
        Ok(ReadSplit {
            task: self.name,
            rows,
            files,
            left_out,
        })
    }
}
