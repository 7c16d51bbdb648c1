//! Rows and columns, whatever format they came from.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use super::Cells;
use super::delimited::Separator;
use crate::error::DataError;

/// A file as rows of equally many cells.
#[derive(Debug)]
pub(crate) struct RawTable {
    /// Column names, or `column 0`, `column 1`… where the file has none.
    pub names: Vec<String>,
    /// Where the names are from.
    pub naming: Naming,
    /// Of a CSV, if it is not the comma.
    pub separator: Option<Separator>,
    /// Whether the file is a CSV or TSV that began with a byte-order mark.
    pub has_mark: bool,
    /// At least one.
    pub rows: Vec<RawRow>,
}

/// Where column names are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The first row of a CSV or TSV.
    Header,
    /// The keys of JSON objects.
    Keys,
    /// The file has none: columns are numbered.
    Numbers,
}

impl RawTable {
    /// Names for columns that have none.
    pub fn numbered(columns: usize) -> Vec<String> {
        (0..columns).map(|index| format!("column {index}")).collect()
    }

    /// The cells as texts.
    pub fn to_cells(&self) -> Cells {
        let texts = |row: &RawRow| row.cells.iter().map(RawCell::to_text).collect();
        Cells {
            names: self.names.clone(),
            separator: self.separator,
            has_mark: self.has_mark,
            rows: self.rows.iter().map(texts).collect(),
        }
    }
}

/// A column that is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedColumn {
    /// Its name in the file, or `column 0`, `column 1`… where the file has none.
    pub name: String,
    /// Its index, from 0.
    pub index: usize,
}

/// One row.
#[derive(Debug)]
pub(crate) struct RawRow {
    /// The line of the file where the row starts, from 1. Parquet has no lines: there it is the number of the row, from 1.
    pub line: usize,
    /// One cell a column.
    pub cells: Vec<RawCell>,
}

/// One value. CSV and TSV have only text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawCell {
    Text(String),
    Number(String),
    Bool(bool),
    List(Vec<Value>),
    Object(Map<String, Value>),
    /// `null`, or no such key in this row.
    Absent,
    /// A value that is no text, number or truth, such as a date: what it is, and how it is shown.
    Other {
        kind: String,
        shown: String,
    },
}

impl RawCell {
    fn to_text(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Other { shown: text, .. } => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => Value::from(items.clone()).to_string(),
            Self::Object(entries) => Value::from(entries.clone()).to_string(),
            Self::Absent => String::new(),
        }
    }

    /// Whether there is nothing: no value, or white space.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Absent => true,
            _ => false,
        }
    }

    /// 0 or 1, in the ways in which tables write them.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) | Self::Number(text) => match text.trim() {
                "0" | "0.0" | "false" | "False" | "FALSE" => Some(false),
                "1" | "1.0" | "true" | "True" | "TRUE" => Some(true),
                _ => None,
            },
            _ => None,
        }
    }

    /// The kind of value, for messages.
    pub fn kind(&self) -> Cow<'_, str> {
        let kind = match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Absent => "absent",
            Self::Other { kind, .. } => kind,
        };
        kind.into()
    }
}

impl RawRow {
    /// The text in a column: a string with something in it. White space around it is kept.
    pub fn text(&self, column: &ResolvedColumn, file: &Path) -> Result<String, DataError> {
        match &self.cells[column.index] {
            RawCell::Text(text) if text.trim().is_empty() => Err(DataError::EmptyText {
                file: file.to_path_buf(),
                line: self.line,
                column: column.name.clone(),
            }),
            RawCell::Text(text) => Ok(text.clone()),
            RawCell::Absent => Err(self.no_value(column, file)),
            other => Err(self.wrong_type(column, "a string", other, file)),
        }
    }

    /// The label in a column, as it is written; white space around it is dropped.
    pub fn label(&self, column: &ResolvedColumn, file: &Path) -> Result<Cow<'_, str>, DataError> {
        match &self.cells[column.index] {
            RawCell::Text(text) if text.trim().is_empty() => Err(self.no_value(column, file)),
            RawCell::Text(text) => Ok(Cow::Borrowed(text.trim())),
            RawCell::Number(number) => Ok(Cow::Borrowed(number)),
            RawCell::Bool(value) => Ok(Cow::Borrowed(if *value { "true" } else { "false" })),
            RawCell::Absent => Err(self.no_value(column, file)),
            other => Err(self.wrong_type(column, "a string or a number", other, file)),
        }
    }

    pub fn no_value(&self, column: &ResolvedColumn, file: &Path) -> DataError {
        DataError::NoValue {
            file: file.to_path_buf(),
            line: self.line,
            column: column.name.clone(),
        }
    }

    pub fn wrong_type(
        &self,
        column: &ResolvedColumn,
        expected: &'static str,
        cell: &RawCell,
        file: &Path,
    ) -> DataError {
        DataError::WrongType {
            file: file.to_path_buf(),
            line: self.line,
            column: column.name.clone(),
            expected,
            found: cell.kind().into_owned(),
        }
    }
}
