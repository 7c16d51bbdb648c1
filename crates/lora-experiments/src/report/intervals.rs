//! Pictures of intervals: each method against the reference over tasks, and on one task; and what a lower loss costs.

use lora_pipeline::error::Result;
use lora_report::{Figure, IntervalRow, interval_chart, scatter_chart};

use super::against::{ReferenceComparison, pooled};
use super::choice::{Method, of_method, varied};
use super::measure::{Measure, point_of};
use super::over_tasks::comparisons;
use super::results::Configuration;
use super::tables::TaskComparison;

const NAMES: [&str; 2] = ["as it is", "both with temperature"];
/// How to read the charts.
pub const HOW_TO_READ: &str = "Each method on each task: the change of its test loss against the reference's, in per cent. Left of zero is \
    better; an interval (95 %, over test rows and seeds) that crosses the line at zero is a tie.";
const CAPTION: &str = "Left of zero is better. Intervals: 95 %, over test rows and seeds.";
/// Points of a scatter chart whose labels can still be placed.
const MOST_POINTS: usize = 7;

fn axis(reference: &Method) -> String {
    format!("change of the loss against {}, %", reference.name())
}

/// A picture for each method: its change of the loss on each task, and the mean. The axes are the same. None for fewer than two
/// tasks.
pub fn over_tasks(judged: &[TaskComparison<'_>], methods: &[Method], reference: &Method) -> Vec<Figure> {
    if judged.len() < 2 {
        return Vec::new();
    }
    let charts: Vec<(&Method, Vec<IntervalRow>)> = methods
        .iter()
        .map(|method| (method, rows_of(judged, method)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let ends = charts
        .iter()
        .flat_map(|(_, rows)| rows)
        .flat_map(|row| row.estimates.iter().flatten().flat_map(|(_, ends)| *ends));
    let span = ends.fold([0.0_f64, 0.0], |[low, high], end| [low.min(end), high.max(end)]);
    let charts = charts.into_iter().map(|(method, rows)| {
        let svg = interval_chart(&method.name(), &axis(reference), &NAMES, &rows, Some(span));
        Figure::new(svg, "").named(format!("{} against {}", method.name(), reference.name()))
    });
    charts.collect()
}

fn rows_of(judged: &[TaskComparison<'_>], method: &Method) -> Vec<IntervalRow> {
    let both = [false, true].map(|is_scaled| comparisons(judged, method, is_scaled));
    let mut rows: Vec<IntervalRow> = judged
        .iter()
        .map(|judged| {
            let label = judged.task.short();
            let of = |found: &Vec<(String, &ReferenceComparison)>| {
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

/// All methods on one task.
pub fn on_task(judged: &TaskComparison<'_>, reference: &Method) -> Option<Figure> {
    let rows: Vec<IntervalRow> = judged
        .selected
        .iter()
        .zip(&judged.comparisons)
        .map(|(selected, both)| IntervalRow {
            label: selected.method.name(),
            estimates: both
                .iter()
                .map(|comparison| comparison.as_ref().map(ReferenceComparison::per_cent))
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

/// Loss against wall time of training, with every number of masks a step where that varies, and against that of predicting. Mean
/// passes and ensembles have pictures of their own where one has no room for all.
///
/// # Errors
///
/// If a score is not finite.
pub fn costs(judged: &TaskComparison<'_>) -> Result<Vec<Figure>> {
    let training = named_configurations(judged, true);
    let predicting = named_configurations(judged, false);
    if training.len() < 2 {
        return Ok(Vec::new());
    }
    let mut figures = Vec::new();
    if training.len() <= MOST_POINTS {
        figures.extend(cost(judged, &training, Measure::TrainingSeconds, "")?);
    } else {
        let (single, several): (Vec<_>, Vec<_>) = training
            .into_iter()
            .partition(|(_, configuration)| configuration.prediction.members() == 1);
        figures.extend(cost(
            judged,
            &single,
            Measure::TrainingSeconds,
            ", single passes",
        )?);
        figures.extend(cost(judged, &several, Measure::TrainingSeconds, ", ensembles")?);
    }
    if predicting.len() <= MOST_POINTS {
        figures.extend(cost(judged, &predicting, Measure::PredictingSeconds, "")?);
    }
    Ok(figures)
}

/// The chosen configuration of each method, with its name. If asked for, all of a method that varies in the masks a step alone.
fn named_configurations<'j, 'a>(
    judged: &'j TaskComparison<'a>,
    with_masks: bool,
) -> Vec<(String, &'j Configuration<'a>)> {
    let mut named = Vec::new();
    for selected in &judged.selected {
        let method = &selected.method;
        let kin = of_method(&judged.task, method);
        if with_masks && varied(&kin).iter().eq(["masks_per_step"]) {
            named.extend(kin.into_iter().map(|configuration| {
                let masks = configuration.setting("masks_per_step").unwrap_or_default();
                (format!("{}: {masks}", method.name()), configuration)
            }));
        } else {
            named.extend(
                selected
                    .configuration(false)
                    .map(|configuration| (method.name(), configuration)),
            );
        }
    }
    named
}

fn cost(
    judged: &TaskComparison<'_>,
    configurations: &[(String, &Configuration<'_>)],
    measure: Measure,
    which: &str,
) -> Result<Option<Figure>> {
    let (what, seconds) = if measure == Measure::TrainingSeconds {
        ("training", "training, s")
    } else {
        ("predicting", "predicting the test rows, s")
    };
    let loss = if judged.is_regression() { "MSE" } else { "NLL" };
    let mut points = Vec::new();
    for (name, configuration) in configurations {
        points.extend(point_of(name, configuration, [measure, Measure::Loss], false)?);
    }
    if points.len() < 2 {
        return Ok(None);
    }
    let title = format!("Loss against time of {what}{which}");
    let label = format!("{loss} (lower is better)");
    let svg = scatter_chart(&title, seconds, &label, &points, [0.0, 0.0]);
    let caption = "Down and to the left is better; crosses show one standard deviation over seeds.";
    Ok(Some(Figure::new(svg, caption).named(title)))
}
