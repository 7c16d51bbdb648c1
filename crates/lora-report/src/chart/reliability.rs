//! Reliability diagrams: is a model right as often as it says?

use serde::{Deserialize, Serialize};

use super::axes::{draw_x_axis, draw_y_axis};
use super::drawing::{Anchor, Area, Drawing, INSET, fit, rectangle, segment};
use super::scale::{Scale, whole};

const WIDTH: f64 = 304.0;
/// The plot is a square: the diagonal is at 45 degrees.
const PLOT: Area = Area::of([34.0, 86.0], [292.0, 344.0]);
const COUNTS: Area = Area::of([PLOT.left, 384.0], [PLOT.right, 428.0]);
const HEIGHT: f64 = COUNTS.bottom + 68.0;
/// Two-sided 95 % of a normal distribution.
const NORMAL_95: f64 = 1.959_963_984_540_054;
/// A bin of no width (confidence exactly 1) is drawn this wide.
const NARROWEST: f64 = 3.0;

/// One bar of a reliability diagram: the examples whose confidence lies in one bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBar {
    /// Lower edge of the bin, a confidence in 0..=1.
    pub lower: f64,
    /// Upper edge of the bin.
    pub upper: f64,
    /// How many examples. A bar without examples is not drawn.
    pub count: u64,
    /// Mean confidence of these examples, 0..=1.
    pub mean_confidence: f64,
    /// Share of these examples that were predicted right, 0..=1.
    pub accuracy: f64,
}

/// A reliability diagram with a histogram of confidences below it, as SVG.
///
/// Per bin: a bar up to the accuracy, a hatched box from there to the mean confidence (the gap that ECE sums up, on
/// either side of the diagonal), and a whisker with the 95 % Wilson interval of the accuracy, so that a gap of three
/// examples is not taken for a finding. Bins without examples stay empty.
///
/// `ece` is a fraction, `rule` says how it was binned (`15 equal-width bins, (lo, hi]`).
pub fn reliability_diagram(title: &str, bins: &[ReliabilityBar], ece: f64, rule: &str) -> String {
    let bins: Vec<_> = bins.iter().filter(|bin| is_drawable(bin)).collect();
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let score = if ece.is_finite() {
        format!("ECE {ece:.3}")
    } else {
        "ECE n/a".to_owned()
    };
    let verdict = verdict(&bins, total);
    let mut drawing = Drawing::new(
        [WIDTH, HEIGHT],
        title,
        format!("Reliability diagram. {score} with {rule}. {verdict}"),
    );
    let examples = if total == 1 { "example" } else { "examples" };
    drawing.text("score", INSET, 37.0, Anchor::Start, score);
    drawing.text(
        "name",
        WIDTH - INSET,
        37.0,
        Anchor::End,
        format!("{total} {examples}"),
    );
    drawing.text(
        "name",
        INSET,
        54.0,
        Anchor::Start,
        fit(rule, WIDTH - 2.0 * INSET, 12.0),
    );
    drawing.text("name", INSET, PLOT.top - 11.0, Anchor::Start, "accuracy");

    let x = Scale::unit([PLOT.left, PLOT.right], 0.2);
    let y = Scale::unit([PLOT.bottom, PLOT.top], 0.2);
    draw_y_axis(&mut drawing, PLOT, &y);
    for bin in &bins {
        draw_bin(&mut drawing, bin, &x, &y);
    }
    drawing.path(
        "diagonal",
        segment([PLOT.left, PLOT.bottom], [PLOT.right, PLOT.top]),
    );
    drawing.path(
        "axis",
        segment([PLOT.left, PLOT.bottom], [PLOT.right, PLOT.bottom]),
    );
    for bin in &bins {
        draw_whisker(&mut drawing, bin, &x, &y);
    }
    draw_counts(&mut drawing, &bins, total, &x);
    draw_key(&mut drawing);
    drawing.to_svg()
}

fn is_drawable(bin: &ReliabilityBar) -> bool {
    let values = [bin.lower, bin.upper, bin.mean_confidence, bin.accuracy];
    bin.count > 0 && values.iter().all(|value| (0.0..=1.0).contains(value))
}

fn draw_bin(drawing: &mut Drawing, bin: &ReliabilityBar, x: &Scale, y: &Scale) {
    let [left, right] = sides(bin, x);
    let (accuracy, confidence) = (y.place(bin.accuracy), y.place(bin.mean_confidence));
    let bar = Area::of([left, accuracy], [right, PLOT.bottom]);
    drawing.path("bar", rectangle(bar));
    let gap = Area::of(
        [left, accuracy.min(confidence)],
        [right, accuracy.max(confidence)],
    );
    drawing.path("gap", rectangle(gap));
    drawing.path("hatch", hatch(gap));
    // On top and transparent, so that a pointer anywhere on the bin finds the words.
    let target = Area::of([left, gap.top.min(accuracy)], [right, bar.bottom]);
    drawing.path_with_tip("target", rectangle(target), describe(bin));
}

fn draw_whisker(drawing: &mut Drawing, bin: &ReliabilityBar, x: &Scale, y: &Scale) {
    let [left, right] = sides(bin, x);
    let middle = f64::midpoint(left, right);
    let [low, high] = wilson_interval(bin.accuracy, bin.count).map(|end| y.place(end));
    drawing.path("whisker", segment([middle, low], [middle, high]));
}

fn draw_counts(drawing: &mut Drawing, bins: &[&ReliabilityBar], total: u64, x: &Scale) {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1);
    drawing.text(
        "name",
        INSET,
        COUNTS.top - 12.0,
        Anchor::Start,
        "examples in the bin",
    );
    drawing.path(
        "grid",
        segment([COUNTS.left, COUNTS.top], [COUNTS.right, COUNTS.top]),
    );
    drawing.text(
        "tick",
        COUNTS.left - 7.0,
        COUNTS.top + 4.0,
        Anchor::End,
        compact(most),
    );
    drawing.text("tick", COUNTS.left - 7.0, COUNTS.bottom + 4.0, Anchor::End, "0");
    for bin in bins {
        let [left, right] = sides(bin, x);
        let top = COUNTS.bottom - bin.count as f64 / most as f64 * (COUNTS.bottom - COUNTS.top);
        let tip = format!("{} of {total} examples", bin.count);
        let bar = Area::of([left, top], [right, COUNTS.bottom]);
        drawing.path_with_tip("count", rectangle(bar), tip);
    }
    draw_x_axis(drawing, COUNTS, x, "confidence");
}

fn draw_key(drawing: &mut Drawing) {
    let y = HEIGHT - 9.0;
    let sample = |left: f64| Area::of([left, y - 9.0], [left + 14.0, y + 1.0]);
    drawing.path("bar", rectangle(sample(INSET)));
    drawing.text("key", INSET + 19.0, y, Anchor::Start, "accuracy");
    drawing.path("gap", rectangle(sample(82.0)));
    drawing.path("hatch", hatch(sample(82.0)));
    drawing.text("key", 101.0, y, Anchor::Start, "gap to confidence");
    drawing.path("whisker", segment([216.0, y - 10.0], [216.0, y + 2.0]));
    drawing.text("key", 223.0, y, Anchor::Start, "95 % interval");
}

/// Left and right side of the bars of a bin, with a hair of air between neighbours.
fn sides(bin: &ReliabilityBar, x: &Scale) -> [f64; 2] {
    let (left, right) = (x.place(bin.lower) + 0.5, x.place(bin.upper) - 0.5);
    let middle = f64::midpoint(left, right);
    let half = (right - left).max(NARROWEST) / 2.0;
    [middle - half, middle + half]
}

/// Slanted lines inside a box, clipped to it: a texture that needs no id in the document.
pub(super) fn hatch(area: Area) -> String {
    const APART: f64 = 5.0;
    let (width, height) = (area.right - area.left, area.bottom - area.top);
    // The line number k is x + y = k · APART, measured from the top left corner of the box.
    let count = whole((width + height) / APART);
    let lines = (1..=count).map(|index| index as f64 * APART).map(|sum| {
        let from = [area.left + (sum - height).max(0.0), area.top + sum.min(height)];
        let to = [area.left + sum.min(width), area.top + (sum - width).max(0.0)];
        segment(from, to)
    });
    lines.collect()
}

/// The interval in which the accuracy behind `accuracy` of `count` examples lies with 95 % confidence (Wilson 1927).
pub(super) fn wilson_interval(accuracy: f64, count: u64) -> [f64; 2] {
    let (n, z2) = (count as f64, NORMAL_95 * NORMAL_95);
    let middle = (accuracy + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = NORMAL_95 / (1.0 + z2 / n) * (accuracy * (1.0 - accuracy) / n + z2 / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

fn describe(bin: &ReliabilityBar) -> String {
    let [low, high] = wilson_interval(bin.accuracy, bin.count);
    format!(
        "Confidence {:.3} to {:.3}: {} examples, mean confidence {:.3}, accuracy {:.3} (95 % interval {low:.3} to {high:.3})",
        bin.lower, bin.upper, bin.count, bin.mean_confidence, bin.accuracy
    )
}

fn verdict(bins: &[&ReliabilityBar], total: u64) -> String {
    if total == 0 {
        return "No examples.".to_owned();
    }
    let mean = |value: fn(&ReliabilityBar) -> f64| {
        bins.iter().map(|bin| bin.count as f64 * value(bin)).sum::<f64>() / total as f64
    };
    let (confidence, accuracy) = (mean(|bin| bin.mean_confidence), mean(|bin| bin.accuracy));
    let relation = if confidence > accuracy { "above" } else { "below" };
    format!(
        "Over {total} examples the mean confidence {confidence:.3} is {relation} the accuracy {accuracy:.3}."
    )
}

/// A count in at most four characters.
fn compact(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_999 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}
