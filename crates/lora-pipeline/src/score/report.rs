//! `report.html`: scores, reliability, curves and settings on one page.

use lora_eval::calibration::Binning;
use lora_report::{Block, Figure, Page, Provenance, Section, Series, line_chart, reliability_diagram};
use lora_train::History;
use serde::Serialize;
use serde_json::Value;

use crate::files::provenance::MadeBy;
use crate::score::by_class::ByClass;
use crate::score::reliability_bars::reliability_bars;
use crate::score::sureness::Sureness;
use crate::score::{ScoredMethod, legend, table};

/// A page with the scores of some data sets, and the JSON document that it carries. `by_class` is of the first of them and follows it.
pub fn score_page(
    title: &str,
    splits: &[(String, &[ScoredMethod])],
    by_class: Option<&ByClass>,
    document: &impl Serialize,
) -> Page {
    let mut page = Page::new(title);
    let mut splits = splits.iter().map(|(name, methods)| sections(name, methods));
    page.sections.extend(splits.next().into_iter().flatten());
    page.sections.extend(by_class.map(ByClass::section));
    page.sections.extend(splits.flatten());
    let made_by = MadeBy::this_call();
    page.provenance = Provenance {
        versions: made_by.versions,
        command: made_by.command,
        date: None,
    };
    page.results = serde_json::to_value(document).unwrap_or(Value::Null);
    page
}

/// The scores of one data set, and how sure its answers are.
fn sections(name: &str, methods: &[ScoredMethod]) -> Vec<Section> {
    let mut scores = Section::new(format!("Scores on {name}"));
    if let Some(legend) = legend(methods) {
        scores = scores.with_text(legend);
    }
    let scores = scores.with_block(Block::Table(table(name, methods)));
    let figures: Vec<Figure> = methods.iter().filter_map(diagram).collect();
    let diagrams = (!figures.is_empty()).then(|| {
        Section::new(format!("Is it right as often as it says? ({name})"))
            .with_text(
                "A bar shorter than the dotted diagonal promises more than it keeps: there the model is too sure. One that is taller \
                 keeps more than it promises: not sure enough. Hatched: the gap that ECE sums up, on either side.",
            )
            .with_block(Block::Figures(figures))
    });
    std::iter::once(scores).chain(diagrams).collect()
}

/// The curves of a training.
pub fn curves(history: &History) -> Section {
    let training = history
        .steps
        .iter()
        .map(|step| [step.step as f64, step.loss])
        .collect();
    let validation: Vec<[f64; 2]> = history
        .evaluations
        .iter()
        .map(|evaluation| [evaluation.step as f64, evaluation.loss])
        .collect();
    let mut series = vec![Series::new("training", training)];
    if !validation.is_empty() {
        series.push(Series::new("validation", validation));
    }
    let best = history
        .evaluations
        .iter()
        .find(|evaluation| Some(evaluation.step) == history.best_step);
    if let Some(best) = best {
        // Where p is found while training, the result may be as good as the best one.
        let what = if history.mask_changes.is_empty() {
            "best"
        } else {
            "result"
        };
        let name = format!("{what} (step {})", best.step);
        series.push(Series::new(name, vec![[best.step as f64, best.loss]]));
    }
    let chart = line_chart("Loss", "step", "loss", &series);
    let caption =
        "Training: the objective of each step, under masks where there are any. Validation: the mean pass.";
    Section::new("How training went").with_block(Block::Figures(vec![Figure::new(chart, caption)]))
}

fn diagram(method: &ScoredMethod) -> Option<Figure> {
    let ece = method.scores.ece()?;
    let rule = format!("equal width, {}", Binning::default());
    let svg = reliability_diagram(&method.method, &reliability_bars(&method.reliability), ece, &rule);
    let caption = Sureness::of(method).map_or_else(String::new, Sureness::caption);
    Some(Figure::new(svg, caption))
}
