//! A table for the terminal.

use std::borrow::Cow;

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table as Grid, TableStyle, Width,
};
use textwrap::{Options, wrap};
use unicode_width::UnicodeWidthStr;

use super::Table;
use super::printed::{PrintedCell, PrintedTable};

const RULE: LineStyle = LineStyle::none().fill('─').junction('─');
const STYLE: TableStyle = TableStyle::new().header_separator(RULE).bottom_border(RULE);
/// Between rows of several lines.
const ROW_RULE: LineStyle = LineStyle::none().fill('·').junction('·');
/// One space of padding at each side of a cell and one between cells.
const AROUND_CELL: usize = 3;

impl Table {
    /// The table in at most `width` terminal columns: title, cells and note are wrapped where they would be wider (a
    /// table of many columns keeps at least one character of each). Without a width nothing is wrapped. The best of a
    /// column is marked by `*`. Ends with a line break; no escape codes.
    pub fn to_text(&self, width: Option<u16>) -> String {
        let printed = PrintedTable::new(self);
        let line_width = width.map_or(usize::MAX, usize::from);
        let mut lines = Vec::new();
        if !printed.title.is_empty() {
            lines.extend(wrap(printed.title, line_width).into_iter().map(Cow::into_owned));
        }
        lines.extend(
            grid(&printed, width)
                .lines()
                .map(|line| line.trim_end().to_owned()),
        );
        if printed.has_best() {
            lines.push(" * best of its column".to_owned());
        }
        if !printed.note.is_empty() {
            let indented = Options::new(line_width)
                .initial_indent(" ")
                .subsequent_indent(" ");
            lines.extend(wrap(printed.note, indented).into_iter().map(Cow::into_owned));
        }
        lines.join("\n") + "\n"
    }
}

fn grid(printed: &PrintedTable, width: Option<u16>) -> Grid {
    // Where a column has a best value, the mark has a place of its own: the numbers stay aligned.
    let marks: Vec<bool> = (0..printed.columns.len())
        .map(|index| printed.rows.iter().any(|row| row.cells[index].best))
        .collect();
    let heading = |index: usize| {
        let heading = printed.columns[index].heading_with_arrow();
        if marks[index] { heading + "  " } else { heading }
    };
    let cell = |cell: &PrintedCell, has_mark: bool| match (cell.best, has_mark) {
        (true, _) => cell.plain() + " *",
        (false, true) => cell.plain() + "  ",
        (false, false) => cell.plain(),
    };
    let mut texts = vec![printed.row_heading.to_owned()];
    texts.extend((0..printed.columns.len()).map(heading));
    let mut rows = vec![texts];
    for row in &printed.rows {
        let cells = row
            .cells
            .iter()
            .zip(&marks)
            .map(|(printed, mark)| cell(printed, *mark));
        rows.push(std::iter::once(row.label.to_owned()).chain(cells).collect());
    }

    let mut grid = Grid::new();
    grid.load_style(STYLE).set_header(&rows[0]).add_rows(&rows[1..]);
    for (index, column) in printed.columns.iter().enumerate() {
        if column.numeric
            && let Some(target) = grid.column_mut(index + 1)
        {
            target.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(width) = width {
        grid.set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        keep_words_whole(&mut grid, &rows, usize::from(width));
        if grid.lines().count() > rows.len() + 2 {
            grid.load_style(STYLE.row_separator(ROW_RULE));
        }
    }
    grid
}

/// Gives each column the width of its longest word, if all of them fit.
fn keep_words_whole(grid: &mut Grid, rows: &[Vec<String>], width: usize) {
    let longest_word = |column: usize| {
        let words = rows.iter().flat_map(|row| row[column].split_whitespace());
        words.map(UnicodeWidthStr::width).max().unwrap_or(0).max(1) + AROUND_CELL - 1
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(longest_word).collect();
    if widths.iter().sum::<usize>() + widths.len() <= width {
        let lower = |width: usize| {
            ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width).unwrap_or(u16::MAX)))
        };
        grid.set_constraints(widths.into_iter().map(lower));
    }
}
