//! Pictures of intervals: each method against the reference over tasks, and on one task; and what a lower loss costs.

use anyhow::Result;
use lora_eval::MeanStd;
use lora_eval::report::{Figure, IntervalRow, ScatterPoint, interval_chart, scatter_chart};

use super::against::{Comparison, pooled};
use super::choice::{Family, varied};
use super::measure::Measure;
use super::over_tasks::comparisons;
use super::results::Variant;
use super::tables::Judged;

const NAMES: [&str; 2] = ["as it is", "both with temperature"];
/// How to read the charts.
pub const HOW_TO_READ: &str = "Each method on each task: the change of its test loss against the reference's, in per cent. Left of zero is \
    better; an interval (95 %, over test rows and seeds) that crosses the line at zero is a tie.";
const CAPTION: &str = "Left of zero is better. Intervals: 95 %, over test rows and seeds.";
/// Points of a scatter chart whose labels can still be placed.
const MOST_POINTS: usize = 14;

fn axis(reference: &Family) -> String {
    format!("change of the loss against {}, %", reference.name())
}

/// A picture for each family: its change of the loss on each task, and the mean. The axes are the same. None for fewer than two
/// studies.
pub fn over_tasks(judged: &[Judged<'_>], families: &[Family], reference: &Family) -> Vec<Figure> {
    if judged.len() < 2 {
        return Vec::new();
    }
    let charts: Vec<(&Family, Vec<IntervalRow>)> = families
        .iter()
        .map(|family| (family, rows_of(judged, family)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let ends = charts
        .iter()
        .flat_map(|(_, rows)| rows)
        .flat_map(|row| row.estimates.iter().flatten().flat_map(|(_, ends)| *ends));
    let span = ends.fold([0.0_f64, 0.0], |[low, high], end| [low.min(end), high.max(end)]);
    let charts = charts.into_iter().map(|(family, rows)| {
        let svg = interval_chart(&family.name(), &axis(reference), &NAMES, &rows, Some(span));
        Figure::new(svg, "").named(format!("{} against {}", family.name(), reference.name()))
    });
    charts.collect()
}

fn rows_of(judged: &[Judged<'_>], family: &Family) -> Vec<IntervalRow> {
    let both = [false, true].map(|is_scaled| comparisons(judged, family, is_scaled));
    let mut rows: Vec<IntervalRow> = judged
        .iter()
        .map(|judged| {
            let label = judged.study.short();
            let of = |found: &Vec<(String, &Comparison)>| {
                let here = found.iter().find(|(name, _)| *name == label)?;
                Some(here.1.per_cent())
            };
            IntervalRow {
                estimates: both.iter().map(of).collect(),
                label,
                is_total: false,
            }
        })
        .filter(|row| row.estimates.iter().any(Option::is_some))
        .collect();
    if rows.len() > 1 {
        rows.push(IntervalRow {
            label: "mean".to_owned(),
            estimates: both
                .iter()
                .map(|found| pooled(found.iter().map(|(_, comparison)| *comparison)))
                .collect(),
            is_total: true,
        });
    }
    rows
}

/// All families on one task.
pub fn on_task(judged: &Judged<'_>, reference: &Family) -> Option<Figure> {
    let rows: Vec<IntervalRow> = judged
        .contenders
        .iter()
        .zip(&judged.comparisons)
        .map(|(contender, both)| IntervalRow {
            label: contender.family.name(),
            estimates: both
                .iter()
                .map(|comparison| comparison.as_ref().map(Comparison::per_cent))
                .collect(),
            is_total: false,
        })
        .filter(|row| row.estimates.iter().any(Option::is_some))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let names = if judged.is_regression() {
        &NAMES[..1]
    } else {
        &NAMES[..]
    };
    let title = format!("Against {}", reference.name());
    let svg = interval_chart(&title, &axis(reference), names, &rows, None);
    Some(Figure::new(svg, CAPTION).named(title))
}

/// Loss against wall time of training and of predicting: the chosen settings of each family, and every number of masks a step
/// where that varies.
///
/// # Errors
///
/// If a score is not finite.
pub fn costs(judged: &Judged<'_>) -> Result<Vec<Figure>> {
    let mut variants: Vec<(String, &Variant<'_>)> = Vec::new();
    for contender in &judged.contenders {
        let family = &contender.family;
        let kin: Vec<Variant<'_>> = judged
            .study
            .variants
            .iter()
            .filter(|variant| Family::of(variant) == *family)
            .cloned()
            .collect();
        if varied(&kin).iter().eq(["masks_per_step"]) {
            let all = judged.study.variants.iter();
            variants.extend(
                all.filter(|variant| Family::of(variant) == *family)
                    .map(|variant| {
                        let masks = variant.settings.get("masks_per_step");
                        let masks = masks.map(ToString::to_string).unwrap_or_default();
                        (format!("{}: {masks}", family.name()), variant)
                    }),
            );
        } else if let Some(variant) = contender.variant(false) {
            variants.push((family.name(), variant));
        }
    }
    if variants.len() < 2 || variants.len() > MOST_POINTS {
        return Ok(Vec::new());
    }
    let loss = if judged.is_regression() { "MSE" } else { "NLL" };
    let mut figures = Vec::new();
    for (measure, title, seconds) in [
        (
            Measure::TrainingSeconds,
            "Loss against time of training",
            "training, s",
        ),
        (
            Measure::PredictingSeconds,
            "Loss against time of predicting",
            "predicting the test rows, s",
        ),
    ] {
        let mut points = Vec::new();
        for (name, variant) in &variants {
            let of = |measure: Measure| -> Result<Option<MeanStd>> {
                let values = measure.over_seeds(variant, false);
                Ok(values.map(|values| MeanStd::of(&values)).transpose()?)
            };
            if let (Some(time), Some(loss)) = (of(measure)?, of(Measure::Loss)?) {
                let point = ScatterPoint::new(name, [time.mean, loss.mean]);
                points.push(match (time.std, loss.std) {
                    (Some(x), Some(y)) => point.with_spread([x, y]),
                    _ => point,
                });
            }
        }
        let label = format!("{loss} (lower is better)");
        let svg = scatter_chart(title, seconds, &label, &points, [0.0, 0.0]);
        let caption = "Down and to the left is better; crosses show one standard deviation over seeds.";
        figures.push(Figure::new(svg, caption).named(title));
    }
    Ok(figures)
}
