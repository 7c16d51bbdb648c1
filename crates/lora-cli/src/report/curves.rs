//! How scores follow a setting: p, N, rank, or whatever a grid varies by numbers.

use std::collections::BTreeSet;

use lora_eval::report::{Figure, Series, line_chart};

use super::choice::{Family, choose, varied};
use super::figures::MOST_LINES;
use super::measure::Measure;
use super::results::Variant;
use super::tables::Judged;

/// The name under which the members of an ensemble are an axis.
const MEMBERS: &str = "members";

/// How to read the charts.
pub const HOW_TO_READ: &str = "How scores on test rows follow a setting, without temperature: the mean over seeds, with a band of one \
    standard deviation. Other settings are chosen by the validation loss at each point.";

/// For every setting with several values a chart each of loss, calibration error and score on test rows.
pub fn of_study(judged: &Judged<'_>) -> Vec<Vec<Figure>> {
    let mut groups = Vec::new();
    for axis in axes(&judged.study.variants) {
        let mut figures = Vec::new();
        let measures = if judged.is_regression() {
            vec![(Measure::Loss, "MSE"), (Measure::Metric, "score")]
        } else {
            vec![
                (Measure::Loss, "NLL"),
                (Measure::Ece, "ECE"),
                (Measure::Metric, "score of the task"),
            ]
        };
        for (measure, label) in measures {
            let series = lines(judged, &axis, measure);
            if series.is_empty() {
                continue;
            }
            let title = format!("{label} over {}", words(&axis));
            let svg = line_chart(&title, &words(&axis), label, &series);
            figures.push(Figure::new(svg, ""));
        }
        groups.push(figures);
    }
    groups
}

fn words(axis: &str) -> String {
    match axis {
        MEMBERS => "N, members".to_owned(),
        "mask_probability" => "p of the masks".to_owned(),
        "r" => "rank r".to_owned(),
        other => other.to_owned(),
    }
}

/// Numeric settings with several values inside of a family, and the number of members.
fn axes(variants: &[Variant<'_>]) -> Vec<String> {
    let mut axes = BTreeSet::new();
    let families: Vec<Family> = distinct(variants.iter().map(Family::of));
    for family in families {
        let kin: Vec<Variant<'_>> = of_family(variants, &family);
        for key in varied(&kin) {
            if values(&kin, &key).len() > 1 {
                axes.insert(key);
            }
        }
        if values(&kin, MEMBERS).len() > 1 {
            axes.insert(MEMBERS.to_owned());
        }
    }
    axes.into_iter().collect()
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

fn of_family<'a>(variants: &[Variant<'a>], family: &Family) -> Vec<Variant<'a>> {
    variants
        .iter()
        .filter(|variant| Family::of(variant) == *family)
        .cloned()
        .collect()
}

fn value(variant: &Variant<'_>, axis: &str) -> Option<f64> {
    if axis == MEMBERS {
        return Some(variant.prediction.members() as f64);
    }
    variant.settings.get(axis)?.as_f64()
}

fn values(variants: &[Variant<'_>], axis: &str) -> Vec<f64> {
    let mut values = distinct(variants.iter().filter_map(|variant| value(variant, axis)));
    values.sort_by(f64::total_cmp);
    values
}

/// A line for each family that varies along the axis; where it varies in one other setting too, a line for each of its values.
fn lines(judged: &Judged<'_>, axis: &str, measure: Measure) -> Vec<Series> {
    let variants = &judged.study.variants;
    let mut lines = Vec::new();
    for family in distinct(variants.iter().map(Family::of)) {
        let kin = of_family(variants, &family);
        if values(&kin, axis).len() < 2 {
            continue;
        }
        for (name, kin) in split(&family, kin, axis) {
            lines.extend(line(&name, &kin, axis, measure));
        }
    }
    lines.truncate(MOST_LINES);
    lines
}

fn split<'a>(family: &Family, kin: Vec<Variant<'a>>, axis: &str) -> Vec<(String, Vec<Variant<'a>>)> {
    let others: Vec<String> = varied(&kin)
        .into_iter()
        .chain([MEMBERS.to_owned()])
        .filter(|key| key != axis && values(&kin, key).len() > 1)
        .collect();
    let [other] = &others[..] else {
        return vec![(family.name(), kin)];
    };
    let parts = values(&kin, other).into_iter().map(|at| {
        let part = kin.iter().filter(|variant| value(variant, other) == Some(at));
        (
            format!("{}, {other} {at}", family.name()),
            part.cloned().collect(),
        )
    });
    parts.collect()
}

fn line(name: &str, kin: &[Variant<'_>], axis: &str, measure: Measure) -> Option<Series> {
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for at in values(kin, axis) {
        let candidates: Vec<&Variant<'_>> = kin
            .iter()
            .filter(|variant| value(variant, axis) == Some(at))
            .collect();
        let Some(scores) = choose(&candidates, false).and_then(|variant| measure.over_seeds(variant, false))
        else {
            continue;
        };
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let squares = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
        let std = (squares / (scores.len().max(2) - 1) as f64).sqrt();
        points.push([at, mean]);
        band.push([mean - std, mean + std]);
    }
    (points.len() > 1).then(|| Series::new(name, points).with_band(band))
}
