//! Questions with choices, answered by the letter of the right one.

mod prompt;
mod row;

use std::path::{Path, PathBuf};

pub use self::prompt::{ChoicePrompt, PromptStyle, prompts};
use super::{Benchmark, Form, TaskMetric, own_files, split};
use crate::error::DataError;
use crate::readers::table::RawTable;
use crate::readers::{Format, read_table_file};

/// A question and its choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceQuestion {
    /// What the question is about, where a text comes with it.
    pub passage: Option<String>,
    /// The question.
    pub question: String,
    /// The choices, at least two.
    pub choices: Vec<String>,
    /// The index of the right choice; `None` where the set keeps it back.
    pub answer: Option<usize>,
    /// The subject, in MMLU.
    pub subject: Option<String>,
}

pub(super) static BOOLQ: Benchmark = Benchmark {
    name: "boolq",
    title: "BoolQ: yes or no, about a passage of Wikipedia",
    metric: TaskMetric::Accuracy,
    hub: Some(("google/boolq", "default")),
    license: "CC BY-SA 3.0",
    folders: &["boolq", "BoolQ"],
    splits: &[
        split("train", 9_427, &[]),
        split(
            "validation",
            3_270,
            &[&["validation.jsonl"], &["dev.jsonl"], &["test.json"]],
        ),
    ],
    form: Form::Choices(PromptStyle::TrueFalse),
};

pub(super) static OBQA: Benchmark = Benchmark {
    name: "obqa",
    title: "OpenBookQA: science questions for which a fact must be put to use",
    metric: TaskMetric::Accuracy,
    hub: Some(("allenai/openbookqa", "main")),
    license: "Apache 2.0",
    folders: &["openbookqa", "OpenBookQA"],
    splits: &[
        split("train", 4_957, &[]),
        split("validation", 500, &[]),
        split("test", 500, &[]),
    ],
    form: Form::Choices(PromptStyle::Letters),
};

pub(super) static ARC_EASY: Benchmark = Benchmark {
    name: "arc-easy",
    title: "ARC, easy: science questions of school exams",
    metric: TaskMetric::Accuracy,
    hub: Some(("allenai/ai2_arc", "ARC-Easy")),
    license: "CC BY-SA 4.0",
    folders: &["ARC-Easy", "ARC-E"],
    splits: &[
        split("train", 2_251, &[&["train.json"], &["arc_easy_dev.csv"]]),
        split("validation", 570, &[&["validation.json"], &["arc_easy_test.csv"]]),
        split("test", 2_376, &[]),
    ],
    form: Form::Arc,
};

pub(super) static ARC_CHALLENGE: Benchmark = Benchmark {
    name: "arc-challenge",
    title: "ARC, challenge: those that word statistics get wrong",
    metric: TaskMetric::Accuracy,
    hub: Some(("allenai/ai2_arc", "ARC-Challenge")),
    license: "CC BY-SA 4.0",
    folders: &["ARC-Challenge", "ARC-C"],
    splits: &[
        split("train", 1_119, &[&["train.json"], &["arc_challenge_dev.csv"]]),
        split(
            "validation",
            299,
            &[&["validation.json"], &["arc_challenge_test.csv"]],
        ),
        split("test", 1_172, &[]),
    ],
    form: Form::Arc,
};

pub(super) static WINOGRANDE: Benchmark = Benchmark {
    name: "winogrande",
    title: "WinoGrande: which of two does the blank stand for?",
    metric: TaskMetric::Accuracy,
    // The hub has training sets of five sizes; another is read by giving its folder.
    hub: Some(("allenai/winogrande", "winogrande_s")),
    license: "CC BY",
    folders: &["winogrande"],
    splits: &[
        split("train", 640, &[&["train_s.jsonl"]]),
        split(
            "validation",
            1_267,
            &[&["dev.jsonl"], &["validation.json"], &["test.json"]],
        ),
        split("test", 1_767, &[&["test.jsonl"]]),
    ],
    form: Form::Choices(PromptStyle::Letters),
};

/// Files of the user's.
pub(super) static USER: Benchmark = own_files(
    "choices",
    "your own questions with choices",
    TaskMetric::Accuracy,
    Form::Choices(PromptStyle::Letters),
);

/// All files, one after the other, and the number of questions left out: those of a CSV without a header that has lost their right
/// choice, if `leave_out_lost`. `subject`: what the questions are about, if no column says it.
pub(super) fn read(
    files: &[PathBuf],
    subject: Option<&str>,
    leave_out_lost: bool,
) -> Result<(Vec<ChoiceQuestion>, usize), DataError> {
    let (mut questions, mut left_out) = (Vec::new(), 0);
    for file in files {
        let (table, columns) = table_of(file)?;
        for row in &table.rows {
            match columns.question(row, leave_out_lost, file)? {
                Some(mut question) => {
                    question.subject = question.subject.or_else(|| subject.map(str::to_owned));
                    questions.push(question);
                }
                None => left_out += 1,
            }
        }
    }
    Ok((questions, left_out))
}

/// The questions of a file, to be answered. With `skip_empty` rows without a question, a passage or choices are left out, rather than
/// refused, and their numbers from 0 given beside.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong with the file.
pub fn read_choice_questions(
    file: impl AsRef<Path>,
    skip_empty: bool,
) -> Result<(Vec<ChoiceQuestion>, Vec<usize>), DataError> {
    let file = file.as_ref();
    let (table, columns) = table_of(file)?;
    let (mut questions, mut empty) = (Vec::new(), Vec::new());
    for (number, row) in table.rows.iter().enumerate() {
        if skip_empty && columns.is_empty(row) {
            empty.push(number);
        } else {
            questions.extend(columns.question(row, false, file)?);
        }
    }
    Ok((questions, empty))
}

fn table_of(file: &Path) -> Result<(RawTable, row::ChoiceColumns), DataError> {
    let format = Format::of_path(file)?;
    let header = match format {
        Format::Csv | Format::Tsv | Format::QuotedTsv => row::has_header(file)?,
        Format::Jsonl | Format::Json | Format::Parquet => true,
    };
    let table = read_table_file(file, format, header, None)?;
    let columns = row::ChoiceColumns::of(&table, file)?;
    Ok((table, columns))
}
