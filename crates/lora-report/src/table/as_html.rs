//! A table for the page.

use minijinja::context;
use minijinja::value::Serde;

use super::printed::PrintedTable;
use super::{Better, Table};
use crate::templates::render;

impl Table {
    /// The table as a piece of HTML. The script of [`Page`](crate::Page) makes it sortable; without the
    /// script it is an ordinary table.
    pub fn to_html(&self) -> String {
        let mut printed = PrintedTable::new(self);
        for cell in printed
            .rows
            .iter_mut()
            .flat_map(|row| &mut row.cells)
            .filter(|cell| cell.numeric)
        {
            for text in [&mut cell.main, &mut cell.spread] {
                // The minus sign has the width of a digit, the hyphen does not.
                *text = text.replace('-', "\u{2212}");
            }
        }
        let columns: Vec<_> = (printed.columns.iter())
            .map(|column| {
                let direction = match column.better {
                    Better::Higher => "higher is better",
                    Better::Lower => "lower is better",
                    Better::None => "",
                };
                context! { heading => column.heading.as_str(), numeric => column.numeric, arrow => column.arrow(), direction }
            })
            .collect();
        render(
            "table.html",
            context! { markdown => self.to_markdown(), columns, table => Serde(&printed) },
        )
    }
}
