//! Curves over the values of a setting: few points a line, each with the interval around it.

use super::axes::{LABEL_SIZE, draw_x_ticks, draw_y_axis, y_axis_width};
use super::drawing::{Anchor, Area, Drawing, INSET, marker, polyline, segment, series_class, text_width};
use super::legend::draw_legend;
use super::lines::{Series, describe, short};
use super::scale::{Scale, Tick};

const WIDTH: f64 = 430.0;
const PLOT_HEIGHT: f64 = 210.0;
/// Between the frame and the first value, so that whiskers of neighbours have room.
const MARGIN: f64 = 22.0;
/// How far lines are moved apart, so that no whisker hides another.
const APART: f64 = 5.0;
/// Beyond this a difference of two values is not finite; no setting is.
const LARGEST: f64 = 1e300;
/// From this ratio of largest to smallest value on, the axis is logarithmic.
const LOGARITHMIC: f64 = 8.0;

/// Lines over the values that a setting was given, as SVG: a tick at each of these values, and the band of a series as a
/// whisker at each of its points. Lines are moved sideways a little, so that whiskers do not cover each other.
///
/// The axis is logarithmic where all values are above zero and the largest is at least eight times the smallest, as numbers
/// of members and ranks are. Points that are not finite are left out.
pub fn setting_chart(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    let names: Vec<_> = series.iter().map(|series| series.name.as_str()).collect();
    let mut drawing = Drawing::new([WIDTH, 0.0], title, describe(x_label, y_label, series));
    let top = draw_legend(&mut drawing, 28.0, &names) + 26.0;
    let mut plot = Area::of([0.0, top], [WIDTH - 6.0, top + PLOT_HEIGHT]);
    drawing.height = plot.bottom + 42.0;
    let lines: Vec<Vec<Point>> = series.iter().map(points).collect();
    let ends = lines.iter().flatten().flat_map(|point| [point.low, point.high]);
    let Some(y) = Scale::around(ends, [plot.bottom, plot.top], 5.0) else {
        return drawing.of_nothing(plot.top, "value");
    };
    plot.left = y_axis_width(&y);
    let x = Places::of(lines.iter().flatten().map(|point| point.x).collect(), plot);
    drawing.text("name", INSET, plot.top - 12.0, Anchor::Start, y_label);
    draw_y_axis(&mut drawing, plot, &y);
    draw_x_ticks(&mut drawing, plot, x.ticks(), x_label);
    for (index, line) in lines.iter().enumerate() {
        let look = series_class(index);
        let aside = APART * (index as f64 - (lines.len() as f64 - 1.0) / 2.0);
        let place = |point: &Point| [x.place(point.x) + aside, y.place(point.y)];
        for point in line.iter().filter(|point| point.low < point.high) {
            let [at, _] = place(point);
            let ends = [point.low, point.high].map(|end| [at, y.place(end)]);
            drawing.path(format!("whisker {look}"), segment(ends[0], ends[1]));
        }
        let places: Vec<_> = line.iter().map(place).collect();
        if places.len() > 1 {
            drawing.path(format!("line {look}"), polyline(&places));
        }
        for point in line {
            drawing.path_with_tip(
                format!("marker {look}"),
                marker(index, place(point), 3.5),
                point.tip(&series[index].name, x_label, y_label),
            );
        }
    }
    drawing.to_svg()
}

/// A point with the ends of its whisker, which are its own place where it has none.
struct Point {
    x: f64,
    y: f64,
    low: f64,
    high: f64,
}

impl Point {
    fn tip(&self, name: &str, x_label: &str, y_label: &str) -> String {
        let interval = if self.low < self.high {
            format!(" [{}, {}]", short(self.low), short(self.high))
        } else {
            String::new()
        };
        format!(
            "{name}, {x_label} {}: {y_label} {}{interval}",
            short(self.x),
            short(self.y)
        )
    }
}

fn points(series: &Series) -> Vec<Point> {
    let finite = series.stretches().into_iter().flatten();
    let points = finite.map(|[x, y, low, high]| Point {
        x: x.clamp(-LARGEST, LARGEST),
        y,
        low,
        high,
    });
    points.collect()
}

/// From the values of the setting to places.
struct Places {
    values: Vec<f64>,
    is_logarithmic: bool,
    ends: [f64; 2],
}

impl Places {
    fn of(mut values: Vec<f64>, plot: Area) -> Self {
        values.sort_by(f64::total_cmp);
        values.dedup();
        let is_logarithmic = match (values.first(), values.last()) {
            (Some(least), Some(most)) => *least > 0.0 && most / least >= LOGARITHMIC,
            _ => false,
        };
        Self {
            values,
            is_logarithmic,
            ends: [plot.left + MARGIN, plot.right - MARGIN],
        }
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.is_logarithmic { value.log2() } else { value }
    }

    fn place(&self, value: f64) -> f64 {
        let [left, right] = self.ends;
        let (Some(least), Some(most)) = (self.values.first(), self.values.last()) else {
            return left;
        };
        let (least, most) = (self.scaled(*least), self.scaled(*most));
        if most > least {
            left + (self.scaled(value) - least) / (most - least) * (right - left)
        } else {
            f64::midpoint(left, right)
        }
    }

    /// A tick at each value; a label that would touch the one before it is left out.
    fn ticks(&self) -> Vec<Tick> {
        let mut end = f64::NEG_INFINITY;
        let tick = |value: &f64| {
            let (place, label) = (self.place(*value), short(*value));
            let half = text_width(&label, LABEL_SIZE) / 2.0;
            let label = if place - half > end + 4.0 {
                end = place + half;
                label
            } else {
                String::new()
            };
            Tick { place, label }
        };
        self.values.iter().map(tick).collect()
    }
}
