//! The chart before markup: paths and texts in drawing order, in units of one viewBox.

use minijinja::value::Serde;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::templates::render;

/// How many series look different; the next one looks like the first again.
pub(super) const SERIES_LOOKS: usize = 6;

/// Space left free at both sides of a chart.
pub(super) const INSET: f64 = 2.0;

/// A chart. The origin is the top left corner, y grows downwards.
#[derive(Serialize)]
pub(super) struct Drawing {
    pub width: f64,
    pub height: f64,
    /// What the chart is, in a few words.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub description: String,
    pub shapes: Vec<Mark>,
}

/// One thing to draw. Classes are those of `chart.css`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Mark {
    /// SVG path data; the tip shows when a pointer rests on it.
    Path {
        class: String,
        data: String,
        tip: String,
    },
    /// A line of text; `y` is its base line.
    Text {
        class: String,
        x: f64,
        y: f64,
        anchor: Anchor,
        text: String,
    },
}

/// Which point of a text stands at its x.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle by its sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    /// By its left top and its right bottom corner.
    pub const fn of([left, top]: [f64; 2], [right, bottom]: [f64; 2]) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    /// A hair around an upright or level line.
    pub fn around_segment([from, to]: [[f64; 2]; 2]) -> Self {
        Self::of(
            [from[0].min(to[0]) - 1.0, from[1].min(to[1]) - 1.0],
            [from[0].max(to[0]) + 1.0, from[1].max(to[1]) + 1.0],
        )
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

impl Drawing {
    /// With its headline. A height that is not known yet is 0.
    pub fn new([width, height]: [f64; 2], title: &str, description: String) -> Self {
        let mut drawing = Self {
            width,
            height,
            title: title.to_owned(),
            description,
            shapes: Vec::new(),
        };
        drawing.headline();
        drawing
    }

    pub fn path(&mut self, class: impl Into<String>, data: String) {
        self.path_with_tip(class, data, String::new());
    }

    pub fn path_with_tip(&mut self, class: impl Into<String>, data: String, tip: String) {
        // A box too small for one line of hatching has none.
        if !data.is_empty() {
            self.shapes.push(Mark::Path {
                class: class.into(),
                data,
                tip,
            });
        }
    }

    pub fn text(&mut self, class: &str, x: f64, y: f64, anchor: Anchor, text: impl Into<String>) {
        self.shapes.push(Mark::Text {
            class: class.into(),
            x: tenths(x),
            y: tenths(y),
            anchor,
            text: text.into(),
        });
    }

    /// The title inside the chart, cut to its width.
    fn headline(&mut self) {
        let title = fit(&self.title, self.width - 2.0 * INSET, 14.0);
        self.text("title", INSET, 18.0, Anchor::Start, title);
    }

    /// The picture where there is nothing to draw, which says so below `y`.
    pub fn of_nothing(mut self, y: f64, what: &str) -> String {
        let reason = format!("nothing to draw: no finite {what}");
        self.text("name", self.width / 2.0, y, Anchor::Middle, &reason);
        self.height = y + 20.0;
        self.to_svg()
    }

    pub fn to_svg(&self) -> String {
        render("chart.svg", Serde(self).into())
    }
}

/// Path data of a closed rectangle.
pub(super) fn rectangle(area: Area) -> String {
    let [left, top, right, bottom] = [area.left, area.top, area.right, area.bottom].map(tenths);
    format!("M{left} {top}H{right}V{bottom}H{left}Z")
}

/// Path data of one straight line.
pub(super) fn segment(from: [f64; 2], to: [f64; 2]) -> String {
    polyline(&[from, to])
}

/// Path data of the marker of a series: circle, square, triangle, diamond, triangle downwards, cross.
pub(super) fn marker(series: usize, [x, y]: [f64; 2], radius: f64) -> String {
    let (x, y, r) = (tenths(x), tenths(y), radius);
    match series % SERIES_LOOKS {
        0 => format!(
            "M{} {y}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 {} 0Z",
            tenths(x - r),
            2.0 * r,
            -2.0 * r
        ),
        1 => {
            let r = tenths(r * 0.9);
            format!(
                "M{} {}h{}v{}h{}Z",
                tenths(x - r),
                tenths(y - r),
                2.0 * r,
                2.0 * r,
                -2.0 * r
            )
        }
        2 => polygon(&[
            [x, y - 1.2 * r],
            [x + 1.1 * r, y + 0.8 * r],
            [x - 1.1 * r, y + 0.8 * r],
        ]),
        3 => polygon(&[
            [x, y - 1.25 * r],
            [x + 1.25 * r, y],
            [x, y + 1.25 * r],
            [x - 1.25 * r, y],
        ]),
        4 => polygon(&[
            [x, y + 1.2 * r],
            [x + 1.1 * r, y - 0.8 * r],
            [x - 1.1 * r, y - 0.8 * r],
        ]),
        _ => {
            let (long, short) = (1.2 * r, 0.4 * r);
            polygon(&[
                [x - short, y - long],
                [x + short, y - long],
                [x + short, y - short],
                [x + long, y - short],
                [x + long, y + short],
                [x + short, y + short],
                [x + short, y + long],
                [x - short, y + long],
                [x - short, y + short],
                [x - long, y + short],
                [x - long, y - short],
                [x - short, y - short],
            ])
        }
    }
}

/// Path data through points.
pub(super) fn polyline(points: &[[f64; 2]]) -> String {
    let words = points.iter().enumerate().map(|(index, [x, y])| {
        let command = if index == 0 { "M" } else { "L" };
        format!("{command}{} {}", tenths(*x), tenths(*y))
    });
    words.collect()
}

fn polygon(points: &[[f64; 2]]) -> String {
    polyline(points) + "Z"
}

/// The class that gives the look of a series.
pub(super) fn series_class(series: usize) -> String {
    format!("series-{}", series % SERIES_LOOKS + 1)
}

/// Rough width of a text: a chart is drawn before its font is known, so this errs on the wide side.
pub(super) fn text_width(text: &str, font_size: f64) -> f64 {
    0.56 * font_size * text.width() as f64
}

/// The text, cut with an ellipsis where it would be wider than `width`.
pub(super) fn fit(text: &str, width: f64, font_size: f64) -> String {
    if text_width(text, font_size) <= width {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while kept.pop().is_some() && text_width(&kept, font_size) + 0.8 * font_size > width {}
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

/// Tenths of a unit: finer is not seen, and the file stays small.
pub(super) fn tenths(value: f64) -> f64 {
    let rounded = (value * 10.0).round() / 10.0;
    if rounded == 0.0 { 0.0 } else { rounded }
}
