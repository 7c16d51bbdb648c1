//! The pictures of a task: reliability, accuracy against calibration, risk against coverage, losses of the trainings.

use lora_eval::calibration::{Binning, ReliabilityTable};
use lora_eval::pareto;
use lora_eval::rank_table::Direction;
use lora_pipeline::error::Result;
use lora_pipeline::score::reliability_bars::reliability_bars;
use lora_report::{Figure, ScatterPoint, Series, line_chart, reliability_diagram, scatter_chart};

use super::choice::{Method, SelectedConfiguration};
use super::measure::{Measure, point_of, risk_coverage};
use super::results::{Configuration, Trainings};
use super::tables::{ECE_RULE, TaskComparison};
use crate::sweep::inference_method::InferenceMethod;
use crate::sweep::record::TrainingRecord;

/// Lines of a chart that can be told apart.
pub const MOST_LINES: usize = 6;
/// Methods with reliability diagrams, two for each.
const MOST_DIAGRAMS: usize = 4;
/// Axes of accuracy and calibration error span at least this: one test row is no mountain.
const LEAST_SPAN: [f64; 2] = [0.05, 0.05];
/// Coverages at which the risk curves are drawn.
const COVERAGES: usize = 20;

/// Contenders worth a picture: the reference, then those with the smallest loss on validation rows.
pub fn pictured<'j, 'a>(
    judged: &'j TaskComparison<'a>,
    reference: &Method,
    is_scaled: bool,
) -> Vec<&'j SelectedConfiguration<'a>> {
    let loss = |selected: &SelectedConfiguration<'_>| {
        let configuration = selected.configuration(is_scaled)?;
        Measure::ValidationLoss.mean(configuration, is_scaled)
    };
    let mut others: Vec<(f64, &SelectedConfiguration<'a>)> = judged
        .selected
        .iter()
        .filter(|selected| selected.method != *reference)
        .filter_map(|selected| Some((loss(selected)?, selected)))
        .collect();
    others.sort_by(|left, right| left.0.total_cmp(&right.0));
    let first = judged.find(reference).map(|(selected, _)| selected);
    let others = others.into_iter().map(|(_, selected)| selected);
    first.into_iter().chain(others).take(MOST_LINES).collect()
}

/// Reliability diagrams of the pictured selected configurations, each without and with temperature, all seeds together; the error beside them is the
/// mean over seeds.
///
/// # Errors
///
/// If a confidence is none.
pub fn reliability(judged: &TaskComparison<'_>, reference: &Method) -> Result<Vec<Figure>> {
    let selected = pictured(judged, reference, false).into_iter().take(MOST_DIAGRAMS);
    let both = selected.flat_map(|selected| [(selected, false), (selected, true)]);
    both.filter_map(|(selected, is_scaled)| reliability_of(selected, is_scaled).transpose())
        .collect()
}

/// The reliability diagram of one selected configuration, all seeds together; none for a regression, or without a temperature where there is none.
///
/// # Errors
///
/// If a confidence is none.
pub fn reliability_of(selected: &SelectedConfiguration<'_>, is_scaled: bool) -> Result<Option<Figure>> {
    let Some(configuration) = selected.configuration(is_scaled) else {
        return Ok(None);
    };
    let mut table = ReliabilityTable::new(Binning::default())?;
    for rows in configuration
        .results()
        .filter_map(|result| result.test_rows.get(is_scaled))
    {
        for (confidence, is_correct) in rows.confidences() {
            table.update(confidence, is_correct)?;
        }
    }
    if table.count() == 0 {
        return Ok(None);
    }
    let with = if is_scaled { ", with T" } else { "" };
    let name = format!("{}{with}", selected.method.name());
    // The bars are of all seeds together; their ECE would let errors of seeds cancel.
    let ece = Measure::Ece
        .mean(configuration, is_scaled)
        .map_or_else(|| table.ece(), Ok)?;
    let svg = reliability_diagram(&name, &reliability_bars(&table.bins()), ece, ECE_RULE);
    Ok(Some(Figure::new(svg, "").named(format!("reliability of {name}"))))
}

/// Accuracy against calibration error, with the Pareto front.
///
/// # Errors
///
/// If a score is not finite.
pub fn accuracy_against_ece(judged: &TaskComparison<'_>, is_scaled: bool) -> Result<Option<Figure>> {
    let mut points = Vec::new();
    for selected in &judged.selected {
        let Some(configuration) = selected.configuration(is_scaled) else {
            continue;
        };
        let (name, measures) = (selected.method.name(), [Measure::Ece, Measure::Accuracy]);
        points.extend(point_of(&name, configuration, measures, is_scaled)?);
    }
    if points.is_empty() {
        return Ok(None);
    }
    let places: Vec<[f64; 2]> = points.iter().map(|point| point.position).collect();
    let front = pareto::front(&places, [Direction::Minimize, Direction::Maximize]);
    let points: Vec<ScatterPoint> = points
        .into_iter()
        .zip(front)
        .map(|(point, is_on)| point.on_front(is_on))
        .collect();
    let title = if is_scaled {
        "With temperature"
    } else {
        "Without temperature"
    };
    let svg = scatter_chart(
        title,
        "ECE (lower is better)",
        "accuracy (higher is better)",
        &points,
        LEAST_SPAN,
    );
    let caption = "Up and to the left is better; crosses show one standard deviation over seeds; the dotted line joins methods that no \
                   other beats in both.";
    let name = format!("accuracy against calibration error, {}", title.to_lowercase());
    Ok(Some(Figure::new(svg, caption).named(name)))
}

/// Share of wrong answers among those that are accepted, over the share that is accepted; mean over seeds.
pub fn risk_curves(judged: &TaskComparison<'_>, reference: &Method) -> Option<Figure> {
    let curve = |selected: &SelectedConfiguration<'_>| {
        let configuration = selected.configuration(false)?;
        let of_seeds = configuration.results();
        let curves: Vec<_> = of_seeds
            .map(|result| risk_coverage(&result.test_rows.plain))
            .collect::<Option<_>>()?;
        let point = |step: usize| {
            let coverage = step as f64 / COVERAGES as f64;
            let risks = curves.iter().map(|curve| curve.risk_at(coverage).ok());
            let risks: Vec<f64> = risks.collect::<Option<_>>()?;
            Some([coverage, risks.iter().sum::<f64>() / risks.len() as f64])
        };
        let points: Option<Vec<[f64; 2]>> = (1..=COVERAGES).map(point).collect();
        Some(Series::new(selected.method.name(), points?))
    };
    let series: Vec<Series> = pictured(judged, reference, false)
        .into_iter()
        .filter_map(curve)
        .collect();
    if series.is_empty() {
        return None;
    }
    let svg = line_chart(
        "Risk and coverage",
        "share of test rows answered",
        "share of wrong answers",
        &series,
    );
    let caption = "The rows with the highest confidence are answered first. Lower is better. Mean over seeds, without temperature.";
    Some(Figure::new(svg, caption).named("risk and coverage"))
}

/// Objective and validation loss over steps, mean over seeds, for the mean passes.
pub fn losses(judged: &TaskComparison<'_>, trainings: &Trainings) -> Vec<Figure> {
    let of = |title: &str, label: &str, caption: &str, part: fn(&TrainingRecord) -> &Vec<[f64; 2]>| {
        let series: Vec<Series> = judged
            .selected
            .iter()
            .filter_map(|selected| selected.configuration(false))
            .filter(|configuration| *configuration.prediction == InferenceMethod::Mean)
            .take(MOST_LINES)
            .filter_map(|configuration| {
                Some(Series::new(
                    configuration.method,
                    mean_curve(configuration, trainings, part)?,
                ))
            })
            .collect();
        (!series.is_empty())
            .then(|| Figure::new(line_chart(title, "step", label, &series), caption).named(title))
    };
    let caption = "Mean over seeds; under masks, the loss of the masked passes.";
    let training = of("Training loss", "objective", caption, |training| &training.losses);
    let (label, caption) = ("loss of the mean pass", "Mean over seeds.");
    let validation = of("Validation loss", label, caption, |training| {
        &training.evaluations
    });
    training.into_iter().chain(validation).collect()
}

fn mean_curve(
    configuration: &Configuration<'_>,
    trainings: &Trainings,
    part: fn(&TrainingRecord) -> &Vec<[f64; 2]>,
) -> Option<Vec<[f64; 2]>> {
    let curves: Vec<&Vec<[f64; 2]>> = configuration
        .trials
        .iter()
        .map(|(trial, _)| Some(part(trainings.get(trial.trainings.first()?)?)))
        .collect::<Option<_>>()?;
    // A training that ended early ends the mean.
    let points = curves
        .iter()
        .map(|curve| curve.len())
        .min()
        .filter(|points| *points > 0)?;
    let mean = |place: usize| {
        let sum: f64 = curves.iter().map(|curve| curve[place][1]).sum();
        [curves[0][place][0], sum / curves.len() as f64]
    };
    Some((0..points).map(mean).collect())
}
