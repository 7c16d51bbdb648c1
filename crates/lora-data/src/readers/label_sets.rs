//! Labels any number of which may hold: from lists, or from several columns of 0 and 1.

use std::path::Path;

use serde_json::Value;

use super::joined_labels::{JoinedLabels, find, known_parts, parts};
use super::labels::is_missing;
use super::row_targets::RowTargets;
use super::table::{RawCell, RawRow, RawTable, ResolvedColumn};
use crate::dataset::Target;
use crate::error::DataError;
use crate::labels::LabelNames;
use crate::task::Task;

/// From a column of lists of names.
pub(super) fn of_lists(
    table: &RawTable,
    column: &ResolvedColumn,
    known: Option<&LabelNames>,
    file: &Path,
) -> Result<RowTargets, DataError> {
    let mut lists = table
        .rows
        .iter()
        .map(|row| list(row, column, file))
        .collect::<Result<Vec<_>, _>>()?;
    let joined = cut_joined(table, column, known, &mut lists);
    if let Some(row) = table.rows.first().filter(|_| are_truths(&lists)) {
        return Err(DataError::WrongType {
            file: file.to_path_buf(),
            line: row.line,
            column: column.name.clone(),
            expected: "the names of the labels that hold, as in [\"spam\", \"toxic\"], or a column of 0 and 1 for each label, called as \
                the label is (label_columns)",
            found: "a list of 0 or 1 for each label".to_owned(),
        });
    }
    let labels = match known {
        Some(labels) => labels.clone(),
        None => LabelNames::from_data(lists.iter().flatten().map(String::as_str), file)?,
    };
    let mut each = Vec::with_capacity(lists.len());
    let mut names = lists.iter().flatten();
    let index_label = names.find(|name| labels.by_name(name).is_none()).cloned();
    for (row, list) in table.rows.iter().zip(&lists) {
        let mut held = Vec::with_capacity(list.len());
        for name in list {
            let unknown = || labels.unknown(name, &column.name, file, row.line);
            held.push(labels.class_of(name).ok_or_else(unknown)?);
        }
        each.push(Some(set(held)));
    }
    Ok(RowTargets {
        joined_labels: joined,
        index_label,
        ..RowTargets::new(each, Task::MultiLabel { labels })
    })
}

/// Whether lists have 0 or 1 for each label, in an order that the file does not say, and no names: all are as long, and one has the same
/// twice.
fn are_truths(lists: &[Vec<String>]) -> bool {
    let length = lists.first().map_or(0, Vec::len);
    let is_truth = |name: &String| matches!(name.as_str(), "0" | "1" | "0.0" | "1.0");
    let alike = |list: &Vec<String>| list.len() == length && list.iter().all(is_truth);
    length > 1 && lists.iter().all(alike) && lists.iter().any(|list| length > 2 || list[0] == list[1])
}

/// Cuts names of plain cells that are several labels, joined: where labels are known, by them.
fn cut_joined(
    table: &RawTable,
    column: &ResolvedColumn,
    known: Option<&LabelNames>,
    lists: &mut [Vec<String>],
) -> Option<JoinedLabels> {
    let is_plain = |row: &RawRow| matches!(&row.cells[column.index], RawCell::Text(text) if !is_list(text));
    let mut plain: Vec<&mut Vec<String>> = table
        .rows
        .iter()
        .zip(lists)
        .filter(|(row, list)| is_plain(row) && !list.is_empty())
        .map(|(_, list)| list)
        .collect();
    let owned = |parts: Vec<&str>| parts.into_iter().map(str::to_owned).collect();
    if let Some(known) = known {
        for list in plain {
            if known.class_of(&list[0]).is_none()
                && let Some(parts) = known_parts(&list[0], known)
            {
                *list = owned(parts);
            }
        }
        return None;
    }
    let joined = find(plain.iter().map(|list| list[0].as_str()))?;
    for list in &mut plain {
        **list = owned(parts(&list[0], joined.separator));
    }
    Some(joined)
}

/// Whether a cell of a table without lists holds the text of one, or of what Python has beside lists.
fn is_list(text: &str) -> bool {
    ["[", "('", "(\"", "{'", "{\""]
        .iter()
        .any(|start| text.trim_start().starts_with(start))
}

/// From several columns of 0 and 1, called as the labels are.
pub(super) fn of_columns(
    table: &RawTable,
    columns: &[ResolvedColumn],
    known: Option<&LabelNames>,
    file: &Path,
) -> Result<RowTargets, DataError> {
    let names = LabelNames::new(columns.iter().map(|column| column.name.clone()))?;
    let labels = known.cloned().unwrap_or(names);
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let unknown = || labels.unknown(&column.name, &column.name, file, 1);
        places.push(labels.index_of(&column.name).ok_or_else(unknown)?);
    }
    let mut each = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let mut held = Vec::new();
        for (column, place) in columns.iter().zip(&places) {
            if truth(row, column, file)? {
                held.push(*place);
            }
        }
        each.push(Some(set(held)));
    }
    Ok(RowTargets::new(each, Task::MultiLabel { labels }))
}

fn set(mut held: Vec<usize>) -> Target {
    held.sort_unstable();
    held.dedup();
    Target::Labels(held)
}

/// 0 or 1.
fn truth(row: &RawRow, column: &ResolvedColumn, file: &Path) -> Result<bool, DataError> {
    row.label(column, file)?;
    let cell = &row.cells[column.index];
    let expected = "0 or 1, because it is one of several label columns";
    cell.truth()
        .ok_or_else(|| row.wrong_type(column, expected, cell, file))
}

/// The names in a cell: a list, the text of one, or a single name, which may be several ones joined.
fn list(row: &RawRow, column: &ResolvedColumn, file: &Path) -> Result<Vec<String>, DataError> {
    let cell = &row.cells[column.index];
    let expected = "a list of labels, such as [\"spam\", \"toxic\"]";
    match cell {
        RawCell::List(items) => items
            .iter()
            .map(|item| match item {
                Value::String(name) => Ok(name.trim().to_owned()),
                Value::Number(number) => Ok(number.to_string()),
                _ => Err(row.wrong_type(column, expected, cell, file)),
            })
            .collect(),
        RawCell::Text(text) if is_list(text) => {
            names_in(text.trim()).ok_or_else(|| row.wrong_type(column, expected, cell, file))
        }
        RawCell::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        RawCell::Text(text) if is_missing(text.trim()) => Err(row.no_value(column, file)),
        _ => Ok(vec![row.label(column, file)?.into_owned()]),
    }
}

/// The names in `["a", "b"]`, or in `['a', 'b']` as Python writes a list.
fn names_in(text: &str) -> Option<Vec<String>> {
    if let Ok(items) = serde_json::from_str::<Vec<Value>>(text) {
        let name = |item: Value| match item {
            Value::String(name) => Some(name.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        return items.into_iter().map(name).collect();
    }
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let name = |part: &str| {
        let part = part.trim();
        // Between two names of an array there is a space alone.
        let quoted = |quote: char| {
            let name = part.strip_prefix(quote)?.strip_suffix(quote)?;
            (!name.contains(quote)).then_some(name)
        };
        quoted('\'').or_else(|| quoted('"')).map(str::to_owned)
    };
    inside.split(',').map(name).collect()
}
