//! A table of results: values with their standard deviations or intervals, printed four ways.

mod as_csv;
mod as_html;
pub(crate) mod as_markdown;
mod as_text;
mod printed;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::missing;

/// Results of several methods: one row a method, one column a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What the numbers are, for example the data set they were measured on.
    pub title: String,
    /// What a reader must know to read the numbers rightly; empty for nothing.
    #[serde(default)]
    pub note: String,
    /// Heading above the labels of the rows.
    pub row_heading: String,
    /// The scores.
    pub columns: Vec<Column>,
    /// The methods.
    pub rows: Vec<Row>,
    /// Whether the best value of a column is marked. Not where it is unknown how far values differ by chance.
    #[serde(default = "marked")]
    pub marks_best: bool,
    /// Whether the page shades each cell by its share of the sum of its row: for counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shades_shares: bool,
}

fn marked() -> bool {
    true
}

/// What stands in one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// Unit or rule, shown in parentheses after the name: `s`, `15 bins`, …
    #[serde(default)]
    pub unit: Option<String>,
    /// Which values are good; decides what is marked as best.
    pub better: Better,
    /// Digits after the decimal point. Values that print the same count as equal.
    pub decimals: usize,
}

/// Which way a column gets better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Larger values are better: accuracy.
    Higher,
    /// Smaller values are better: a loss, an error, a time.
    Lower,
    /// Neither: no value is marked.
    #[default]
    None,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the method.
    pub label: String,
    /// One cell a column. Missing cells at the end read as [`Cell::Empty`]; surplus ones are not shown.
    pub cells: Vec<Cell>,
}

/// What stands in one place of a table. In JSON: a string, an object or `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, in the unit of its column.
    Value {
        /// The value, or the mean over seeds. Not finite: shown as `n/a` or `inf`, written as `null`.
        #[serde(deserialize_with = "missing::number")]
        mean: f64,
        /// Standard deviation over seeds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        std: Option<f64>,
        /// Lower and upper end of a confidence interval.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "missing::optional_pair"
        )]
        interval: Option<[f64; 2]>,
    },
    /// Not measured.
    Empty,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, row_heading: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            row_heading: row_heading.into(),
            columns,
            rows: Vec::new(),
            marks_best: true,
            shades_shares: false,
        }
    }

    /// The same table with a note under it.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The same table without marks at the best values: for numbers of which nobody knows how far they differ by chance.
    #[must_use]
    pub fn without_marks(mut self) -> Self {
        self.marks_best = false;
        self
    }

    /// The same table of counts with cells that the page shades by their share of the row.
    #[must_use]
    pub fn with_shades(mut self) -> Self {
        self.shades_shares = true;
        self
    }

    /// Appends a row.
    ///
    /// # Panics
    /// Unless there is one cell a column.
    pub fn push(&mut self, label: impl Into<String>, cells: Vec<Cell>) {
        let label = label.into();
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "cells of row {label:?} of table {:?}",
            self.title
        );
        self.rows.push(Row { label, cells });
    }
}

impl Column {
    /// A column without a unit.
    pub fn new(name: impl Into<String>, better: Better, decimals: usize) -> Self {
        Self {
            name: name.into(),
            unit: None,
            better,
            decimals,
        }
    }

    /// The same column with a unit.
    #[must_use]
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One number.
    pub fn value(value: f64) -> Self {
        Self::number(value, None, None)
    }

    /// A mean with the standard deviation around it.
    pub fn with_deviation(mean: f64, std: f64) -> Self {
        Self::number(mean, Some(std), None)
    }

    /// A value with its confidence interval.
    pub fn interval(value: f64, interval: [f64; 2]) -> Self {
        Self::number(value, None, Some(interval))
    }

    fn number(mean: f64, std: Option<f64>, interval: Option<[f64; 2]>) -> Self {
        Self::Value { mean, std, interval }
    }
}
