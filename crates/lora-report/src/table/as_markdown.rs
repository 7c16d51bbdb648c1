//! A table for a README, an issue or a chat.

use super::Table;
use super::printed::{PrintedCell, PrintedTable};

impl Table {
    /// The table in GitHub's Markdown; the best of a column is bold. Ends with a line break.
    pub fn to_markdown(&self) -> String {
        let printed = PrintedTable::new(self);
        let mut lines = Vec::new();
        if !printed.title.is_empty() {
            lines.extend([format!("**{}**", escape(printed.title)), String::new()]);
        }
        let headings = printed
            .columns
            .iter()
            .map(|column| escape(&column.heading_with_arrow()));
        lines.push(line(std::iter::once(escape(printed.row_heading)).chain(headings)));
        let rules = printed
            .columns
            .iter()
            .map(|column| if column.numeric { "---:" } else { ":---" }.to_owned());
        lines.push(line(std::iter::once(":---".to_owned()).chain(rules)));
        for row in &printed.rows {
            lines.push(line(
                std::iter::once(escape(row.label)).chain(row.cells.iter().map(cell)),
            ));
        }
        if !printed.note.is_empty() {
            lines.extend([String::new(), escape(printed.note)]);
        }
        lines.join("\n") + "\n"
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn cell(cell: &PrintedCell) -> String {
    let main = if cell.best {
        format!("**{}**", escape(&cell.main))
    } else {
        escape(&cell.main)
    };
    format!("{main} {}", escape(&cell.spread)).trim().to_owned()
}

/// Text that stands for itself: no cell border, emphasis, code, link or tag begins in it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            // Brackets are left alone around numbers: `[0.82, 0.86]` links only where `(` follows.
            '\\' | '|' | '*' | '_' | '`' | '~' => escaped.extend(['\\', character]),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(character),
        }
    }
    escaped.replace("](", "]\\(")
}
