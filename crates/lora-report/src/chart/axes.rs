//! The frame of a plot: grid, ticks, axis labels.

use super::drawing::{Anchor, Area, Drawing, segment, text_width};
use super::scale::{Scale, Tick, whole};

/// Size of tick and axis labels.
pub(super) const LABEL_SIZE: f64 = 12.0;

/// A horizontal line and a label on the left for each tick of `y`.
pub(super) fn draw_y_axis(drawing: &mut Drawing, plot: Area, y: &Scale) {
    for tick in y.ticks() {
        drawing.path("grid", segment([plot.left, tick.place], [plot.right, tick.place]));
        drawing.text("tick", plot.left - 7.0, tick.place + 4.0, Anchor::End, tick.label);
    }
}

/// The line below the plot, the ticks of `x` and the name of the axis. Labels that would touch are left out.
pub(super) fn draw_x_axis(drawing: &mut Drawing, plot: Area, x: &Scale, name: &str) {
    let ticks = x.ticks();
    let every = label_every(&ticks);
    let labelled = ticks.into_iter().enumerate().map(|(index, tick)| Tick {
        label: if index % every == 0 {
            tick.label
        } else {
            String::new()
        },
        ..tick
    });
    draw_x_ticks(drawing, plot, labelled.collect(), name);
}

/// The line below the plot with these ticks, and the name of the axis.
pub(super) fn draw_x_ticks(drawing: &mut Drawing, plot: Area, ticks: Vec<Tick>, name: &str) {
    drawing.path(
        "axis",
        segment([plot.left, plot.bottom], [plot.right, plot.bottom]),
    );
    for tick in ticks {
        drawing.path(
            "axis",
            segment([tick.place, plot.bottom], [tick.place, plot.bottom + 4.0]),
        );
        if !tick.label.is_empty() {
            drawing.text("tick", tick.place, plot.bottom + 17.0, Anchor::Middle, tick.label);
        }
    }
    drawing.text(
        "name",
        f64::midpoint(plot.left, plot.right),
        plot.bottom + 34.0,
        Anchor::Middle,
        name,
    );
}

/// Room for the tick labels of `y` left of the plot.
pub(super) fn y_axis_width(y: &Scale) -> f64 {
    widest(&y.ticks()) + 13.0
}

fn widest(ticks: &[Tick]) -> f64 {
    ticks
        .iter()
        .map(|tick| text_width(&tick.label, LABEL_SIZE))
        .fold(0.0, f64::max)
}

fn label_every(ticks: &[Tick]) -> usize {
    let apart = ticks
        .windows(2)
        .map(|pair| pair[1].place - pair[0].place)
        .fold(f64::INFINITY, f64::min);
    whole((widest(ticks) + 8.0) / apart + 1.0)
}
