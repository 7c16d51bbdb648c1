//! What a reader sees of a table, before any format: texts, deviations, and which cells are best.

use serde::Serialize;

use super::{Better, Cell, Column, Table};

/// A table as texts.
#[derive(Serialize)]
pub(super) struct PrintedTable<'table> {
    pub title: &'table str,
    pub note: &'table str,
    pub row_heading: &'table str,
    pub columns: Vec<PrintedColumn>,
    pub rows: Vec<PrintedRow<'table>>,
}

/// A heading.
#[derive(Serialize)]
pub(super) struct PrintedColumn {
    /// Name and unit.
    pub heading: String,
    pub better: Better,
    /// Is a score or holds a value, so it is aligned to the right.
    pub numeric: bool,
}

/// A row, with exactly one cell a column.
#[derive(Serialize)]
pub(super) struct PrintedRow<'table> {
    pub label: &'table str,
    pub cells: Vec<PrintedCell>,
}

/// A cell.
#[derive(Clone, Serialize)]
pub(super) struct PrintedCell {
    /// The words or the value; a dash for nothing.
    pub main: String,
    /// `±0.011` or `[0.820, 0.861]`; empty for nothing.
    pub spread: String,
    pub numeric: bool,
    pub best: bool,
    /// The unrounded number, to sort by.
    pub value: Option<f64>,
    /// How far it may lie off: its standard deviation, or 0 where none is known.
    pub deviation: f64,
    /// Share of the sum of its row, where shares are shaded; else 0.
    pub share: f64,
}

impl PrintedColumn {
    /// An arrow towards the better values; empty where there are none.
    pub fn arrow(&self) -> &'static str {
        match self.better {
            Better::Higher => "↑",
            Better::Lower => "↓",
            Better::None => "",
        }
    }

    /// The heading with its arrow.
    pub fn heading_with_arrow(&self) -> String {
        format!("{} {}", self.heading, self.arrow()).trim_end().to_owned()
    }
}

impl PrintedCell {
    /// Value and deviation as one text.
    pub fn plain(&self) -> String {
        format!("{} {}", self.main, self.spread).trim().to_owned()
    }
}

impl<'table> PrintedTable<'table> {
    pub fn new(table: &'table Table) -> Self {
        let mut rows: Vec<_> = table
            .rows
            .iter()
            .map(|row| PrintedRow {
                label: &row.label,
                cells: (table.columns.iter().enumerate())
                    .map(|(index, column)| print_cell(row.cells.get(index).unwrap_or(&Cell::Empty), column))
                    .collect(),
            })
            .collect();
        let columns = (table.columns.iter().enumerate())
            .map(|(index, column)| {
                if table.marks_best {
                    mark_best(&mut rows, index, column.better);
                }
                PrintedColumn {
                    heading: column.heading(),
                    better: column.better,
                    numeric: column.better != Better::None || rows.iter().any(|row| row.cells[index].numeric),
                }
            })
            .collect();
        if table.shades_shares {
            for row in &mut rows {
                set_shares(&mut row.cells);
            }
        }
        Self {
            title: &table.title,
            note: &table.note,
            row_heading: &table.row_heading,
            columns,
            rows,
        }
    }

    /// Whether any cell is marked as best, so that the mark needs explaining.
    pub fn has_best(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.best)
    }
}

impl Column {
    /// Name and unit.
    pub(super) fn heading(&self) -> String {
        match self.unit.as_deref() {
            None | Some("") => self.name.clone(),
            Some(unit) => format!("{} ({unit})", self.name),
        }
    }
}

fn print_cell(cell: &Cell, column: &Column) -> PrintedCell {
    let number = |value: f64| print_number(value, column.decimals);
    let (main, spread, value) = match cell {
        Cell::Empty => ("–".to_owned(), String::new(), None),
        Cell::Text(text) => (text.clone(), String::new(), None),
        Cell::Value { mean, std, interval } => {
            let std = std.map(|std| format!("±{}", number(std)));
            let interval = interval.map(|[low, high]| format!("[{}, {}]", number(low), number(high)));
            let spread: Vec<String> = std.into_iter().chain(interval).collect();
            (number(*mean), spread.join(" "), Some(*mean))
        }
    };
    PrintedCell {
        main,
        spread,
        numeric: value.is_some(),
        best: false,
        value: value.filter(|value| value.is_finite()),
        deviation: match cell {
            Cell::Value { std: Some(std), .. } if std.is_finite() => *std,
            _ => 0.0,
        },
        share: 0.0,
    }
}

/// A row without counts has no shares.
fn set_shares(cells: &mut [PrintedCell]) {
    let sum: f64 = cells.iter().filter_map(|cell| cell.value).sum();
    for cell in cells {
        cell.share = cell
            .value
            .filter(|_| sum > 0.0)
            .map_or(0.0, |count| (count / sum).clamp(0.0, 1.0));
    }
}

/// Marks the best cells of a column. Equal as printed is equal: a difference that the reader cannot see is not
/// called a win, and neither is one within the standard deviations of the two values. One value alone, or values that are
/// all equal, have nothing to be better than.
fn mark_best(rows: &mut [PrintedRow], column: usize, better: Better) {
    let values = || rows.iter().filter_map(|row| row.cells[column].value);
    if better == Better::None || values().count() < 2 {
        return;
    }
    let best = values().reduce(if better == Better::Higher {
        f64::max
    } else {
        f64::min
    });
    let cells = || rows.iter().map(|row| &row.cells[column]);
    let Some(winner) = cells().find(|cell| cell.value == best).cloned() else {
        return;
    };
    let is_best = |cell: &PrintedCell| cell.value.is_some() && cell.main == winner.main;
    let is_beaten = |cell: &PrintedCell| {
        let gap = cell
            .value
            .zip(best)
            .map_or(0.0, |(value, best)| (value - best).abs());
        gap > cell.deviation + winner.deviation
    };
    let others: Vec<&PrintedCell> = cells()
        .filter(|cell| cell.value.is_some() && !is_best(cell))
        .collect();
    let is_separate = !others.is_empty() && others.into_iter().all(is_beaten);
    for row in rows {
        let cell = &mut row.cells[column];
        cell.best = is_separate && is_best(cell);
    }
}

fn print_number(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "n/a".to_owned();
    }
    let text = format!("{value:.decimals$}");
    // A difference of −0.0004 at three decimals is no difference: no sign.
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        _ => text,
    }
}
