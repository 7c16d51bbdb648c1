//! Charts as SVG: geometry in Rust, markup in one template.
//!
//! Each chart stands alone (a page, a README, a slide), scales with its place, has a title and a description for
//! readers who hear it, and follows light and dark. Series differ in colour, dash and marker, so colour is never the
//! only difference; the colours stay apart under the three colour-vision deficiencies (a test measures it).

mod axes;
mod drawing;
mod intervals;
mod labels;
mod legend;
mod lines;
mod panels;
mod reliability;
mod scale;
mod scatter;
mod settings;
#[cfg(test)]
mod tests;
mod text;

pub use intervals::{IntervalRow, interval_chart};
pub use lines::{Series, line_chart};
pub use panels::{Panel, panel_chart};
pub use reliability::{ReliabilityBar, reliability_diagram};
pub use scatter::{ScatterPoint, scatter_chart};
pub use settings::setting_chart;
pub use text::text_chart;
