//! From a row to a question with choices, in the forms in which such sets come.
//!
//! - The hub: `choices` is a list, or an object with the lists `text` and `label`; the answer is a label (`answerKey`), or a number from
//!   0 (`answer`), or true or false without any choices.
//! - `ChoiceColumns`: `A`, `B`, `C`… or `option1`, `option2`…; without a header: the question, the choices, the answer.
//! - Instructions of LLM-Adapters: question and choices inside of one text, the answer `answer3`, `option1` or `true`.

use std::path::Path;

use serde_json::Value;

use super::ChoiceQuestion;
use crate::error::{DataError, TaskError};
use crate::labels::whole_number;
use crate::readers::columns::by_default_name;
use crate::readers::table::{Naming, RawCell, RawRow, RawTable, ResolvedColumn};
use crate::readers::{bytes, decode_text, delimited};

const QUESTIONS: [&str; 5] = ["question", "question_stem", "sentence", "query", "goal"];
const ANSWERS: [&str; 4] = ["answer", "answerkey", "label", "correct"];
const PASSAGES: [&str; 3] = ["passage", "context", "support"];
/// What columns of single choices are called, before their number or letter.
const CHOICE_COLUMNS: [&str; 6] = ["", "option", "choice", "choice_", "sol", "answer"];

/// Which columns hold what.
pub(super) struct ChoiceColumns {
    question: ResolvedColumn,
    answer: Option<ResolvedColumn>,
    passage: Option<ResolvedColumn>,
    subject: Option<ResolvedColumn>,
    choices: Choices,
    /// Without a header: somebody has converted the file, and choices may have got lost.
    bare: bool,
}

enum Choices {
    /// One column with all of them.
    Together(ResolvedColumn),
    /// A column for each.
    Apart(Vec<ResolvedColumn>),
    /// True and false.
    TrueFalse,
    /// Inside of the text of the question.
    InText,
}

/// Whether the first line of a CSV names a question and an answer.
pub(super) fn has_header(file: &Path) -> Result<bool, DataError> {
    let bytes = bytes::read_bytes(file)?;
    let content = decode_text(&bytes, file)?;
    let first = delimited::plain_rows(&content)
        .next()
        .map(|(_, fields)| fields.join(",").to_lowercase());
    let first = first.unwrap_or_default();
    let names: Vec<&str> = first
        .split([',', ';', '|'])
        .map(|name| name.trim().trim_matches('"'))
        .collect();
    let has = |wanted: &[&str]| names.iter().any(|name| wanted.contains(name));
    Ok(has(&QUESTIONS) || has(&["instruction"]))
}

impl ChoiceColumns {
    pub(super) fn of(table: &RawTable, file: &Path) -> Result<Self, DataError> {
        if table.naming == Naming::Numbers {
            return Self::by_place(table, file);
        }
        let one = |names: &[&str]| by_default_name(names, &[], "question", table, file).ok();
        if let (Some(question), Some(answer)) = (one(&["instruction"]), one(&["answer"])) {
            return Ok(Self {
                question,
                answer: Some(answer),
                passage: None,
                subject: None,
                choices: Choices::InText,
                bare: false,
            });
        }
        let question = by_default_name(&QUESTIONS, &[], "question", table, file)?;
        let choices = match (one(&["choices", "options"]), apart(table)) {
            (Some(together), _) => Choices::Together(together),
            (None, apart) if apart.len() >= 2 => Choices::Apart(apart),
            (None, _) => Choices::TrueFalse,
        };
        let taken: Vec<&ResolvedColumn> = match &choices {
            Choices::Apart(apart) => apart.iter().collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            question,
            answer: by_default_name(&ANSWERS, &taken, "answer", table, file).ok(),
            passage: one(&PASSAGES),
            subject: one(&["subject"]),
            choices,
            bare: false,
        })
    }

    /// The question, the choices, the answer.
    fn by_place(table: &RawTable, file: &Path) -> Result<Self, DataError> {
        let last = table.names.len().saturating_sub(1);
        if last < 3 {
            return Err(TaskError::TooFewChoices {
                file: file.to_path_buf(),
                line: table.rows[0].line,
                found: last.saturating_sub(1),
            }
            .into());
        }
        let column = |index: usize| ResolvedColumn {
            name: table.names[index].clone(),
            index,
        };
        Ok(Self {
            question: column(0),
            answer: Some(column(last)),
            passage: None,
            subject: None,
            choices: Choices::Apart((1..last).map(column).collect()),
            bare: true,
        })
    }

    /// Whether a row asks nothing: its question, its passage or all of its choices are empty.
    pub(super) fn is_empty(&self, row: &RawRow) -> bool {
        let is_empty = |column: &ResolvedColumn| row.cells[column.index].is_empty();
        let has_choices = match &self.choices {
            Choices::Together(column) => !is_empty(column),
            Choices::Apart(columns) => !columns.iter().all(is_empty),
            Choices::TrueFalse | Choices::InText => true,
        };
        is_empty(&self.question) || self.passage.as_ref().is_some_and(is_empty) || !has_choices
    }

    /// One row; `None` where a file without a header has lost the choice that is right, if such rows are to be left out.
    pub(super) fn question(
        &self,
        row: &RawRow,
        leave_out_lost: bool,
        file: &Path,
    ) -> Result<Option<ChoiceQuestion>, DataError> {
        let text = row.text(&self.question, file)?;
        if let Choices::InText = self.choices {
            let answer = self
                .answer
                .as_ref()
                .map(|column| row.label(column, file))
                .transpose()?
                .unwrap_or_default();
            let question = in_text(&text, &answer).ok_or_else(|| TaskError::NoChoicesInText {
                file: file.to_path_buf(),
                line: row.line,
            })?;
            return Ok(Some(question));
        }
        let (choices, labels) = self.choices_of(row, file)?;
        if leave_out_lost && self.bare && self.has_lost_its_answer(row, choices.len()) {
            return Ok(None);
        }
        if choices.len() < 2 {
            return Err(TaskError::TooFewChoices {
                file: file.to_path_buf(),
                line: row.line,
                found: choices.len(),
            }
            .into());
        }
        let answer = match &self.answer {
            None => None,
            Some(column) => match answer(&row.cells[column.index], &choices, &labels) {
                Found::Choice(answer) => Some(answer),
                Found::KeptBack => None,
                Found::Two { answer, by_text } => {
                    return Err(TaskError::AnswerOfTwo {
                        file: file.to_path_buf(),
                        line: row.line,
                        answer,
                        by_text: by_text + 1,
                    }
                    .into());
                }
                Found::Nothing(answer) => {
                    return Err(TaskError::BadAnswer {
                        file: file.to_path_buf(),
                        line: row.line,
                        answer,
                        choices: choices.len(),
                    }
                    .into());
                }
            },
        };
        let optional = |column: &Option<ResolvedColumn>| {
            column.as_ref().map(|column| row.text(column, file)).transpose()
        };
        Ok(Some(ChoiceQuestion {
            passage: optional(&self.passage)?,
            question: text,
            choices,
            answer,
            subject: optional(&self.subject)?,
        }))
    }

    /// Whether the answer is the letter or the number of a choice, though not of one that the row has.
    fn has_lost_its_answer(&self, row: &RawRow, choices: usize) -> bool {
        let cell = self.answer.as_ref().map(|column| &row.cells[column.index]);
        matches!(cell, Some(RawCell::Text(text)) if letter_or_number(text.trim()).is_some_and(|answer| (choices..5).contains(&answer)))
    }

    /// The choices of a row, and their labels where it has any.
    fn choices_of(&self, row: &RawRow, file: &Path) -> Result<(Vec<String>, Vec<String>), DataError> {
        let strings = |list: &[Value]| -> Option<Vec<String>> {
            list.iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect()
        };
        match &self.choices {
            Choices::TrueFalse | Choices::InText => Ok((vec!["false".into(), "true".into()], Vec::new())),
            Choices::Apart(columns) => {
                let cells = columns.iter().map(|column| match &row.cells[column.index] {
                    RawCell::Text(text) => Ok(text.clone()),
                    RawCell::Number(number) => Ok(number.clone()),
                    RawCell::Absent => Ok(String::new()),
                    other => Err(row.wrong_type(column, "the text of a choice", other, file)),
                });
                let mut choices = cells.collect::<Result<Vec<_>, _>>()?;
                while choices.last().is_some_and(|choice| choice.trim().is_empty()) {
                    choices.pop();
                }
                Ok((choices, Vec::new()))
            }
            Choices::Together(column) => {
                let cell = &row.cells[column.index];
                let part = |key: &str| match cell {
                    RawCell::Object(object) => strings(object.get(key)?.as_array()?),
                    _ => None,
                };
                let found = match cell {
                    RawCell::List(list) => strings(list).map(|choices| (choices, Vec::new())),
                    _ => part("text").map(|choices| (choices, part("label").unwrap_or_default())),
                };
                let expected = "a list of strings, or an object with the lists `text` and `label`";
                found.ok_or_else(|| row.wrong_type(column, expected, cell, file))
            }
        }
    }
}

/// The columns of single choices, in order.
fn apart(table: &RawTable) -> Vec<ResolvedColumn> {
    let of_kind = |before: &str, letters: bool| -> Vec<ResolvedColumn> {
        let column = |place: u8| {
            let mark = if letters {
                char::from(b'a' + place).to_string()
            } else {
                (place + 1).to_string()
            };
            let index = table
                .names
                .iter()
                .position(|name| name.to_lowercase() == format!("{before}{mark}"))?;
            let name = table.names[index].clone();
            Some(ResolvedColumn { name, index })
        };
        (0..26).map_while(column).collect()
    };
    let kinds = CHOICE_COLUMNS
        .iter()
        .flat_map(|before| [of_kind(before, true), of_kind(before, false)]);
    kinds.max_by_key(Vec::len).unwrap_or_default()
}

enum Found {
    Choice(usize),
    KeptBack,
    /// A number that counts to one choice and is the text of another.
    Two {
        answer: String,
        by_text: usize,
    },
    Nothing(String),
}

/// Which choice an answer means: a JSON number counts from 0; a text is a label of the row, a letter, a number from 1, or the choice
/// itself.
fn answer(cell: &RawCell, choices: &[String], labels: &[String]) -> Found {
    let (found, shown) = match cell {
        RawCell::Absent => return Found::KeptBack,
        RawCell::Bool(value) => (Some(usize::from(*value)), value.to_string()),
        RawCell::Number(number) => match whole_number(number) {
            Some(-1) => return Found::KeptBack,
            whole => (
                whole.and_then(|whole| usize::try_from(whole).ok()),
                number.clone(),
            ),
        },
        RawCell::Text(text) if text.trim().is_empty() => return Found::KeptBack,
        RawCell::Text(text) => {
            let text = text.trim();
            let of_row = labels.iter().position(|label| label == text);
            let whole = choices.iter().position(|choice| choice.trim() == text);
            let counted = letter_or_number(text).filter(|answer| *answer < choices.len());
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            if let (None, Some(counted), Some(by_text)) = (of_row, counted, whole)
                && is_number
                && counted != by_text
            {
                let answer = text.to_owned();
                return Found::Two { answer, by_text };
            }
            (
                of_row
                    .or(counted)
                    .or(whole)
                    // A number that pandas has written as a decimal, as it does in columns with gaps.
                    .or_else(|| usize::try_from(whole_number(text)?).ok()?.checked_sub(1)),
                text.to_owned(),
            )
        }
        RawCell::List(_) | RawCell::Object(_) | RawCell::Other { .. } => (None, cell.kind().into_owned()),
    };
    match found.filter(|answer| *answer < choices.len()) {
        Some(answer) => Found::Choice(answer),
        None => Found::Nothing(shown),
    }
}

/// A letter from A, or a number from 1.
fn letter_or_number(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        [letter @ b'a'..=b'z'] => Some(usize::from(letter - b'a')),
        _ => text.parse::<usize>().ok()?.checked_sub(1),
    }
}

/// Question and choices out of the text of an instruction; `answer` is like `answer3`, `option1`, `true`.
fn in_text(text: &str, answer: &str) -> Option<ChoiceQuestion> {
    let (text, _) = text.rsplit_once("Answer format:")?;
    let start = ["question: ", "sentence: "]
        .iter()
        .filter_map(|mark| Some(text.find(mark)? + mark.len()))
        .min()?;
    let body = text[start..].trim();
    let question = |question: &str, choices: Vec<String>, answer| {
        Some(ChoiceQuestion {
            passage: None,
            question: question.trim().to_owned(),
            choices,
            answer: Some(answer),
            subject: None,
        })
    };
    if let Some(value) = ["false", "true"].iter().position(|value| *value == answer) {
        return question(body, vec!["false".into(), "true".into()], value);
    }
    let word = answer.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let right = answer[word.len()..].parse::<usize>().ok()?.checked_sub(1)?;
    let mut letters = word.chars();
    let word: String = letters.next()?.to_uppercase().chain(letters).collect();
    // `Answer1: …`, then `Answer2: …` after it, and so on.
    let mark = |number: usize| format!("{word}{number}:");
    let (asked, mut rest) = body.split_once(&mark(1))?;
    let mut choices = Vec::new();
    for number in 2.. {
        match rest.split_once(&mark(number)) {
            Some((choice, after)) => {
                choices.push(choice.trim().to_owned());
                rest = after;
            }
            None => break,
        }
    }
    choices.push(rest.trim().to_owned());
    if choices.len() < 2 || right >= choices.len() {
        return None;
    }
    question(asked, choices, right)
}
