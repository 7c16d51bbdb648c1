//! Scatter charts: two scores against each other, one labelled point a method.

use serde::{Deserialize, Serialize};

use super::axes::{LABEL_SIZE, draw_x_axis, draw_y_axis, y_axis_width};
use super::drawing::{Anchor, Area, Drawing, INSET, marker, polyline, segment, series_class};
use super::labels::place_labels;
use super::lines::short;
use super::scale::Scale;
use crate::missing;

const WIDTH: f64 = 430.0;
const PLOT_HEIGHT: f64 = 250.0;
const RADIUS: f64 = 5.0;

/// One labelled point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScatterPoint {
    /// Name beside the point.
    pub label: String,
    /// x and y. A point that is not finite is not drawn.
    #[serde(deserialize_with = "missing::pair")]
    pub position: [f64; 2],
    /// Standard deviations in x and y, drawn as a cross of whiskers.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "missing::optional_pair"
    )]
    pub deviation: Option<[f64; 2]>,
    /// Whether the point belongs to the front, the line that joins what nothing beats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_front: bool,
}

impl ScatterPoint {
    /// A point without standard deviations.
    pub fn new(label: impl Into<String>, position: [f64; 2]) -> Self {
        Self {
            label: label.into(),
            position,
            deviation: None,
            on_front: false,
        }
    }

    /// The same point on the front: nothing else is better in both values.
    #[must_use]
    pub fn on_front(mut self, is_on: bool) -> Self {
        self.on_front = is_on;
        self
    }

    /// The same point with standard deviations in x and y.
    #[must_use]
    pub fn with_deviation(mut self, deviation: [f64; 2]) -> Self {
        self.deviation = Some(deviation);
        self
    }

    fn is_finite(&self) -> bool {
        self.position.iter().all(|value| value.is_finite())
    }

    /// Whisker lengths; zero where there is none.
    fn whiskers(&self) -> [f64; 2] {
        self.deviation
            .unwrap_or_default()
            .map(|length| if length.is_finite() { length.abs() } else { 0.0 })
    }
}

/// Labelled points as SVG, for example accuracy against calibration error. Say in the axis labels which way is
/// better (`ECE ↓`).
///
/// Each axis spans at least `least_span`, in its unit, around the points: what is next to no difference should look like
/// none. `[0.0, 0.0]` lets the points fill the chart. Points on the front are joined by a dotted line.
pub fn scatter_chart(
    title: &str,
    x_label: &str,
    y_label: &str,
    points: &[ScatterPoint],
    least_span: [f64; 2],
) -> String {
    let mut plot = Area::of([0.0, 54.0], [WIDTH - 16.0, 54.0 + PLOT_HEIGHT]);
    let mut drawing = Drawing::new(
        [WIDTH, plot.bottom + 42.0],
        title,
        describe(x_label, y_label, points),
    );
    let drawn: Vec<_> = points
        .iter()
        .enumerate()
        .filter(|(_, point)| point.is_finite())
        .collect();
    let extent = |axis: usize| {
        let ends = drawn.iter().flat_map(move |(_, point)| {
            [
                point.position[axis] - point.whiskers()[axis],
                point.position[axis] + point.whiskers()[axis],
            ]
        });
        widened(ends.collect(), least_span[axis])
    };
    let Some(y) = Scale::around(extent(1).into_iter(), [plot.bottom, plot.top], 5.0) else {
        return drawing.of_nothing(plot.top, "point");
    };
    plot.left = y_axis_width(&y);
    let Some(x) = Scale::around(extent(0).into_iter(), [plot.left, plot.right], 6.0) else {
        return drawing.to_svg();
    };
    drawing.text("name", INSET, plot.top - 12.0, Anchor::Start, y_label);
    draw_y_axis(&mut drawing, plot, &y);
    draw_x_axis(&mut drawing, plot, &x, x_label);

    let mut front: Vec<[f64; 2]> = drawn
        .iter()
        .filter(|(_, point)| point.on_front)
        .map(|(_, point)| [x.place(point.position[0]), y.place(point.position[1])])
        .collect();
    front.sort_by(|left, right| left[0].total_cmp(&right[0]));
    if front.len() > 1 {
        drawing.path("diagonal", polyline(&front));
    }
    let mut places = Vec::new();
    let mut whiskers = Vec::new();
    for &(index, point) in &drawn {
        let [at_x, at_y] = point.position;
        let [whisker_x, whisker_y] = point.whiskers();
        let place = [x.place(at_x), y.place(at_y)];
        let class = format!("whisker {}", series_class(index));
        if whisker_x > 0.0 {
            let ends = [at_x - whisker_x, at_x + whisker_x].map(|end| [x.place(end), place[1]]);
            drawing.path(class.clone(), segment(ends[0], ends[1]));
            whiskers.push(Area::around_segment(ends));
        }
        if whisker_y > 0.0 {
            let ends = [at_y - whisker_y, at_y + whisker_y].map(|end| [place[0], y.place(end)]);
            drawing.path(class, segment(ends[0], ends[1]));
            whiskers.push(Area::around_segment(ends));
        }
        places.push((point.label.as_str(), place));
    }
    for (&(index, point), (_, place)) in drawn.iter().zip(&places) {
        let class = format!("marker {}", series_class(index));
        drawing.path_with_tip(
            class,
            marker(index, *place, RADIUS),
            sentence(x_label, y_label, point),
        );
    }
    let room = Area::of([plot.left, plot.top - 8.0], [WIDTH - 2.0, plot.bottom]);
    for label in place_labels(&places, &whiskers, room, RADIUS, LABEL_SIZE) {
        let [x, y] = label.place(LABEL_SIZE);
        drawing.text("label", x, y, label.anchor, label.text);
    }
    drawing.to_svg()
}

/// The values, and two more where these span less than `least`.
fn widened(mut values: Vec<f64>, least: f64) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let missing = least - (high - low);
    if missing.is_finite() && missing > 0.0 {
        values.extend([low - missing / 2.0, high + missing / 2.0]);
    }
    values
}

fn describe(x_label: &str, y_label: &str, points: &[ScatterPoint]) -> String {
    let sentences = points.iter().map(|point| sentence(x_label, y_label, point) + ".");
    sentences.collect::<Vec<_>>().join(" ")
}

fn sentence(x_label: &str, y_label: &str, point: &ScatterPoint) -> String {
    let value = |axis: usize| match point.deviation {
        Some(deviation) => format!("{} ±{}", short(point.position[axis]), short(deviation[axis])),
        None => short(point.position[axis]),
    };
    format!("{}: {x_label} {}, {y_label} {}", point.label, value(0), value(1))
}
