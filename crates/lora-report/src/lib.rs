#![doc = include_str!("../README.md")]
//!
//! - [`Table`]: one set of numbers for the terminal, Markdown, CSV and HTML; [`confusion_table`]: one of which classes are taken for which.
//! - [`reliability_diagram`], [`line_chart`], [`panel_chart`], [`setting_chart`], [`interval_chart`], [`scatter_chart`]: charts as
//!   SVG, each a file of its own; [`text_chart`]: lines in letters, for a terminal.
//! - [`Page`]: tables, charts and settings as one HTML file without external resources.

mod chart;
mod confusion;
mod missing;
mod page;
mod table;
mod templates;

pub use chart::{
    IntervalRow, Panel, ReliabilityBar, ScatterPoint, Series, interval_chart, line_chart, panel_chart,
    reliability_diagram, scatter_chart, setting_chart, text_chart,
};
pub use confusion::{WIDEST_MATRIX, confusion_table};
pub use page::{Block, Figure, Page, Provenance, Section};
pub use table::{Better, Cell, Column, Row, Table};
