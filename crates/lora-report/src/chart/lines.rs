//! Line charts: how a quantity went over steps or epochs.

use serde::{Deserialize, Serialize};

use super::axes::{draw_x_axis, draw_y_axis, y_axis_width};
use super::drawing::{Anchor, Area, Drawing, INSET, marker, polyline, series_class};
use super::legend::draw_legend;
use super::scale::{Scale, whole};
use crate::missing;

const WIDTH: f64 = 430.0;
const PLOT_HEIGHT: f64 = 200.0;
/// A line gets a marker at each point up to this many points, at some of them beyond.
const MARKED_POINTS: usize = 14;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// x and y of each point, x not falling. The line breaks at a point that is not finite.
    #[serde(deserialize_with = "missing::pairs")]
    pub points: Vec<[f64; 2]>,
    /// Lower and upper y at each of the points, drawn as a band around the line: how far seeds differ.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "missing::optional_pairs"
    )]
    pub band: Option<Vec<[f64; 2]>>,
}

impl Series {
    /// A line without a band.
    pub fn new(name: impl Into<String>, points: Vec<[f64; 2]>) -> Self {
        Self {
            name: name.into(),
            points,
            band: None,
        }
    }

    /// The same line with a band: lower and upper y at each of its points.
    #[must_use]
    pub fn with_band(mut self, band: Vec<[f64; 2]>) -> Self {
        self.band = Some(band);
        self
    }

    /// The unbroken stretches of the line: each point with the band around it, as `[x, y, low, high]`.
    pub(super) fn stretches(&self) -> Vec<Vec<[f64; 4]>> {
        let with_band = self.points.iter().enumerate().map(|(index, &[x, y])| {
            let around = self.band.as_ref().and_then(|band| band.get(index));
            let [low, high] = around
                .copied()
                .filter(|ends| ends.iter().all(|end| end.is_finite()))
                .unwrap_or([y, y]);
            [x, y, low, high]
        });
        let with_band: Vec<_> = with_band.collect();
        let stretches = with_band.split(|[x, y, ..]| !(x.is_finite() && y.is_finite()));
        stretches
            .filter(|stretch| !stretch.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }
}

/// Lines over a common x, for example losses over steps, as SVG.
///
/// Points that are not finite are left out and break their line. Without any finite point the chart says so.
pub fn line_chart(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    let names: Vec<_> = series.iter().map(|series| series.name.as_str()).collect();
    let mut drawing = Drawing::new([WIDTH, 0.0], title, describe(x_label, y_label, series));
    let legend_end = draw_legend(&mut drawing, 28.0, &names);
    let top = legend_end + 26.0;
    let mut plot = Area::of([0.0, top], [WIDTH - 16.0, top + PLOT_HEIGHT]);
    drawing.height = plot.bottom + 42.0;

    let stretches: Vec<_> = series.iter().map(Series::stretches).collect();
    let points = || stretches.iter().flatten().flatten();
    let y_values = points().flat_map(|&[_, _, low, high]| [low, high]);
    let Some(y) = Scale::around(y_values, [plot.bottom, plot.top], 5.0) else {
        return drawing.of_nothing(plot.top, "value");
    };
    plot.left = y_axis_width(&y);
    let Some(x) = Scale::around(points().map(|point| point[0]), [plot.left, plot.right], 7.0) else {
        return drawing.to_svg();
    };
    drawing.text("name", INSET, plot.top - 12.0, Anchor::Start, y_label);
    draw_y_axis(&mut drawing, plot, &y);
    draw_x_axis(&mut drawing, plot, &x, x_label);
    draw_lines(&mut drawing, [&x, &y], [x_label, y_label], series);
    drawing.to_svg()
}

/// The lines with bands and markers.
pub(super) fn draw_lines(
    drawing: &mut Drawing,
    [x, y]: [&Scale; 2],
    [x_label, y_label]: [&str; 2],
    series: &[Series],
) {
    let stretches: Vec<_> = series.iter().map(Series::stretches).collect();
    // Bands first: no band hides a line.
    for (index, stretches) in stretches
        .iter()
        .enumerate()
        .filter(|(index, _)| series[*index].band.is_some())
    {
        for stretch in stretches {
            let upper = stretch
                .iter()
                .map(|&[at, _, _, high]| [x.place(at), y.place(high)]);
            let lower = stretch
                .iter()
                .rev()
                .map(|&[at, _, low, _]| [x.place(at), y.place(low)]);
            let outline: Vec<_> = upper.chain(lower).collect();
            drawing.path(format!("band {}", series_class(index)), polyline(&outline) + "Z");
        }
    }
    for (index, stretches) in stretches.iter().enumerate() {
        let look = series_class(index);
        for stretch in stretches {
            let places: Vec<_> = stretch
                .iter()
                .map(|&[at, value, ..]| [x.place(at), y.place(value)])
                .collect();
            drawing.path(format!("line {look}"), polyline(&thin(&places)));
        }
        let all: Vec<_> = stretches.iter().flatten().collect();
        let every = all.len().div_ceil(MARKED_POINTS).max(1);
        // The last point is always marked: it is what people look for.
        for &&[at, value, ..] in all.iter().rev().step_by(every) {
            let tip = format!(
                "{}, {x_label} {}: {y_label} {}",
                series[index].name,
                short(at),
                short(value)
            );
            let data = marker(index, [x.place(at), y.place(value)], 3.5);
            drawing.path_with_tip(format!("marker {look}"), data, tip);
        }
    }
}

/// At most four points a half-unit column: first, lowest, highest, last. A run of many thousand steps
/// looks the same and the file stays small.
pub(super) fn thin(places: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let column = |place: &[f64; 2]| (place[0] * 2.0).floor() as i64;
    let mut kept = Vec::new();
    for group in places.chunk_by(|a, b| column(a) == column(b)) {
        if group.len() <= 4 {
            kept.extend_from_slice(group);
            continue;
        }
        let by_height = |a: &usize, b: &usize| group[*a][1].total_cmp(&group[*b][1]);
        let lowest = (0..group.len()).min_by(by_height).unwrap_or(0);
        let highest = (0..group.len()).max_by(by_height).unwrap_or(0);
        let mut indices = [0, lowest, highest, group.len() - 1];
        indices.sort_unstable();
        kept.extend(indices.map(|index| group[index]));
    }
    kept
}

pub(super) fn describe(x_label: &str, y_label: &str, series: &[Series]) -> String {
    let ends = series.iter().filter_map(|series| {
        let finite = |point: &&[f64; 2]| point.iter().all(|value| value.is_finite());
        let first = series.points.iter().find(finite)?;
        let last = series.points.iter().rfind(finite)?;
        let span = format!(
            "{} at {x_label} {} to {} at {}",
            short(first[1]),
            short(first[0]),
            short(last[1]),
            short(last[0])
        );
        Some(format!("{}: from {span}.", series.name))
    });
    std::iter::once(format!("{y_label} over {x_label}."))
        .chain(ends)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A number for reading: four significant digits, no trailing zeros.
pub(super) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return "n/a".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..9.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = whole(3.0 - magnitude);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
