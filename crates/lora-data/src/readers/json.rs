//! JSON and JSONL: rows that are objects with the columns as keys, or lists with the columns in order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;
use serde_json::value::RawValue;

use super::delimited::LineCounter;
use super::table::{Naming, RawCell, RawRow, RawTable};
use crate::error::DataError;
use crate::suggest::nearest;

const A_LIST_OF_ROWS: &str = "a list of rows, or an object with such a list under one of its keys";
const AN_OBJECT: &str = "an object with the columns as keys, as in the first row";
const A_LIST: &str = "a list as long as the first row";
const A_ROW: &str = "a row: an object with the columns as keys, or a list";

/// Cells of a table that any file may have, and for each of its bytes: rows of 30 bytes may have three of 120 keys. A key that is there
/// takes six bytes or more, so above that fewer than one cell in twenty is filled.
const CELLS: usize = 1 << 20;
const CELLS_A_BYTE: usize = 4;

/// One row a line; empty lines are skipped. A file that is one list of rows is read as that.
pub(super) fn read_lines(content: &str, file: &Path) -> Result<RawTable, DataError> {
    if is_list_of_rows(content) {
        return read_document(content, None, file);
    }
    let mut builder = Builder::new(content, file);
    for (line, text) in (1..)
        .zip(content.lines())
        .filter(|(_, text)| !text.trim().is_empty())
    {
        builder.push(line, text)?;
    }
    Ok(builder.table)
}

/// Whether a text is one list whose items are objects or lists.
fn is_list_of_rows(content: &str) -> bool {
    let is_row = |row: &&RawValue| row.get().starts_with(['{', '[']);
    content.trim_start().starts_with('[')
        && serde_json::from_str::<Vec<&RawValue>>(content)
            .is_ok_and(|rows| !rows.is_empty() && rows.iter().all(is_row))
}

/// Whether a text is an object a line, which the tools of the hub write under `.json` too.
fn is_object_a_line(content: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(content).into_iter::<&RawValue>();
    let first = values.next().and_then(Result::ok);
    let rest = content.get(values.byte_offset()..).unwrap_or_default();
    first.is_some_and(|first| first.get().starts_with('{') && !first.get().contains('\n'))
        && rest.trim_start().starts_with('{')
        && rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
}

/// A list of rows, or an object with such a list under `field`. A file with an object a line is read as that.
pub(crate) fn read_document(content: &str, field: Option<&str>, file: &Path) -> Result<RawTable, DataError> {
    if field.is_none() && is_object_a_line(content) {
        return read_lines(content, file);
    }
    let mut lines = LineCounter::new(content);
    let (list_line, rows): (usize, Vec<&RawValue>) = match content.trim_start().as_bytes() {
        [b'{', ..] => {
            let object: BTreeMap<String, &RawValue> = parse(content, 1, file)?;
            let list = list_of_rows(&object, field, file)?;
            let line = lines.line_at(offset_in(content, list));
            (line, parse(list.get(), line, file)?)
        }
        [b'[', ..] => (1, parse(content, 1, file)?),
        _ => {
            let value: Value = parse(content, 1, file)?;
            let (file, found) = (file.to_path_buf(), kind(&value));
            return Err(DataError::JsonShape {
                file,
                line: 1,
                expected: A_LIST_OF_ROWS,
                found,
            });
        }
    };
    if rows.is_empty() {
        return Err(DataError::EmptyList {
            file: file.to_path_buf(),
            line: list_line,
        });
    }
    let mut builder = Builder::new(content, file);
    for row in rows {
        builder.push(lines.line_at(offset_in(content, row)), row.get())?;
    }
    Ok(builder.table)
}

/// Where a part lies in the text it was parsed from.
fn offset_in(content: &str, part: &RawValue) -> usize {
    part.get().as_ptr().addr() - content.as_ptr().addr()
}

fn list_of_rows<'a>(
    object: &BTreeMap<String, &'a RawValue>,
    field: Option<&str>,
    file: &Path,
) -> Result<&'a RawValue, DataError> {
    let lists: Vec<&str> = object
        .iter()
        .filter(|(_, value)| value.get().starts_with('['))
        .map(|(key, _)| key.as_str())
        .collect();
    let chosen = match (field, &lists[..]) {
        (Some(field), _) => lists.iter().find(|&&key| key == field),
        (None, [only]) => Some(only),
        (None, _) => lists.iter().find(|&&key| key == "data"),
    };
    match chosen {
        Some(&key) => Ok(object[key]),
        None => Err(DataError::JsonField {
            file: file.to_path_buf(),
            wanted: field.map(str::to_owned),
            nearest: field.and_then(|field| nearest(field, lists.iter().copied())),
            found: lists.into_iter().map(str::to_owned).collect(),
        }),
    }
}

/// Parses a part of the file that starts on line `first_line`.
fn parse<'a, T: serde::Deserialize<'a>>(
    text: &'a str,
    first_line: usize,
    file: &Path,
) -> Result<T, DataError> {
    serde_json::from_str(text).map_err(|source| DataError::Json {
        file: file.to_path_buf(),
        line: first_line + source.line().saturating_sub(1),
        column: source.column(),
        source,
    })
}

/// Collects rows; the columns of objects are all keys in the order in which they first occur.
struct Builder<'a> {
    file: &'a Path,
    table: RawTable,
    index_of: HashMap<String, usize>,
    /// Most cells, with those that are absent.
    room: usize,
}

impl<'a> Builder<'a> {
    fn new(content: &str, file: &'a Path) -> Self {
        let table = RawTable {
            names: Vec::new(),
            naming: Naming::Keys,
            separator: None,
            has_mark: false,
            rows: Vec::new(),
        };
        Self {
            file,
            table,
            index_of: HashMap::new(),
            room: CELLS + CELLS_A_BYTE * content.len(),
        }
    }

    fn push(&mut self, line: usize, text: &str) -> Result<(), DataError> {
        let value: Value = parse(text, line, self.file)?;
        let first = self.table.rows.is_empty();
        let keys = self.table.naming == Naming::Keys;
        let cells = match value {
            Value::Object(object) if keys => self.object_cells(object, line)?,
            Value::Array(list) if first => {
                self.table.naming = Naming::Numbers;
                self.table.names = RawTable::numbered(list.len());
                list.into_iter().map(cell).collect()
            }
            Value::Array(list) if !keys && list.len() == self.table.names.len() => {
                list.into_iter().map(cell).collect()
            }
            other => {
                let expected = match (first, keys) {
                    (true, _) => A_ROW,
                    (false, true) => AN_OBJECT,
                    (false, false) => A_LIST,
                };
                let found = if !keys && other.is_array() {
                    "a list of another length"
                } else {
                    kind(&other)
                };
                return Err(DataError::JsonShape {
                    file: self.file.to_path_buf(),
                    line,
                    expected,
                    found,
                });
            }
        };
        self.table.rows.push(RawRow { line, cells });
        Ok(())
    }

    fn object_cells(
        &mut self,
        object: serde_json::Map<String, Value>,
        line: usize,
    ) -> Result<Vec<RawCell>, DataError> {
        self.check_room(self.table.names.len(), line)?;
        let mut cells = vec![RawCell::Absent; self.table.names.len()];
        for (key, value) in object {
            if let Some(&index) = self.index_of.get(&key) {
                cells[index] = cell(value);
            } else {
                self.check_room(cells.len() + 1, line)?;
                // A key that no row before had: they lack it.
                for row in &mut self.table.rows {
                    row.cells.push(RawCell::Absent);
                }
                self.index_of.insert(key.clone(), cells.len());
                self.table.names.push(key);
                cells.push(cell(value));
            }
        }
        Ok(cells)
    }

    /// Refuses more cells than a file of this length can fill: a few rows of their own keys each would take all memory.
    fn check_room(&self, keys: usize, line: usize) -> Result<(), DataError> {
        let rows = self.table.rows.len() + 1;
        if rows.saturating_mul(keys) <= self.room {
            return Ok(());
        }
        Err(DataError::SparseRows {
            file: self.file.to_path_buf(),
            line,
            keys,
        })
    }
}

/// The kind of value, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Number(_) => "a number",
        Value::Bool(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
        Value::Null => "absent",
    }
}

/// A JSON value as a cell.
pub(super) fn cell(value: Value) -> RawCell {
    match value {
        Value::String(text) => RawCell::Text(text),
        Value::Number(number) => RawCell::Number(number.to_string()),
        Value::Bool(value) => RawCell::Bool(value),
        Value::Array(list) => RawCell::List(list),
        Value::Object(object) => RawCell::Object(object),
        Value::Null => RawCell::Absent,
    }
}
