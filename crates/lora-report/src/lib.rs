//! Tables, charts and self-contained pages from plain values.
//!
//! Everything here is a pure function from values to text: nothing is read, written or fetched. The values are plain
//! serde types, so a page and a results file come from the same ones. This crate knows no tensor library and no scores:
//! any program can use it.
//!
//! - [`Table`]: one set of numbers for the terminal, Markdown, CSV and HTML.
//! - [`reliability_diagram`], [`line_chart`], [`panel_chart`], [`setting_chart`], [`interval_chart`], [`scatter_chart`]: charts as
//!   SVG, each a file of its own; [`text_chart`]: lines in letters, for a terminal.
//! - [`Page`]: tables, charts and settings as one HTML file without external resources.
//!
//! ```
//! use lora_report::{Better, Block, Cell, Column, Page, Section, Table};
//!
//! let mut table = Table::new(
//!     "Test set",
//!     "method",
//!     vec![Column::new("accuracy", Better::Higher, 3), Column::new("ECE", Better::Lower, 3).with_unit("15 bins")],
//! );
//! table.push("LoRA", vec![Cell::with_deviation(0.871, 0.012), Cell::with_deviation(0.094, 0.011)]);
//! table.push("LoRA Dropout", vec![Cell::with_deviation(0.884, 0.009), Cell::with_deviation(0.041, 0.006)]);
//! // The best is marked where the standard deviation does not explain it.
//! assert!(table.to_markdown().contains("| LoRA Dropout | 0.884 ±0.009 | **0.041** ±0.006 |"));
//!
//! let mut page = Page::new("A small run");
//! page.sections.push(Section::new("Results").with_block(Block::Table(table)));
//! assert!(page.to_html().starts_with("<!doctype html>"));
//! ```

mod chart;
mod missing;
mod page;
mod table;
mod templates;

pub use chart::{
    IntervalRow, Panel, ReliabilityBar, ScatterPoint, Series, interval_chart, line_chart, panel_chart,
    reliability_diagram, scatter_chart, setting_chart, text_chart,
};
pub use page::{Block, Figure, Page, Provenance, Section};
pub use table::{Better, Cell, Column, Row, Table};
