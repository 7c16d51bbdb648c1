//! Questions about contexts in tables: the hub's lists of answers, or an answer as a string.

use std::path::Path;

use serde_json::Value;

use super::{Answer, Gathered, SpanQuestion, place};
use crate::error::{DataError, TaskError};
use crate::readers::columns::by_default_name;
use crate::readers::table::{RawCell, RawRow, RawTable, ResolvedColumn};

pub(super) fn read_rows(table: &RawTable, file: &Path, gathered: &mut Gathered) -> Result<(), DataError> {
    let question = by_default_name(&["question"], &[], "question", table, file)?;
    let context = by_default_name(&["context", "passage", "paragraph"], &[], "context", table, file)?;
    let answers = gathered
        .with_answers
        .then(|| by_default_name(&["answers", "answer"], &[], "answer", table, file))
        .transpose()?;
    let id = by_default_name(&["id"], &[], "id", table, file).ok();
    let start = by_default_name(&["answer_start", "start"], &[], "start", table, file).ok();
    for row in &table.rows {
        let number = gathered.rows;
        let is_empty = [&question, &context].map(|column| row.cells[column.index].is_empty());
        if gathered.leaves_out(is_empty.contains(&true)) {
            continue;
        }
        let passage = row.text(&context, file)?;
        let id = match &id {
            Some(id) => row.label(id, file)?.into_owned(),
            None => number.to_string(),
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
    row: &RawRow,
    answers: &ResolvedColumn,
    start: Option<&ResolvedColumn>,
    passage: &str,
    id: &str,
    file: &Path,
) -> Result<Vec<Answer>, DataError> {
    match &row.cells[answers.index] {
        RawCell::Object(object) => {
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
        RawCell::Absent => Ok(Vec::new()),
        RawCell::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        _ => Ok(vec![plain_answer(row, answers, start, passage, id, file)?]),
    }
}

/// An answer that is a string, at its place if one is given, else where it first occurs.
fn plain_answer(
    row: &RawRow,
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
