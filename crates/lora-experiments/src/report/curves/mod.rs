//! How scores follow a setting: the paper's four variants over p, the members of an ensemble, rank, and whatever else a grid
//! varies by numbers.
//!
//! | file | holds |
//! |---|---|
//! | `masks` | Drop, `Drop_train`, `Drop_test` and `NoDrop` over p |
//! | `members` | N: how many members, and what is averaged |
//! | `numbers` | every other numeric setting |
//! | `epochs` | loss by epoch |
//! | `bound` | the measured gap over p, and the paper's bound beside it |

pub mod bound;
pub mod epochs;
mod masks;
mod members;
mod numbers;

use itertools::Itertools as _;
use lora_eval::Average;
use lora_pipeline::error::Result;
use lora_report::{Better, Block, Cell, Column, Figure, Series, Table, setting_chart};

use super::choice::{Method, choose};
use super::measure::{Measure, metric_name};
use super::results::Configuration;
use super::tables::{TaskComparison, over_seeds};
use crate::sweep::inference_method::InferenceMethod;

/// How to read the charts.
const HOW_TO_READ: &str = "Test rows, without temperature. Whiskers: where the mean over endlessly many seeds lies with 95 % confidence, \
    by Student's t, so wide with few seeds. Settings that are not shown are chosen by the validation loss at each point.";

/// Lines over the values of one setting.
struct Curve<'a> {
    /// What it answers.
    title: String,
    /// The setting.
    axis: &'static str,
    lines: Vec<Line<'a>>,
}

/// A configuration for each value of the setting.
struct Line<'a> {
    name: String,
    points: Vec<(f64, Configuration<'a>)>,
    /// Whether the setting does not concern it: the same configuration at each value.
    is_level: bool,
}

impl<'a> Line<'a> {
    /// With the configuration that validation rows choose at each value; none with fewer than two values.
    fn of(
        name: impl Into<String>,
        candidates: &[&Configuration<'a>],
        value: impl Fn(&Configuration<'a>) -> Option<f64>,
    ) -> Option<Self> {
        let points: Vec<(f64, Configuration<'a>)> = values(candidates, &value)
            .into_iter()
            .filter_map(|at| {
                let here = kept(candidates.iter().copied(), |configuration| {
                    value(configuration) == Some(at)
                });
                Some((at, choose(&here, false)?.clone()))
            })
            .collect();
        (points.len() > 1).then(|| Self {
            name: name.into(),
            points,
            is_level: false,
        })
    }

    /// Over the members of their predictions.
    fn over_members(name: impl Into<String>, candidates: &[&Configuration<'a>]) -> Option<Self> {
        Self::of(name, candidates, |configuration| Some(members(configuration)))
    }

    /// The same configuration at all values.
    fn level(name: impl Into<String>, configuration: &Configuration<'a>, values: &[f64]) -> Self {
        Self {
            name: name.into(),
            points: values.iter().map(|at| (*at, configuration.clone())).collect(),
            is_level: true,
        }
    }

    /// Mean and interval of a measure at each value; none where a seed lacks it.
    fn series(&self, measure: Measure) -> Result<Option<Series>> {
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for (place, (at, configuration)) in self.points.iter().enumerate() {
            let Some(of) = measure.mean_std(configuration, false)? else {
                continue;
            };
            points.push([*at, of.mean]);
            // Two seeds say next to nothing: their interval would fill the picture. One whisker is enough for a level.
            let is_shown = of.n > 2 && !(self.is_level && place > 0);
            let interval = of.interval().filter(|_| is_shown);
            // Neither a loss nor a calibration error is below zero.
            let is_positive = matches!(measure, Measure::Loss | Measure::Ece);
            let interval = interval.map(|[low, high]| [if is_positive { low.max(0.0) } else { low }, high]);
            band.push(interval.unwrap_or([of.mean, of.mean]));
        }
        Ok((!points.is_empty()).then(|| Series::new(&self.name, points).with_band(band)))
    }
}

/// Pictures and numbers of all curves of a task.
///
/// # Errors
///
/// If a score is not finite.
pub fn of_study(judged: &TaskComparison<'_>, reference: &Method) -> Result<Vec<Block>> {
    let curves: Vec<Curve<'_>> = masks::curves(judged, reference)
        .into_iter()
        .chain(members::curves(judged, reference))
        .chain(numbers::curves(judged))
        .collect();
    let mut blocks = Vec::new();
    for curve in curves {
        let figures = curve.figures(judged)?;
        if figures.is_empty() {
            continue;
        }
        let is_first = blocks.is_empty();
        blocks.push(Block::Heading(curve.title.clone()));
        if is_first {
            blocks.push(Block::Text(HOW_TO_READ.to_owned()));
        }
        blocks.push(Block::Figures(figures));
        blocks.push(Block::Details {
            summary: format!("The numbers: {}", curve.title),
            blocks: vec![Block::Table(curve.table(judged)?)],
        });
    }
    Ok(blocks)
}

impl Curve<'_> {
    fn measures(judged: &TaskComparison<'_>) -> Vec<(Measure, &'static str)> {
        let score = judged.metric().map_or("score", metric_name);
        if judged.is_regression() {
            return vec![(Measure::Loss, "MSE"), (Measure::Metric, score)];
        }
        vec![
            (Measure::Loss, "NLL"),
            (Measure::Ece, "ECE"),
            (Measure::Metric, score),
        ]
    }

    fn figures(&self, judged: &TaskComparison<'_>) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for (measure, label) in Self::measures(judged) {
            let series = self
                .lines
                .iter()
                .filter_map(|line| line.series(measure).transpose())
                .collect::<Result<Vec<_>>>()?;
            if !series.is_empty() {
                let title = format!("{label} over {}", self.axis);
                let svg = setting_chart(&title, self.axis, label, &series);
                figures.push(Figure::new(svg, "").named(format!("{}, {label}", self.title)));
            }
        }
        Ok(figures)
    }

    fn table(&self, judged: &TaskComparison<'_>) -> Result<Table> {
        let measures = Self::measures(judged);
        let scores = measures.iter().map(|(measure, label)| {
            let better = if *measure == Measure::Metric {
                Better::Higher
            } else {
                Better::Lower
            };
            Column::new(*label, better, 3)
        });
        let costs = [
            Column::new("training", Better::None, 1).with_unit("s"),
            Column::new("predicting", Better::None, 2).with_unit("s"),
        ];
        let points = self.lines.iter().flat_map(|line| &line.points);
        // As many as the values were written with.
        let decimals = points
            .filter_map(|(at, _)| at.to_string().split_once('.').map(|(_, digits)| digits.len()))
            .max()
            .unwrap_or(0);
        let columns = std::iter::once(Column::new(self.axis, Better::None, decimals))
            .chain(scores)
            .chain(costs);
        let seeds = judged.seeds();
        let mut table = Table::new(&self.title, "line", columns.collect())
            .with_note(format!("{}.", over_seeds(seeds)))
            .without_marks();
        for line in &self.lines {
            let points = if line.is_level {
                &line.points[..1]
            } else {
                &line.points[..]
            };
            for (at, configuration) in points {
                let at = if line.is_level {
                    Cell::Empty
                } else {
                    Cell::value(*at)
                };
                let costs = [Measure::TrainingSeconds, Measure::PredictingSeconds];
                let cells = measures.iter().map(|(measure, _)| *measure).chain(costs);
                let cells: Vec<Cell> = cells
                    .map(|measure| measure.cell(configuration, false))
                    .collect::<Result<_>>()?;
                table.push(&line.name, std::iter::once(at).chain(cells).collect());
            }
        }
        Ok(table)
    }
}

/// The values of a setting among configurations, rising.
fn values<'a>(
    configurations: &[&Configuration<'a>],
    value: impl Fn(&Configuration<'a>) -> Option<f64>,
) -> Vec<f64> {
    let mut values: Vec<f64> = configurations
        .iter()
        .filter_map(|configuration| value(configuration))
        .collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// The configurations that fulfil a condition.
fn kept<'j, 'a>(
    configurations: impl IntoIterator<Item = &'j Configuration<'a>>,
    condition: impl Fn(&Configuration<'a>) -> bool,
) -> Vec<&'j Configuration<'a>>
where
    'a: 'j,
{
    let all = configurations.into_iter();
    all.filter(|configuration| condition(configuration)).collect()
}

/// The names of methods in the order of the results, each with its configurations.
fn by_name<'j, 'a>(
    judged: &'j TaskComparison<'a>,
) -> impl Iterator<Item = (&'a str, Vec<&'j Configuration<'a>>)> {
    let all = &judged.task.configurations;
    let names = all.iter().map(|configuration| configuration.method).unique();
    names.map(move |name| (name, kept(all, |configuration| configuration.method == name)))
}

/// A numeric setting of a training, if it is not the default.
fn changed(configuration: &Configuration<'_>, key: &str) -> Option<f64> {
    configuration.settings.get(key)?.as_f64()
}

/// Whether a training says what p of its masks is, be it `auto`.
fn sets_masks(configuration: &Configuration<'_>) -> bool {
    configuration.settings.contains_key("mask_probability")
}

/// p of the masks in training, for configurations of one method: 0 for those without masks, where others have some; none where the training
/// found it.
fn mask_probability<'v>(
    own: &[&'v Configuration<'v>],
) -> impl Fn(&Configuration<'_>) -> Option<f64> + use<'v> {
    let changed = |configuration: &Configuration<'_>| changed(configuration, "mask_probability");
    let has_masks = own.iter().any(|configuration| changed(configuration).is_some());
    move |configuration| match configuration.settings.get("mask_probability") {
        Some(_) => changed(configuration),
        None => has_masks.then_some(0.0),
    }
}

/// Members of its prediction.
fn members(configuration: &Configuration<'_>) -> f64 {
    configuration.prediction.members() as f64
}

fn is_mean(configuration: &Configuration<'_>) -> bool {
    *configuration.prediction == InferenceMethod::Mean
}

/// Whether it is an ensemble in the masks of its training, with averaged probabilities.
fn is_ensemble(configuration: &Configuration<'_>) -> bool {
    matches!(
        configuration.prediction,
        InferenceMethod::Ensemble {
            masks: None,
            average: Average::Probabilities,
            ..
        }
    )
}

/// The configuration of the reference that validation rows choose.
fn reference_configuration<'j, 'a>(
    judged: &'j TaskComparison<'a>,
    reference: &Method,
) -> Option<&'j Configuration<'a>> {
    let (selected, _) = judged.find(reference)?;
    selected.configuration(false)
}
