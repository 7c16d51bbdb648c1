//! A table for a spreadsheet or a data frame.

use super::{Cell, Table};

impl Table {
    /// The table as CSV (RFC 4180 quoting) with unrounded numbers. A column of values is followed by ` std`, ` low`
    /// and ` high` where any of its cells has them. Title and note are left out. A number that is not finite is
    /// written as `NaN`, `inf` or `-inf`.
    #[expect(clippy::missing_panics_doc, reason = "writing text to memory does not fail")]
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |record: Vec<String>| {
            writer
                .write_record(record)
                .expect("every record has the same length");
        };
        let parts: Vec<Parts> = (0..self.columns.len())
            .map(|index| Parts::of(self, index))
            .collect();
        let headings = self
            .columns
            .iter()
            .zip(&parts)
            .flat_map(|(column, parts)| parts.headings(&column.heading()));
        write(
            std::iter::once(self.row_heading.clone())
                .chain(headings)
                .collect(),
        );
        for row in &self.rows {
            let cells = parts
                .iter()
                .enumerate()
                .flat_map(|(index, parts)| parts.fields(row.cells.get(index).unwrap_or(&Cell::Empty)));
            write(std::iter::once(row.label.clone()).chain(cells).collect());
        }
        let bytes = writer.into_inner().expect("writing to memory does not fail");
        String::from_utf8(bytes).expect("only text was written")
    }
}

/// What the cells of one column have besides their value.
struct Parts {
    std: bool,
    interval: bool,
}

impl Parts {
    fn of(table: &Table, column: usize) -> Self {
        let mut parts = Self {
            std: false,
            interval: false,
        };
        for row in &table.rows {
            if let Some(Cell::Value { std, interval, .. }) = row.cells.get(column) {
                parts.std |= std.is_some();
                parts.interval |= interval.is_some();
            }
        }
        parts
    }

    fn headings(&self, heading: &str) -> Vec<String> {
        let suffixes = self.select(["", " std", " low", " high"]);
        suffixes
            .into_iter()
            .map(|suffix| format!("{heading}{suffix}"))
            .collect()
    }

    fn fields(&self, cell: &Cell) -> Vec<String> {
        let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        self.select(match cell {
            Cell::Empty => [const { String::new() }; 4],
            Cell::Text(words) => [words.clone(), String::new(), String::new(), String::new()],
            Cell::Value { mean, std, interval } => [
                mean.to_string(),
                text(*std),
                text(interval.map(|ends| ends[0])),
                text(interval.map(|ends| ends[1])),
            ],
        })
    }

    fn select<T>(&self, [value, std, low, high]: [T; 4]) -> Vec<T> {
        let std = self.std.then_some(std);
        let ends = self.interval.then_some([low, high]);
        std::iter::once(value)
            .chain(std)
            .chain(ends.into_iter().flatten())
            .collect()
    }
}
