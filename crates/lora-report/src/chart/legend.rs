//! The legend above a plot: one sample and name a series, in as many rows as they need.

use super::axes::LABEL_SIZE;
use super::drawing::{Anchor, Drawing, INSET, fit, marker, segment, series_class, text_width};

const ROW_HEIGHT: f64 = 18.0;
const SAMPLE_WIDTH: f64 = 26.0;
const GAP: f64 = 14.0;

/// Draws the names from `top` downwards and returns where the legend ends.
pub(super) fn draw_legend(drawing: &mut Drawing, top: f64, names: &[&str]) -> f64 {
    let width = drawing.width - 2.0 * INSET;
    let (mut x, mut y) = (0.0, top + ROW_HEIGHT / 2.0);
    for (series, name) in names.iter().enumerate() {
        let text = fit(name, width - SAMPLE_WIDTH - 6.0, LABEL_SIZE);
        let entry_width = SAMPLE_WIDTH + 6.0 + text_width(&text, LABEL_SIZE);
        if x > 0.0 && x + entry_width > width {
            (x, y) = (0.0, y + ROW_HEIGHT);
        }
        let (left, look) = (INSET + x, series_class(series));
        drawing.path(
            format!("line {look}"),
            segment([left, y], [left + SAMPLE_WIDTH, y]),
        );
        drawing.path(
            format!("marker {look}"),
            marker(series, [left + SAMPLE_WIDTH / 2.0, y], 3.5),
        );
        drawing.text("key", left + SAMPLE_WIDTH + 6.0, y + 4.0, Anchor::Start, text);
        x += entry_width + GAP;
    }
    if names.is_empty() {
        top
    } else {
        y + ROW_HEIGHT / 2.0
    }
}
