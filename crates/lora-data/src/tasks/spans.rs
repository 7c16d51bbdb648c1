//! Extractive question answering: the answer is a part of the context (Rajpurkar et al. 2016, 2018).
//!
//! Read are SQuAD's JSON, the hub's tables (`answers` with the lists `text` and `answer_start`) and plain tables with the columns
//! `question`, `context` and `answer`. Files count characters; here places are bytes of the context, so that they can cut it.

mod tables;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::tables::read_rows;
use super::{Benchmark, Form, TaskMetric, own_files, split};
use crate::error::{DataError, TaskError};
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
pub(super) static USER: Benchmark = own_files(
    "spans",
    "your own questions about contexts",
    TaskMetric::SquadV2,
    Form::Spans,
);

pub(super) fn read(files: &[PathBuf]) -> Result<Spans, DataError> {
    let gathered = Gathered {
        with_answers: true,
        ..Gathered::default()
    };
    Ok(read_all(files, gathered)?.spans)
}

/// Questions and contexts of files, to be answered: answers need not be there, and are not read from tables. With `skip_empty` rows without
/// a question or a context are left out, rather than refused, and their numbers from 0 given beside.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong with a file.
pub fn read_questions(
    files: &[impl AsRef<Path>],
    skip_empty: bool,
) -> Result<(Spans, Vec<usize>), DataError> {
    let gathered = Gathered {
        skip_empty,
        ..Gathered::default()
    };
    let gathered = read_all(files, gathered)?;
    Ok((gathered.spans, gathered.empty))
}

fn read_all(files: &[impl AsRef<Path>], mut gathered: Gathered) -> Result<Gathered, DataError> {
    for file in files {
        let file = file.as_ref();
        match Format::of_path(file)? {
            Format::Json => read_json(file, &mut gathered)?,
            format => read_rows(&read_table_file(file, format, true, None)?, file, &mut gathered)?,
        }
    }
    Ok(gathered)
}

#[derive(Default)]
struct Gathered {
    spans: Spans,
    context_of: HashMap<String, usize>,
    ids: HashSet<String>,
    with_answers: bool,
    skip_empty: bool,
    /// Rows seen so far, and those of them that were left out.
    rows: usize,
    empty: Vec<usize>,
}

impl Gathered {
    /// Counts a row; whether it is left out.
    fn leaves_out(&mut self, is_empty: bool) -> bool {
        let row = self.rows;
        self.rows += 1;
        let is_left_out = is_empty && self.skip_empty;
        if is_left_out {
            self.empty.push(row);
        }
        is_left_out
    }

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
    // Without paragraphs it is not SQuAD's tree but a table: a list of rows, alone or under a key, or a row a line.
    if !json.contains("\"paragraphs\"") {
        return read_rows(&read_table_file(file, Format::Json, true, None)?, file, gathered);
    }
    let document: Document = serde_json::from_str(json).map_err(|source| DataError::Json {
        file: file.to_path_buf(),
        line: source.line(),
        column: source.column(),
        source,
    })?;
    for paragraph in document.data.into_iter().flat_map(|article| article.paragraphs) {
        let has_context = !paragraph.context.trim().is_empty();
        for Asked {
            id,
            question,
            answers,
            is_impossible,
        } in paragraph.qas
        {
            if gathered.leaves_out(!has_context || question.trim().is_empty()) {
                continue;
            }
            let context = gathered.context(&paragraph.context);
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
    if gathered.rows == 0 {
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
