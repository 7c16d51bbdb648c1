//! From strings in the label column to targets.

use std::path::Path;

use super::columns::ResolvedColumn;
use super::table::Table;
use crate::dataset::{Target, Task};
use crate::error::DataError;
use crate::labels::LabelNames;

/// What the label column means.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum LabelRule {
    /// Classes; their names are the different labels of the file, integers by value, else by code point. For a training
    /// set: give the names it yields to the other sets as [`LabelRule::Known`].
    #[default]
    FromData,
    /// Classes of these names ([`LabelNames::class_of`]); another label is an error.
    Known(LabelNames),
    /// Numbers: a regression.
    Numbers,
    /// There are no labels, or they are not to be read; a model of this task will predict them.
    Unlabelled(Task),
}

/// One target a row, and the task they make.
pub(crate) struct RowTargets {
    pub each: Vec<Option<Target>>,
    pub task: Task,
}

pub(crate) fn targets(
    table: &Table,
    column: &ResolvedColumn,
    rule: &LabelRule,
    file: &Path,
) -> Result<RowTargets, DataError> {
    match rule {
        LabelRule::FromData => {
            let labels = names_in(table, column, file)?;
            classes(table, column, labels, file)
        }
        LabelRule::Known(labels) => classes(table, column, labels.clone(), file),
        LabelRule::Numbers => numbers(table, column, file),
        LabelRule::Unlabelled(task) => Ok(no_targets(task, table.rows.len())),
    }
}

/// Rows without a target, for a model of this task.
pub(crate) fn no_targets(task: &Task, rows: usize) -> RowTargets {
    RowTargets {
        each: vec![None; rows],
        task: task.clone(),
    }
}

fn names_in(table: &Table, column: &ResolvedColumn, file: &Path) -> Result<LabelNames, DataError> {
    let found = table
        .rows
        .iter()
        .map(|row| row.label(column, file))
        .collect::<Result<Vec<_>, _>>()?;
    let number = |label: &str| label.parse::<f64>().is_ok_and(f64::is_finite);
    let fraction = found.iter().position(|label| label.parse::<i64>().is_err());
    if let Some(row) = fraction.filter(|_| found.iter().all(|label| number(label))) {
        return Err(DataError::DecimalLabel {
            file: file.to_path_buf(),
            line: table.rows[row].line,
            column: column.name.clone(),
            label: found[row].clone().into_owned(),
        });
    }
    LabelNames::from_data(found.iter().map(AsRef::as_ref), file)
}

fn classes(
    table: &Table,
    column: &ResolvedColumn,
    labels: LabelNames,
    file: &Path,
) -> Result<RowTargets, DataError> {
    let mut each = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let label = row.label(column, file)?;
        let class = labels.class_of(&label).ok_or_else(|| DataError::UnknownLabel {
            file: file.to_path_buf(),
            line: row.line,
            column: column.name.as_str().into(),
            label: label.as_ref().into(),
            known: labels.names().into(),
            nearest: labels.nearest(&label),
        })?;
        each.push(Some(Target::Class(class)));
    }
    Ok(RowTargets {
        each,
        task: Task::Classification { labels },
    })
}

fn numbers(table: &Table, column: &ResolvedColumn, file: &Path) -> Result<RowTargets, DataError> {
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
    Ok(RowTargets {
        each,
        task: Task::Regression,
    })
}
