//! `report.html`: scores, reliability, curves and settings on one page.

use lora_eval::calibration::{Binning, ReliabilityBin};
use lora_report::{Block, Figure, Page, Provenance, Section, Series, line_chart, reliability_diagram};
use lora_train::History;
use serde::Serialize;
use serde_json::Value;

use crate::files::provenance::MadeBy;
use crate::score::reliability_bars::reliability_bars;
use crate::score::{ScoredMethod, legend, table};

/// A page with the scores of some data sets, and the JSON document that it carries.
pub fn score_page(title: &str, splits: &[(String, &[ScoredMethod])], document: &impl Serialize) -> Page {
    let mut page = Page::new(title);
    for (name, methods) in splits {
        let mut section = Section::new(format!("Scores on {name}"));
        if let Some(legend) = legend(methods) {
            section = section.with_text(legend);
        }
        page.sections
            .push(section.with_block(Block::Table(table(name, methods))));
        let figures: Vec<Figure> = methods.iter().filter_map(diagram).collect();
        if !figures.is_empty() {
            page.sections.push(
                Section::new(format!("Is it right as often as it says? ({name})"))
                    .with_text(
                        "A bar shorter than the dotted diagonal promises more than it keeps: there the model is too sure. One that is taller \
                         keeps more than it promises: not sure enough. Hatched: the gap that ECE sums up, on either side.",
                    )
                    .with_block(Block::Figures(figures)),
            );
        }
    }
    let made_by = MadeBy::this_call();
    page.provenance = Provenance {
        versions: made_by.versions,
        command: made_by.command,
        date: None,
    };
    page.results = serde_json::to_value(document).unwrap_or(Value::Null);
    page
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
    Some(Figure::new(svg, sureness(&method.reliability)))
}

/// Whether a model is too sure or not sure enough, over all rows.
fn sureness(bins: &[ReliabilityBin]) -> String {
    let rows: u64 = bins.iter().map(|bin| bin.count).sum();
    let mean = |value: fn(&ReliabilityBin) -> f64| {
        let filled = bins.iter().filter(|bin| bin.count > 0);
        filled.map(|bin| bin.count as f64 * value(bin)).sum::<f64>() / rows as f64
    };
    if rows == 0 {
        return String::new();
    }
    let (confidence, accuracy) = (mean(|bin| bin.mean_confidence), mean(|bin| bin.accuracy));
    let verdict = match (confidence - accuracy) * 100.0 {
        gap if gap >= 0.5 => "too sure on the whole",
        gap if gap <= -0.5 => "not sure enough on the whole",
        _ => "as sure as it is right on the whole",
    };
    format!(
        "{:.0} % sure on average, {:.0} % right: {verdict}.",
        100.0 * confidence,
        100.0 * accuracy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_to_be_too_sure_or_not_sure_enough() {
        let bin = |count, mean_confidence, accuracy| ReliabilityBin {
            lower: 0.0,
            upper: 1.0,
            count,
            mean_confidence,
            accuracy,
        };
        // (30 · 0.9 + 10 · 0.5) / 40 = 0.8, and (30 · 0.8 + 10 · 0.4) / 40 = 0.7.
        let said = sureness(&[bin(30, 0.9, 0.8), bin(0, f64::NAN, f64::NAN), bin(10, 0.5, 0.4)]);
        assert_eq!(said, "80 % sure on average, 70 % right: too sure on the whole.");
        let said = sureness(&[bin(8, 0.6, 0.75)]);
        assert!(said.ends_with("not sure enough on the whole."), "{said}");
        assert_eq!(sureness(&[]), "");
    }
}
