//! From strings in the label column to targets.

use std::borrow::Cow;
use std::path::Path;

use super::columns::ColumnSelector;
use super::joined_labels::{self, JoinedLabels};
use super::label_sets;
use super::row_targets::RowTargets;
use super::table::{RawCell, RawRow, RawTable, ResolvedColumn};
use crate::dataset::Target;
use crate::error::DataError;
use crate::labels::{LabelNames, finite, whole_number};
use crate::task::Task;

/// What the label column means.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum LabelRule {
    /// Classes; their names are the different labels of the file, integers by value, else by code point. For a training
    /// set: give the names it yields to the other sets as [`LabelRule::Known`].
    ///
    /// Decimal numbers are classes only where they are whole, few and repeat, as pandas writes integers in a column with
    /// gaps (`1.0`): then the classes are called by the integers, and [`ReadFile::decimal_label`](super::ReadFile) has
    /// one as it was written. Other decimal numbers are a [`DataError::DecimalLabel`].
    #[default]
    FromData,
    /// The same for labels that are classes whatever they look like: decimal numbers too, each value a class.
    Classes,
    /// Classes of these names ([`LabelNames::class_of`]); another label is an error.
    Known(LabelNames),
    /// Labels any number of which may hold.
    Sets {
        /// Their names; none: those of the file, as for [`LabelRule::FromData`].
        known: Option<LabelNames>,
        /// Columns of 0 and 1 whose names are the labels. Without, the label column has lists of names, in CSV and TSV as JSON or Python
        /// writes them, or names joined by `;`, `|` or `,` ([`ReadFile::joined_labels`](super::ReadFile)).
        columns: Vec<ColumnSelector>,
    },
    /// Values: a regression.
    Values,
    /// There are no labels, or they are not to be read; a model of this task will predict them.
    Unlabelled(Task),
}

impl LabelRule {
    /// For a file of a task that is known; `columns` are those of labels any number of which may hold, where there are several.
    pub fn of(task: &Task, columns: &[ColumnSelector]) -> Self {
        match task {
            Task::Classification { labels } => Self::Known(labels.clone()),
            Task::MultiLabel { labels } => Self::Sets {
                known: Some(labels.clone()),
                columns: columns.to_vec(),
            },
            Task::Regression => Self::Values,
            // Rows of other tasks have no label column.
            other => Self::Unlabelled(other.clone()),
        }
    }
}

pub(crate) fn targets(
    table: &RawTable,
    column: &ResolvedColumn,
    rule: &LabelRule,
    file: &Path,
) -> Result<RowTargets, DataError> {
    match rule {
        LabelRule::FromData | LabelRule::Classes => {
            let found = names_in(table, column, *rule == LabelRule::Classes, file)?;
            let (labels, decimal_label, joined_labels) = found;
            Ok(RowTargets {
                decimal_label,
                joined_labels,
                ..classes(table, column, labels, file)?
            })
        }
        LabelRule::Known(labels) => classes(table, column, labels.clone(), file),
        LabelRule::Sets { known, .. } => label_sets::of_lists(table, column, known.as_ref(), file),
        LabelRule::Values => values(table, column, file),
        LabelRule::Unlabelled(task) => Ok(RowTargets::none(task, table.rows.len())),
    }
}

/// The label of a row that has one; a list of labels is another kind of task.
fn one_label<'a>(row: &'a RawRow, column: &ResolvedColumn, file: &Path) -> Result<Cow<'a, str>, DataError> {
    match &row.cells[column.index] {
        cell @ RawCell::List(_) => Err(row.wrong_type(
            column,
            "one label; lists of labels are read with problem_type multi_label_classification (--problem-type)",
            cell,
            file,
        )),
        _ => row.label(column, file),
    }
}

/// How pandas writes that there is no value.
pub(super) fn is_missing(label: &str) -> bool {
    matches!(label, "nan" | "NaN" | "<NA>")
}

/// At most so many different decimal numbers are taken for classes.
const FEW: usize = 20;

/// The names of the classes, a label that was written as a decimal number, and labels that seem to be joined.
fn names_in(
    table: &RawTable,
    column: &ResolvedColumn,
    any: bool,
    file: &Path,
) -> Result<(LabelNames, Option<String>, Option<JoinedLabels>), DataError> {
    let mut found = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let label = one_label(row, column, file)?;
        if is_missing(&label) {
            return Err(row.no_value(column, file));
        }
        found.push(label);
    }
    let decimal = found.iter().position(|label| label.parse::<i64>().is_err());
    let values: Option<Vec<f64>> = found.iter().map(|label| finite(label)).collect();
    let (Some(row), Some(values)) = (decimal, values) else {
        return Ok((
            LabelNames::from_data(found.iter().map(AsRef::as_ref), file)?,
            None,
            joined_labels::find(found.iter().map(AsRef::as_ref)),
        ));
    };
    let mut different = values.clone();
    different.sort_by(f64::total_cmp);
    different.dedup();
    let are_whole = found.iter().all(|label| whole_number(label).is_some());
    if !(any || are_whole && different.len() <= FEW && 2 * different.len() <= found.len()) {
        return Err(DataError::DecimalLabel {
            file: file.to_path_buf(),
            line: table.rows[row].line,
            column: column.name.clone(),
            label: found[row].clone().into_owned(),
        });
    }
    // Adding 0 takes the sign off −0.
    let names: Vec<String> = different.iter().map(|value| (value + 0.0).to_string()).collect();
    let labels = LabelNames::from_data(names.iter().map(String::as_str), file)?;
    Ok((labels, Some(found[row].clone().into_owned()), None))
}

fn classes(
    table: &RawTable,
    column: &ResolvedColumn,
    labels: LabelNames,
    file: &Path,
) -> Result<RowTargets, DataError> {
    let mut each = Vec::with_capacity(table.rows.len());
    let mut index_label = None;
    for row in &table.rows {
        let label = one_label(row, column, file)?;
        let unknown = || labels.unknown(&label, &column.name, file, row.line);
        let class = labels.class_of(&label).ok_or_else(unknown)?;
        if index_label.is_none() && labels.by_name(&label).is_none() {
            index_label = Some(label.into_owned());
        }
        each.push(Some(Target::Class(class)));
    }
    Ok(RowTargets {
        index_label,
        ..RowTargets::new(each, Task::Classification { labels })
    })
}

fn values(table: &RawTable, column: &ResolvedColumn, file: &Path) -> Result<RowTargets, DataError> {
    let mut each = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let label = row.label(column, file)?;
        let value = label.parse::<f32>().ok().filter(|value| value.is_finite());
        let value = value.ok_or_else(|| DataError::NotANumber {
            file: file.to_path_buf(),
            line: row.line,
            column: column.name.clone(),
            value: label.into_owned(),
        })?;
        each.push(Some(Target::Value(value)));
    }
    Ok(RowTargets::new(each, Task::Regression))
}
