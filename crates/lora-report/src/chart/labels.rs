//! Where the labels of points go, so that they cover neither points nor each other.

use super::drawing::{Anchor, Area, fit, text_width};

/// A label and the area it covers.
pub(super) struct Label {
    pub text: String,
    pub area: Area,
    /// At which side of the area the text begins: the width of the text is only an estimate.
    pub anchor: Anchor,
}

/// How far the letters of a label reach above and below its base line, as parts of the font size.
const ABOVE_BASE: f64 = 0.8;
const BELOW_BASE: f64 = 0.25;

impl Label {
    /// Where the text stands: x of its anchor, y of its base line.
    pub fn place(&self, font_size: f64) -> [f64; 2] {
        let x = match self.anchor {
            Anchor::Start => self.area.left,
            Anchor::Middle => f64::midpoint(self.area.left, self.area.right),
            Anchor::End => self.area.right,
        };
        [x, self.area.bottom - BELOW_BASE * font_size]
    }
}

/// Places each label right of its point, left of it, above or below, a little further away if need be: where it
/// covers least. A point or another label counts for more than one of the `lines`, which stay readable behind a
/// label; outside of `room` counts most. Labels are placed in the order of the points.
pub(super) fn place_labels(
    points: &[(&str, [f64; 2])],
    lines: &[Area],
    room: Area,
    radius: f64,
    font_size: f64,
) -> Vec<Label> {
    let around = |[x, y]: [f64; 2]| Area::of([x - radius, y - radius], [x + radius, y + radius]);
    let mut taken: Vec<Area> = points.iter().map(|(_, place)| around(*place)).collect();
    let mut labels = Vec::new();
    for (text, place) in points {
        let text = fit(text, 0.6 * (room.right - room.left), font_size);
        let size = [text_width(&text, font_size), font_size];
        let cost = |candidate: &Candidate| {
            let covered = |areas: &[Area]| {
                areas
                    .iter()
                    .filter(|other| other.overlaps(&candidate.area))
                    .count() as f64
            };
            let outside = if room.contains(&candidate.area) {
                0.0
            } else {
                100.0
            };
            outside + 10.0 * covered(&taken) + covered(lines) + candidate.away
        };
        let candidates = candidates(*place, size, radius);
        let Some(best) = candidates.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))) else {
            continue;
        };
        taken.push(best.area);
        labels.push(Label {
            text,
            area: best.area,
            anchor: best.anchor,
        });
    }
    labels
}

/// A possible place of a label.
struct Candidate {
    area: Area,
    anchor: Anchor,
    /// How far from its point, 0 for beside it.
    away: f64,
}

/// Places around a point in the order of preference. `size` is the width of the label and its font size.
fn candidates([x, y]: [f64; 2], [width, font_size]: [f64; 2], radius: f64) -> Vec<Candidate> {
    let candidate = |dx: f64, dy: f64, anchor: Anchor, away: f64| {
        let left = x + dx
            - match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
        let height = (ABOVE_BASE + BELOW_BASE) * font_size;
        let top = y + dy - height / 2.0;
        Candidate {
            area: Area::of([left, top], [left + width, top + height]),
            anchor,
            away,
        }
    };
    let beside = radius + 5.0;
    let rings = (0..4).map(f64::from).flat_map(|ring| {
        let distance = 0.9 * font_size * ring;
        let above = radius + 0.8 * font_size + distance;
        [
            candidate(beside, -distance, Anchor::Start, ring),
            candidate(beside, distance, Anchor::Start, ring),
            candidate(-beside, -distance, Anchor::End, ring),
            candidate(-beside, distance, Anchor::End, ring),
            candidate(0.0, -above, Anchor::Middle, ring + 0.5),
            candidate(0.0, above, Anchor::Middle, ring + 0.5),
        ]
    });
    rings.collect()
}
