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
//! one of the hub's Parquet files, or from a file of the user's of the same shape. There are six shapes, [`Rows`]: texts with a class
//! or a number, questions about a context, sentences with tagged words, questions with choices, instructions, and prompts with completions.

mod all;
mod answers;
mod choices;
mod clinc;
mod glue;
mod instructions;
mod locate;
mod mmlu;
mod rows;
mod spans;
mod texts;
mod trec;
mod words;

use std::path::{Path, PathBuf};

pub use all::ALL;
pub use answers::{AnswerPlace, AnswerSettings, SpanAnswer, read_answers};
pub use choices::{ChoicePrompt, ChoiceQuestion, PromptStyle, prompts, read_choice_questions};
pub use instructions::Instruction;
pub use rows::Rows;
pub use spans::{Answer, SpanQuestion, Spans, read_questions};
pub use words::{TagRule, TaggedSentence, TaggedWords, read_words};

use crate::dataset::Dataset;
use crate::error::{DataError, TaskError};
use crate::labels::LabelNames;
use crate::suggest::nearest;
use crate::task::ProblemType;

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

/// A split of a distributed set.
const fn split(name: &'static str, rows: usize, files: &'static [&'static [&'static str]]) -> Split {
    Split {
        name,
        rows: Some(rows),
        files,
    }
}

/// A task whose splits are files of the user's, named after them.
const fn own_files(name: &'static str, title: &'static str, metric: TaskMetric, form: Form) -> Benchmark {
    const fn own(name: &'static str) -> Split {
        Split {
            name,
            rows: None,
            files: &[],
        }
    }
    const SPLITS: &[Split] = &[own("train"), own("validation"), own("test")];
    Benchmark {
        name,
        title,
        metric,
        hub: None,
        license: "yours",
        folders: &[],
        splits: SPLITS,
        form,
    }
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
    /// F1 of whole entities, by the strict rules of seqeval for IOB2.
    EntityF1,
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
            Self::SquadV2 => "exact match and F1 with no-answer threshold",
            Self::EntityF1 => "F1 of entities",
            Self::Loss => "loss of the answer",
        }
    }
}

/// How a task's files become rows.
#[derive(Debug)]
enum Form {
    Texts(texts::TextForm),
    Clinc,
    Trec(trec::Granularity),
    Spans,
    /// The names of the tags, if the set fixes them.
    Words(Option<&'static [&'static str]>),
    Choices(PromptStyle),
    Arc,
    Mmlu,
    Instructions,
}

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
    /// A tag that is a number and was taken for the index of a name, if there was one: the tags may have been numbered in another order.
    pub index_tag: Option<String>,
}

impl ReadSplit {
    /// The rows as a labelled data set.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_texts(self) -> Result<Dataset, TaskError> {
        match self.rows {
            Rows::Texts(dataset) => Ok(dataset),
            other => Err(other_rows(
                self.task,
                ProblemType::SingleLabelClassification,
                &other,
            )),
        }
    }

    /// The rows as questions about contexts.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_spans(self) -> Result<Spans, TaskError> {
        match self.rows {
            Rows::Spans(spans) => Ok(spans),
            other => Err(other_rows(self.task, ProblemType::QuestionAnswering, &other)),
        }
    }

    /// The rows as questions with choices.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_choices(self) -> Result<Vec<ChoiceQuestion>, TaskError> {
        match self.rows {
            Rows::Choices(questions) => Ok(questions),
            other => Err(other_rows(self.task, ProblemType::MultipleChoice, &other)),
        }
    }

    /// The rows as instructions.
    ///
    /// # Errors
    /// [`TaskError::OtherRows`].
    pub fn into_instructions(self) -> Result<Vec<Instruction>, TaskError> {
        match self.rows {
            Rows::Instructions(instructions) => Ok(instructions),
            other => Err(other_rows(self.task, ProblemType::CausalLm, &other)),
        }
    }
}

fn other_rows(task: &'static str, wanted: ProblemType, found: &Rows) -> TaskError {
    TaskError::OtherRows {
        task,
        wanted: wanted.rows(),
        found: found.problem_type().rows(),
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

/// The task for files of one's own whose rows have a shape of their own; none for texts, which are read by their columns.
pub fn of_own_files(problem: ProblemType) -> Option<&'static Benchmark> {
    let mut own = ALL.iter().copied().filter(|task| task.hub.is_none());
    own.find(|task| task.problem_type() == problem)
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
            Form::Texts(_)
            | Form::Clinc
            | Form::Trec(_)
            | Form::Spans
            | Form::Words(_)
            | Form::Instructions => None,
        }
    }

    /// What is predicted of its rows, without the names of labels.
    pub fn problem_type(&self) -> ProblemType {
        match self.form {
            Form::Texts(_) | Form::Clinc | Form::Trec(_) if self.metric == TaskMetric::PearsonAndSpearman => {
                ProblemType::Regression
            }
            Form::Texts(_) | Form::Clinc | Form::Trec(_) => ProblemType::SingleLabelClassification,
            Form::Spans => ProblemType::QuestionAnswering,
            Form::Words(_) => ProblemType::TokenClassification,
            Form::Choices(_) | Form::Arc | Form::Mmlu => ProblemType::MultipleChoice,
            Form::Instructions => ProblemType::CausalLm,
        }
    }

    /// The columns of its tables in words, for help; where there are several forms, the plain one.
    pub fn columns(&self) -> String {
        match &self.form {
            Form::Texts(form) => {
                let (text, pair, label) = form.column_names();
                let names = [Some(text), pair, Some(label)];
                names.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            Form::Clinc => "text, intent; or CLINC150's JSON".to_owned(),
            Form::Trec(_) => "text, label; or lines `CLASS:detail question`".to_owned(),
            Form::Spans => "question, context, answer, answer_start (or answers); or SQuAD's JSON".to_owned(),
            Form::Words(_) => "tokens, tags; or a word and its tag a line (.conll)".to_owned(),
            Form::Choices(PromptStyle::TrueFalse) => "question, passage, answer".to_owned(),
            Form::Choices(_) | Form::Arc => "question, choices (or A, B, C…), answer".to_owned(),
            Form::Mmlu => "without header: question, four choices, answer".to_owned(),
            Form::Instructions => "instruction, input, output".to_owned(),
        }
    }

    /// What files of one's own call text, second text and truth, so that they are read like the hub's.
    pub fn column_names(&self) -> (&'static str, Option<&'static str>, &'static str) {
        match &self.form {
            Form::Texts(form) => form.column_names(),
            Form::Clinc => ("text", None, "intent"),
            Form::Trec(_) => ("text", None, "label"),
            Form::Spans => ("question", Some("context"), "answers"),
            Form::Words(_) => ("tokens", None, "tags"),
            Form::Choices(_) | Form::Arc | Form::Mmlu => ("question", None, "answer"),
            Form::Instructions => ("instruction", Some("input"), "output"),
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
        self.read_with_names(at, split, None)
    }

    /// The same, for tags whose names are known: those of the training split, or of a model. Other shapes of rows name their classes
    /// themselves, and ignore `tags`.
    ///
    /// # Errors
    /// Those of [`Benchmark::read`].
    pub fn read_with_names(
        &'static self,
        at: impl AsRef<Path>,
        split: &str,
        tags: Option<&LabelNames>,
    ) -> Result<ReadSplit, DataError> {
        let split = self.split(split)?;
        let at = at.as_ref();
        let files = match self.form {
            Form::Mmlu => mmlu::locate(self, at, split)?,
            _ => locate::files(self, at, split)?,
        };
        let mut index_tag = None;
        let (rows, left_out) = match &self.form {
            Form::Texts(form) => {
                let (dataset, left_out) = texts::read(form, &files, split)?;
                (Rows::Texts(dataset), left_out)
            }
            Form::Clinc => (Rows::Texts(clinc::read(&files, split)?), 0),
            Form::Trec(detail) => (Rows::Texts(trec::read(&files, *detail)?), 0),
            Form::Spans => (Rows::Spans(spans::read(&files)?), 0),
            Form::Words(names) => {
                let (words, index) = words::read(&files, *names, tags)?;
                index_tag = index;
                (Rows::Words(words), 0)
            }
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
            index_tag,
        })
    }
}
