//! The gap between test and training over p as it was measured, and the bound that the paper derives for it. The bound has
//! constants that nobody can measure for a transformer, so it stands beside the gap, never in its place.

use lora_eval::generalization::GeneralizationBound;
use lora_pipeline::error::Result;
use lora_report::{Better, Block, Cell, Column, Figure, Series, Table, setting_chart};

use super::{Line, by_name, is_mean, kept, mask_probability, reference_configuration, sets_masks, values};
use crate::report::choice::Method;
use crate::report::measure::Measure;
use crate::report::results::Configuration;
use crate::report::tables::TaskComparison;
use crate::sweep::file::RowCount;

/// `λ/Λ_min`: how heavy the penalty is, as the bound's lines assume it.
const RATIOS: [f64; 3] = [0.1, 1.0, 10.0];
/// `η²/Λ_min` in nats, as all lines assume it.
const SLOPE: f64 = 1.0;
/// δ: how often the bound may fail.
const FAILURE: f64 = 0.05;

/// Pictures and numbers; none where masks have fewer than two probabilities, or rows are not counted.
///
/// # Errors
///
/// If a score is not finite.
pub fn of_study(judged: &TaskComparison<'_>, reference: &Method) -> Result<Vec<Block>> {
    let lines = gaps(judged, reference);
    let RowCount::Some(examples) = judged.task.rows else {
        return Ok(Vec::new());
    };
    if lines.is_empty() || judged.is_regression() {
        return Ok(Vec::new());
    }
    let axis = "p of the masks, 0 is none";
    let mut figures = Vec::new();
    for (measure, title, label) in [
        (Measure::LossGap, "Measured: NLL, test − train", "nats"),
        (
            Measure::AccuracyGap,
            "Measured: accuracy, train − test",
            "share of the rows",
        ),
    ] {
        let series = lines
            .iter()
            .filter_map(|line| line.series(measure).transpose())
            .collect::<Result<Vec<_>>>()?;
        let svg = setting_chart(title, axis, label, &series);
        figures.push(Figure::new(svg, "").named(title));
    }
    let largest = largest_loss(judged);
    let points = lines.iter().flat_map(|line| &line.points);
    let mut probabilities: Vec<f64> = points.map(|(p, _)| *p).collect();
    probabilities.sort_by(f64::total_cmp);
    probabilities.dedup();
    let bounds = bounds(&probabilities, largest, examples)?;
    let floor = largest / (2.0 * examples as f64 * FAILURE).sqrt();
    let title = "Not measured: the paper's bound on it";
    let mut series: Vec<Series> = RATIOS
        .iter()
        .zip(&bounds)
        .map(|(ratio, gaps)| {
            let points = probabilities.iter().zip(gaps).map(|(p, gap)| [*p, *gap]);
            Series::new(format!("λ/Λ_min {ratio}"), points.collect())
        })
        .collect();
    let level = probabilities.iter().map(|p| [*p, floor]);
    series.push(Series::new("least, whatever the constants", level.collect()));
    let svg = setting_chart(title, axis, "nats", &series);
    figures.push(Figure::new(svg, "").named(title));
    let text = words(&lines, largest, examples, floor);
    let table = table(&lines, &probabilities, &bounds, floor)?;
    Ok(vec![
        Block::Heading("Overfitting over p, measured and bounded".to_owned()),
        Block::Text(text),
        Block::Figures(figures),
        Block::Details {
            summary: "The numbers: gap and bound".to_owned(),
            blocks: vec![Block::Table(table)],
        },
    ])
}

/// The mean passes of each method whose masks have several probabilities, from p = 0 on where the reference is the same
/// training without masks.
fn gaps<'a>(judged: &TaskComparison<'a>, reference: &Method) -> Vec<Line<'a>> {
    let without =
        reference_configuration(judged, reference).filter(|configuration| !sets_masks(configuration));
    let lines = by_name(judged).filter_map(|(method, own)| {
        let own = kept(own, is_mean);
        let p = mask_probability(&own);
        if values(&own, &p).len() < 2 {
            return None;
        }
        let mut line = Line::of(format!("{method}, mean pass"), &own, &p)?;
        let has_zero = line.points.iter().any(|(p, _)| *p == 0.0);
        if let Some(without) = without.filter(|_| !has_zero).filter(|without| {
            own.iter()
                .all(|configuration| differ_in_masks(without, configuration))
        }) {
            line.points.insert(0, (0.0, without.clone()));
        }
        Some(line)
    });
    lines.collect()
}

fn differ_in_masks(without: &Configuration<'_>, with: &Configuration<'_>) -> bool {
    let rest = |configuration: &Configuration<'_>| {
        let settings = configuration.settings.iter();
        let rest: Vec<_> = settings
            .filter(|(key, _)| !key.starts_with("mask"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        rest
    };
    rest(without) == rest(with)
}

/// The largest loss of a test row in any mean pass.
fn largest_loss(judged: &TaskComparison<'_>) -> f64 {
    let losses = kept(&judged.task.configurations, is_mean)
        .into_iter()
        .flat_map(Configuration::results)
        .flat_map(|result| result.test_rows.plain.row_losses());
    losses.fold(f64::MIN_POSITIVE, f64::max)
}

/// The bound for each ratio at each probability. Only ratios of the constants matter, so `Λ_min` is 1.
fn bounds(probabilities: &[f64], largest: f64, examples: usize) -> Result<Vec<Vec<f64>>> {
    let at = |ratio: f64, dropout: f64| {
        GeneralizationBound {
            dropout,
            penalty: ratio,
            smallest_eigenvalue: 1.0,
            lipschitz: SLOPE.sqrt(),
            largest_loss: largest,
            examples,
            failure: FAILURE,
        }
        .gap()
    };
    let lines = RATIOS.iter().map(|ratio| {
        let line: Result<Vec<f64>, _> = probabilities.iter().map(|p| at(*ratio, *p)).collect();
        Ok(line?)
    });
    lines.collect()
}

fn words(lines: &[Line<'_>], largest: f64, examples: usize, floor: f64) -> String {
    let measured = lines.iter().filter_map(|line| {
        let (first, last) = (line.points.first()?, line.points.last()?);
        let gap = |(_, configuration): &(f64, Configuration<'_>)| Measure::LossGap.mean(configuration, false);
        let (from, to) = (gap(first)?, gap(last)?);
        Some(format!(
            "{}: from {from:.3} nats at p = {} to {to:.3} at p = {}",
            line.name, first.0, last.0
        ))
    });
    let measured: Vec<String> = measured.collect();
    format!(
        "Measured gap, mean over seeds: {}. Beside it the bound of the paper, \
         sqrt((C² + 24 C η²/c) / (2 n δ)) with c = Λ_min + 2 λ (2p − p²), which holds with probability 1 − δ for losses that are bounded, \
         Lipschitz and convex in the trained parameters, and for masks that act as an ℓ2 penalty; none of this is known of a \
         transformer. n = {examples} and δ = {FAILURE}; C = {largest:.2} is the largest loss of a test row here; η²/Λ_min = {SLOPE} nat \
         and the three λ/Λ_min are assumptions, since nobody can measure them. Whatever they are, the bound is above \
         C / sqrt(2 n δ) = {floor:.2} nats. It says in which direction p should act, not how much.",
        measured.join("; ")
    )
}

fn table(lines: &[Line<'_>], probabilities: &[f64], bounds: &[Vec<f64>], floor: f64) -> Result<Table> {
    let columns = vec![
        Column::new("p", Better::None, 2),
        Column::new("NLL, test − train", Better::None, 3),
        Column::new("accuracy, train − test", Better::None, 3),
    ];
    let bound_columns = RATIOS.map(|ratio| Column::new(format!("bound, λ/Λ_min {ratio}"), Better::None, 3));
    let columns = columns.into_iter().chain(bound_columns).collect();
    let mut table = Table::new("Measured gap and bound", "method", columns).with_note(format!(
        "Gaps: mean ± std over seeds. The bound is in nats, for the assumptions above; at least {floor:.3}."
    ));
    for line in lines {
        for (p, configuration) in &line.points {
            let place = probabilities.iter().position(|other| other == p);
            let bounds = bounds
                .iter()
                .map(|gaps| place.map_or(Cell::Empty, |place| Cell::value(gaps[place])));
            let measured = [
                Cell::value(*p),
                Measure::LossGap.cell(configuration, false)?,
                Measure::AccuracyGap.cell(configuration, false)?,
            ];
            table.push(&line.name, measured.into_iter().chain(bounds).collect());
        }
    }
    Ok(table)
}
