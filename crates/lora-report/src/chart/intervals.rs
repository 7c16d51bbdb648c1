//! Interval charts: estimates with their intervals below each other, against zero. Known as forest plots.

use super::axes::{LABEL_SIZE, draw_x_axis};
use super::drawing::{Anchor, Area, Drawing, INSET, fit, marker, segment, series_class, text_width};
use super::legend::draw_legend;
use super::lines::short;
use super::scale::Scale;

const WIDTH: f64 = 430.0;
/// Labels of rows take at most this share of the width.
const LABELS: f64 = 0.48;
const ROW_HEIGHT: f64 = 16.0;
/// More height for every further estimate of a row.
const LANE_HEIGHT: f64 = 11.0;

/// A row of an interval chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntervalRow {
    /// Name at the left.
    pub label: String,
    /// For each of the chart's names the estimate with the lower and upper end of its interval, if there is one. What is not
    /// finite is not drawn.
    pub estimates: Vec<Option<(f64, [f64; 2])>>,
    /// Whether the row sums up those above it: it stands below a line.
    pub is_total: bool,
}

/// Rows of estimates with intervals as SVG, one below the other, around a line at zero. `names` are the estimates of a row,
/// at most a few; a single one needs no legend. `span` are values that the axis covers at least: the same for several charts
/// makes them comparable.
pub fn interval_chart(
    title: &str,
    x_label: &str,
    names: &[&str],
    rows: &[IntervalRow],
    span: Option<[f64; 2]>,
) -> String {
    let mut drawing = Drawing::new([WIDTH, 0.0], title, describe(x_label, names, rows));
    let legend_end = if names.len() > 1 {
        draw_legend(&mut drawing, 28.0, names)
    } else {
        28.0
    };
    let row_height = ROW_HEIGHT + LANE_HEIGHT * (names.len().max(1) - 1) as f64;
    let most = LABELS * WIDTH;
    let widest = rows.iter().map(|row| text_width(&row.label, LABEL_SIZE));
    let (left, top) = (widest.fold(0.0, f64::max).min(most) + 12.0, legend_end + 8.0);
    let bottom = top + (row_height + 6.0) * rows.len() as f64;
    let plot = Area::of([left, top], [WIDTH - 14.0, bottom]);
    drawing.height = plot.bottom + 42.0;
    let finite = rows.iter().flat_map(finite_estimates);
    let values: Vec<f64> = finite
        .flat_map(|(_, estimate, [low, high])| [estimate, low, high])
        .collect();
    if values.is_empty() {
        return drawing.of_nothing(plot.top + 8.0, "estimate");
    }
    let all = values.into_iter().chain(span.into_iter().flatten()).chain([0.0]);
    let Some(x) = Scale::around(all, [plot.left, plot.right], 5.0) else {
        return drawing.to_svg();
    };
    for tick in x.ticks() {
        drawing.path("grid", segment([tick.place, plot.top], [tick.place, plot.bottom]));
    }
    let zero = x.place(0.0);
    drawing.path("axis", segment([zero, plot.top], [zero, plot.bottom]));
    draw_x_axis(&mut drawing, plot, &x, x_label);
    for (place, row) in rows.iter().enumerate() {
        let top = plot.top + (row_height + 6.0) * place as f64;
        let middle = top + 3.0 + row_height / 2.0;
        if row.is_total {
            drawing.path("axis", segment([INSET, top], [plot.right, top]));
        }
        let class = if row.is_total { "label" } else { "key" };
        drawing.text(
            class,
            INSET,
            middle + 4.0,
            Anchor::Start,
            fit(&row.label, most, LABEL_SIZE),
        );
        for (lane, estimate, [low, high]) in finite_estimates(row) {
            let y = middle + LANE_HEIGHT * (lane as f64 - (names.len().max(1) - 1) as f64 / 2.0);
            let look = series_class(lane);
            drawing.path(
                format!("whisker {look}"),
                segment([x.place(low), y], [x.place(high), y]),
            );
            let radius = if row.is_total { 5.0 } else { 4.0 };
            drawing.path_with_tip(
                format!("marker {look}"),
                marker(lane, [x.place(estimate), y], radius),
                sentence(x_label, names, row, (lane, estimate, [low, high])),
            );
        }
    }
    drawing.to_svg()
}

fn finite_estimates(row: &IntervalRow) -> impl Iterator<Item = (usize, f64, [f64; 2])> + '_ {
    let all = row.estimates.iter().enumerate();
    all.filter_map(|(lane, estimate)| {
        let (value, [low, high]) = (*estimate)?;
        let is_finite = [value, low, high].iter().all(|number| number.is_finite());
        is_finite.then_some((lane, value, [low, high]))
    })
}

fn describe(x_label: &str, names: &[&str], rows: &[IntervalRow]) -> String {
    let sentences = rows.iter().flat_map(|row| {
        let each = finite_estimates(row).map(|estimate| sentence(x_label, names, row, estimate) + ".");
        each.collect::<Vec<_>>()
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn sentence(
    x_label: &str,
    names: &[&str],
    row: &IntervalRow,
    (lane, estimate, [low, high]): (usize, f64, [f64; 2]),
) -> String {
    let name = names.get(lane).filter(|_| names.len() > 1);
    let name = name.map(|name| format!(", {name}")).unwrap_or_default();
    format!(
        "{}{name}: {x_label} {} [{}, {}]",
        row.label,
        short(estimate),
        short(low),
        short(high)
    )
}
