//! Line charts side by side: the same lines on several sets of rows, with one legend and one scale.

use super::axes::{draw_x_axis, draw_y_axis, y_axis_width};
use super::drawing::{Anchor, Area, Drawing, INSET};
use super::legend::draw_legend;
use super::lines::{Series, describe, draw_lines};
use super::scale::Scale;

const WIDTH: f64 = 720.0;
const PLOT_HEIGHT: f64 = 220.0;
/// Between two panels.
const GAP: f64 = 28.0;

/// A part of a [`panel_chart`].
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What its lines are of, such as `test rows`.
    pub title: String,
    /// Its lines: the same names in the same order in every panel.
    pub series: Vec<Series>,
}

/// Panels side by side over a common x and y, as SVG. The legend is that of the first panel.
///
/// Points that are not finite are left out and break their line.
pub fn panel_chart(title: &str, x_label: &str, y_label: &str, panels: &[Panel]) -> String {
    let names: Vec<&str> = panels
        .first()
        .map(|panel| panel.series.iter().map(|series| series.name.as_str()).collect())
        .unwrap_or_default();
    let descriptions = panels
        .iter()
        .map(|panel| format!("{}: {}", panel.title, describe(x_label, y_label, &panel.series)));
    let mut drawing = Drawing::new([WIDTH, 0.0], title, descriptions.collect::<Vec<_>>().join(" "));
    let top = draw_legend(&mut drawing, 28.0, &names) + 44.0;
    let bottom = top + PLOT_HEIGHT;
    drawing.height = bottom + 42.0;
    let all = || panels.iter().flat_map(|panel| &panel.series);
    let stretches: Vec<_> = all().flat_map(Series::stretches).flatten().collect();
    let values = stretches.iter().flat_map(|&[_, _, low, high]| [low, high]);
    let Some(y) = Scale::around(values, [bottom, top], 5.0) else {
        return drawing.of_nothing(top, "value");
    };
    drawing.text("name", INSET, top - 28.0, Anchor::Start, y_label);
    let left = y_axis_width(&y);
    let width = (WIDTH - 16.0 + GAP) / panels.len() as f64;
    for (place, panel) in panels.iter().enumerate() {
        let start = width * place as f64;
        let plot = Area::of([start + left, top], [start + width - GAP, bottom]);
        let points = stretches.iter().map(|point| point[0]);
        let Some(x) = Scale::around(points, [plot.left, plot.right], 6.0) else {
            return drawing.to_svg();
        };
        let middle = f64::midpoint(plot.left, plot.right);
        drawing.text("name", middle, top - 10.0, Anchor::Middle, panel.title.as_str());
        draw_y_axis(&mut drawing, plot, &y);
        draw_x_axis(&mut drawing, plot, &x, x_label);
        let y_name = format!("{}, {y_label}", panel.title);
        draw_lines(&mut drawing, [&x, &y], [x_label, &y_name], &panel.series);
    }
    drawing.to_svg()
}
