//! The demo's page.

use lora_eval::MeanStd;
use lora_eval::calibration::ReliabilityBin;
use lora_pipeline::counted::counted;
use lora_pipeline::error::Result;
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::score::reliability_bars::reliability_bars;
use lora_report::{
    Block, Figure, Page, Provenance, ScatterPoint, Section, Series, line_chart, reliability_diagram,
    scatter_chart,
};

use super::plan::{Method, Training};
use super::results::DemoResults;
use super::study::{MethodRun, PartScores};
use super::summary::summary;
use super::tables::{self, ECE_RULE};

/// Axes of accuracy and calibration error span at least this: one test row is no mountain.
const LEAST_SPAN: [f64; 2] = [0.1, 0.1];

/// Tables, reliability diagrams, accuracy against calibration, loss curves, settings.
pub fn page(results: &DemoResults, made_by: &MadeBy) -> Result<Page> {
    let mut page = Page::new("LoRA Dropout on a few hundred sentences");
    page.subtitle = format!(
        "{}MiniLM-L6, {} labelled movie review sentences, {}; tested on movie reviews and on tweets",
        if results.plan.fast {
            "A quick look (--fast): "
        } else {
            ""
        },
        results.plan.train,
        counted(results.plan.seeds.len(), "seed")
    );
    page.summary = summary(results)?;
    let mut tables = tables::all(results)?.into_iter();
    let mut section = Section::new("Scores").with_text(
        "Same budget and same seeds for all. The dropout probabilities were chosen on validation rows, the rest by hand.",
    );
    if results.plan.seeds.len() > 1 {
        section = section.with_text(
            "A value is underlined where it is better than all others by more than the standard deviations of both over seeds.",
        );
    }
    for table in tables.by_ref().take(3) {
        section = section.with_block(Block::Table(table));
    }
    page.sections.push(section);
    page.sections.push(
        Section::new("Can the probabilities be trusted?")
            .with_text(
                "Of all predictions made with a confidence of 0.8, 80 % should be right. Bars on the diagonal are \
                 trustworthy; bars below it are too sure. Predictions of all seeds together.",
            )
            .with_block(Block::Figures(reliability(results, "movie reviews", |run| &run.test)))
            .with_block(Block::Figures(reliability(results, "tweets", |run| &run.shifted)))
            .with_block(Block::Figures(vec![
                accuracy_against_ece(results, "Movie reviews", |run| &run.test)?,
                accuracy_against_ece(results, "Tweets", |run| &run.shifted)?,
            ])),
    );
    let mut scaled = Section::new("With temperature scaling").with_text(
        "One number, fitted on validation rows, divides all logits. A fair comparison of calibration shows every \
         method with it and without.",
    );
    for table in tables {
        scaled = scaled.with_block(Block::Table(table));
    }
    page.sections.push(scaled);
    page.sections.push(
        Section::new("Training").with_block(Block::Figures(vec![Figure::new(
            line_chart("Training loss", "step", "cross-entropy, nats", &loss_curves(results)),
            "Mean over seeds; the band goes from the lowest to the highest. Under masks the loss is that of the masked passes.",
        )])),
    );
    page.settings = serde_json::to_value(&results.plan)?;
    page.provenance = Provenance {
        versions: made_by.versions.clone(),
        command: made_by.command.clone(),
        date: None,
    };
    page.results = serde_json::to_value(results)?;
    Ok(page)
}

/// Accuracy against calibration error in the domain of training, as a file of its own.
pub fn picture(results: &DemoResults) -> Result<String> {
    Ok(accuracy_against_ece(results, "Movie reviews", |run| &run.test)?.svg)
}

fn reliability(results: &DemoResults, domain: &str, part: fn(&MethodRun) -> &PartScores) -> Vec<Figure> {
    let diagram = |method: Method| {
        let bins = pooled(results.of(method).map(|run| part(run).reliability.as_slice()));
        let count: u64 = bins.iter().map(|bin| bin.count).sum();
        let gaps = bins
            .iter()
            .map(|bin| bin.count as f64 * (bin.accuracy - bin.mean_confidence).abs());
        let ece = gaps.sum::<f64>() / count.max(1) as f64;
        Figure::new(
            reliability_diagram(method.name(), &reliability_bars(&bins), ece, ECE_RULE),
            format!("{}, {domain}", method.name()),
        )
    };
    [Method::Lora, Method::DropoutEnsemble].map(diagram).into()
}

/// The bins of several seeds together.
fn pooled<'a>(mut tables: impl Iterator<Item = &'a [ReliabilityBin]>) -> Vec<ReliabilityBin> {
    let mut bins = tables.next().unwrap_or_default().to_vec();
    for table in tables {
        for (bin, other) in bins.iter_mut().zip(table) {
            let count = (bin.count + other.count).max(1) as f64;
            let mean = |a: f64, b: f64| (a * bin.count as f64 + b * other.count as f64) / count;
            bin.mean_confidence = mean(bin.mean_confidence, other.mean_confidence);
            bin.accuracy = mean(bin.accuracy, other.accuracy);
            bin.count += other.count;
        }
    }
    bins
}

fn accuracy_against_ece(
    results: &DemoResults,
    domain: &str,
    part: fn(&MethodRun) -> &PartScores,
) -> Result<Figure> {
    let mut points = Vec::new();
    let rows = results.runs.first().map_or(0, |run| part(run).row_nll.len());
    for method in Method::ALL {
        let spread = |of: fn(&PartScores) -> f64| {
            MeanStd::of(&results.of(method).map(|run| of(part(run))).collect::<Vec<_>>())
        };
        let (ece, accuracy) = (
            spread(|scores| scores.plain.ece)?,
            spread(|scores| scores.plain.accuracy)?,
        );
        let point = ScatterPoint::new(method.name(), [ece.mean, accuracy.mean]);
        points.push(match (ece.std, accuracy.std) {
            (Some(x), Some(y)) => point.with_spread([x, y]),
            _ => point.with_spread([0.0, standard_error(accuracy.mean, rows)]),
        });
    }
    let picture = scatter_chart(
        domain,
        "ECE (lower is better)",
        "accuracy (higher is better)",
        &points,
        LEAST_SPAN,
    );
    let bars = if results.plan.seeds.len() > 1 {
        "crosses show one standard deviation over seeds"
    } else {
        "bars show one standard error of the accuracy over test rows"
    };
    Ok(Figure::new(
        picture,
        format!("Up and to the left is better; {bars}."),
    ))
}

/// Of a share that was counted on so many rows.
fn standard_error(share: f64, rows: usize) -> f64 {
    (share * (1.0 - share) / rows.max(1) as f64).sqrt()
}

fn loss_curves(results: &DemoResults) -> Vec<Series> {
    let curve = |training: Training| {
        let runs: Vec<&Vec<f64>> = results.of(training.methods()[0]).map(|run| &run.losses).collect();
        let steps = runs.iter().map(|losses| losses.len()).min().unwrap_or(0);
        let at = |step: usize| runs.iter().map(move |losses| losses[step]);
        let mean = |step: usize| at(step).sum::<f64>() / runs.len() as f64;
        let points = (0..steps).map(|step| [(step + 1) as f64, mean(step)]).collect();
        let series = Series::new(training.name(), points);
        if runs.len() < 2 {
            return series;
        }
        let lowest = |step: usize| at(step).fold(f64::INFINITY, f64::min);
        let highest = |step: usize| at(step).fold(f64::NEG_INFINITY, f64::max);
        series.with_band((0..steps).map(|step| [lowest(step), highest(step)]).collect())
    };
    Training::ALL.map(curve).into()
}
