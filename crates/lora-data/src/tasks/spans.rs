//! Extractive question answering: the answer is a part of the context (Rajpurkar et al. 2016, 2018).
//!
//! Read are SQuAD's JSON, the hub's tables (`answers` with the lists `text` and `answer_start`) and plain tables with the columns
//! `question`, `context` and `answer`. Files count characters; here places are bytes of the context, so that they can cut it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Benchmark, Form, Split, TaskMetric};
use crate::error::{DataError, TaskError};
use crate::readers::columns::{ResolvedColumn, by_default_name};
use crate::readers::table::{Cell, Row, Table};
use crate::readers::{Format, bytes, decode_text, read_table_file};

/// Questions and the contexts that hold their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// Every context once.
    pub contexts: Vec<String>,
    /// The questions, in the order of the files.
    pub questions: Vec<SpanQuestion>,
}

/// A question about a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanQuestion {
    /// Its name, by which predictions are given back.
    pub id: String,
    /// The question.
    pub question: String,
    /// The index of its context.
    pub context: usize,
    /// The true answers; none where there is none. Training sets have at most one.
    pub answers: Vec<Answer>,
}

/// A true answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text, a part of the context.
    pub text: String,
    /// The byte of the context where it starts.
    pub start: usize,
}

impl Spans {
    /// The context of a question.
    ///
    /// # Panics
    /// When `question` is out of range.
    pub fn context(&self, question: usize) -> &str {
        &self.contexts[self.questions[question].context]
    }

    /// The questions with these numbers, in this order, and the contexts that they need.
    ///
    /// # Panics
    /// When a number is out of range.
    #[must_use]
    pub fn select(&self, questions: &[usize]) -> Self {
        let mut gathered = Gathered::default();
        for &question in questions {
            let context = gathered.context(self.context(question));
            gathered.spans.questions.push(SpanQuestion {
                context,
                ..self.questions[question].clone()
            });
        }
        gathered.spans
    }
}

const fn split(name: &'static str, rows: usize, files: &'static [&'static [&'static str]]) -> Split {
    Split {
        name,
        rows: Some(rows),
        files,
    }
}

pub(super) static SQUAD: Benchmark = Benchmark {
    name: "squad",
    title: "SQuAD 1.1: find the answer in a paragraph of Wikipedia",
    metric: TaskMetric::SquadV1,
    hub: Some(("rajpurkar/squad", "plain_text")),
    license: "CC BY-SA 4.0",
    folders: &["squad", "SQuAD"],
    splits: &[
        split("train", 87_599, &[&["train-v1.1.json"]]),
        split("validation", 10_570, &[&["dev-v1.1.json"]]),
    ],
    form: Form::Spans,
};

pub(super) static SQUAD_V2: Benchmark = Benchmark {
    name: "squad-v2",
    title: "SQuAD 2.0: the same, with questions that have no answer",
    metric: TaskMetric::SquadV2,
    hub: Some(("rajpurkar/squad_v2", "squad_v2")),
    license: "CC BY-SA 4.0",
    folders: &["squad", "squad_v2", "SQuAD"],
    splits: &[
        split("train", 130_319, &[&["train-v2.0.json"]]),
        split("validation", 11_873, &[&["dev-v2.0.json"]]),
    ],
    form: Form::Spans,
};

/// Files of the user's.
pub(super) static USER: Benchmark = Benchmark {
    name: "spans",
    title: "your own questions about contexts",
    metric: TaskMetric::SquadV2,
    hub: None,
    license: "yours",
    folders: &[],
    splits: super::USER_SPLITS,
    form: Form::Spans,
};

pub(super) fn read(files: &[PathBuf]) -> Result<Spans, DataError> {
    read_all(files, true)
}

/// Questions and contexts of files, to be answered: answers need not be there, and are not read from tables.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong with a file.
pub fn read_questions(files: &[impl AsRef<Path>]) -> Result<Spans, DataError> {
    read_all(files, false)
}

fn read_all(files: &[impl AsRef<Path>], with_answers: bool) -> Result<Spans, DataError> {
    let mut gathered = Gathered {
        with_answers,
        ..Gathered::default()
    };
    for file in files {
        let file = file.as_ref();
        match Format::of_path(file)? {
            Format::Json => read_json(file, &mut gathered)?,
            format => read_rows(&read_table_file(file, format, true, None)?, file, &mut gathered)?,
        }
    }
    Ok(gathered.spans)
}

#[derive(Default)]
struct Gathered {
    spans: Spans,
    context_of: HashMap<String, usize>,
    ids: HashSet<String>,
    with_answers: bool,
}

impl Gathered {
    fn context(&mut self, context: &str) -> usize {
        if let Some(&index) = self.context_of.get(context) {
            return index;
        }
        let index = self.spans.contexts.len();
        self.spans.contexts.push(context.to_owned());
        self.context_of.insert(context.to_owned(), index);
        index
    }

    fn push(&mut self, question: SpanQuestion, file: &Path) -> Result<(), TaskError> {
        if !self.ids.insert(question.id.clone()) {
            return Err(TaskError::RepeatedId {
                file: file.to_path_buf(),
                id: question.id,
            });
        }
        self.spans.questions.push(question);
        Ok(())
    }
}

// ---- SQuAD's own JSON ----

#[derive(Deserialize)]
struct Document {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    id: String,
    question: String,
    #[serde(default)]
    answers: Vec<Answered>,
    /// Plausible wrong answers of version 2.0 stand under another key, and are not read.
    #[serde(default)]
    is_impossible: bool,
}

#[derive(Deserialize)]
struct Answered {
    text: String,
    answer_start: usize,
}

fn read_json(file: &Path, gathered: &mut Gathered) -> Result<(), DataError> {
    let bytes = bytes::read_bytes(file)?;
    let json = decode_text(&bytes, file)?;
    let json = json.as_ref();
    // A list of rows is a table, not SQuAD's tree.
    if json.trim_start().starts_with('[') {
        return read_rows(&read_table_file(file, Format::Json, true, None)?, file, gathered);
    }
    let document: Document = serde_json::from_str(json).map_err(|source| DataError::Json {
        file: file.to_path_buf(),
        line: source.line(),
        column: source.column(),
        source,
    })?;
    for paragraph in document.data.into_iter().flat_map(|article| article.paragraphs) {
        let context = gathered.context(&paragraph.context);
        for Asked {
            id,
            question,
            answers,
            is_impossible,
        } in paragraph.qas
        {
            let answers = if is_impossible { Vec::new() } else { answers };
            let placed = answers
                .into_iter()
                .map(|answer| place(&paragraph.context, answer.text, answer.answer_start, &id, file));
            let answers = placed.collect::<Result<_, _>>()?;
            gathered.push(
                SpanQuestion {
                    id,
                    question,
                    context,
                    answers,
                },
                file,
            )?;
        }
    }
    if gathered.spans.questions.is_empty() {
        let file = file.to_path_buf();
        return Err(DataError::Empty { file });
    }
    Ok(())
}

/// From a place in characters to one in bytes, if the answer is there.
fn place(context: &str, text: String, start: usize, id: &str, file: &Path) -> Result<Answer, TaskError> {
    let byte = context.char_indices().nth(start).map(|(byte, _)| byte);
    match byte.filter(|&byte| !text.is_empty() && context[byte..].starts_with(&text)) {
        Some(start) => Ok(Answer { text, start }),
        None => Err(TaskError::AnswerElsewhere {
            file: file.to_path_buf(),
            id: id.to_owned(),
            answer: text,
            start,
        }),
    }
}

// ---- tables ----

fn read_rows(table: &Table, file: &Path, gathered: &mut Gathered) -> Result<(), DataError> {
    let question = by_default_name(&["question"], &[], "question", table, file)?;
    let context = by_default_name(&["context", "passage", "paragraph"], &[], "context", table, file)?;
    let answers = gathered
        .with_answers
        .then(|| by_default_name(&["answers", "answer"], &[], "answer", table, file))
        .transpose()?;
    let id = by_default_name(&["id"], &[], "id", table, file).ok();
    let start = by_default_name(&["answer_start", "start"], &[], "start", table, file).ok();
    for row in &table.rows {
        let passage = row.text(&context, file)?;
        let id = match &id {
            Some(id) => row.label(id, file)?.into_owned(),
            None => gathered.spans.questions.len().to_string(),
        };
        let answers = match &answers {
            Some(answers) => answers_of(row, answers, start.as_ref(), &passage, &id, file)?,
            None => Vec::new(),
        };
        let context = gathered.context(&passage);
        let question = row.text(&question, file)?;
        gathered.push(
            SpanQuestion {
                id,
                question,
                context,
                answers,
            },
            file,
        )?;
    }
    Ok(())
}

/// The answers in a cell: the hub's lists, a string, or nothing.
fn answers_of(
    row: &Row,
    answers: &ResolvedColumn,
    start: Option<&ResolvedColumn>,
    passage: &str,
    id: &str,
    file: &Path,
) -> Result<Vec<Answer>, DataError> {
    match &row.cells[answers.index] {
        Cell::Object(object) => {
            let texts = object.get("text").and_then(Value::as_array);
            let starts = object.get("answer_start").and_then(Value::as_array);
            let pairs = texts
                .zip(starts)
                .filter(|(texts, starts)| texts.len() == starts.len());
            let wrong = || {
                row.wrong_type(
                    answers,
                    "the lists `text` and `answer_start`",
                    &row.cells[answers.index],
                    file,
                )
            };
            let (texts, starts) = pairs.ok_or_else(wrong)?;
            let placed = texts.iter().zip(starts).map(|(text, start)| {
                let text = text.as_str().ok_or_else(wrong)?;
                let start = start.as_u64().ok_or_else(wrong)?;
                Ok::<_, DataError>(place(passage, text.to_owned(), start as usize, id, file)?)
            });
            placed.collect()
        }
        Cell::Absent => Ok(Vec::new()),
        Cell::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        _ => Ok(vec![plain_answer(row, answers, start, passage, id, file)?]),
    }
}

/// An answer that is a string, at its place if one is given, else where it first occurs.
fn plain_answer(
    row: &Row,
    answer: &ResolvedColumn,
    start: Option<&ResolvedColumn>,
    passage: &str,
    id: &str,
    file: &Path,
) -> Result<Answer, DataError> {
    let text = row.text(answer, file)?;
    if let Some(start) = start {
        let given = row.label(start, file)?;
        let Ok(given) = given.parse() else {
            return Err(row.wrong_type(start, "a number of characters", &row.cells[start.index], file));
        };
        return Ok(place(passage, text, given, id, file)?);
    }
    match passage.find(&text) {
        Some(start) => Ok(Answer { text, start }),
        None => Err(TaskError::AnswerNotInContext {
            file: file.to_path_buf(),
            line: row.line,
            answer: text,
        }
        .into()),
    }
}
