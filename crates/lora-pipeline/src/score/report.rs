//! `report.html`: scores, reliability, curves and settings on one page.

use lora_eval::calibration::{Binning, ReliabilityBin};
use lora_eval::share_interval;
use lora_report::{Block, Figure, Page, Provenance, Section, Series, line_chart, reliability_diagram};
use lora_train::History;
use serde::Serialize;
use serde_json::Value;

use crate::counted::counted;
use crate::files::provenance::MadeBy;
use crate::score::reliability_bars::reliability_bars;
use crate::score::{INTERVAL_LEVEL, ScoredMethod, TaskScores, legend, table};

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
    Some(Figure::new(
        svg,
        sureness(&method.reliability, noun(&method.scores)),
    ))
}

/// What a bin counts.
fn noun(scores: &TaskScores) -> &'static str {
    match scores {
        TaskScores::Classification(_) | TaskScores::Regression(_) => "row",
        TaskScores::Words(_) => "word",
        TaskScores::Labels(_) => "decision",
        TaskScores::Spans(_) => "answer",
    }
}

/// Whether a model is too sure or not sure enough, over all rows: said where the interval of the share of right answers excludes the mean
/// confidence.
fn sureness(bins: &[ReliabilityBin], noun: &str) -> String {
    let rows: u64 = bins.iter().map(|bin| bin.count).sum();
    let sum = |value: fn(&ReliabilityBin) -> f64| {
        let filled = bins.iter().filter(|bin| bin.count > 0);
        filled.map(|bin| bin.count as f64 * value(bin)).sum::<f64>()
    };
    let (confidence, right) = (sum(|bin| bin.mean_confidence), sum(|bin| bin.accuracy));
    let (confidence, accuracy) = (confidence / rows as f64, right / rows as f64);
    #[expect(clippy::cast_sign_loss, reason = "a count")]
    let right = right.round() as u64;
    // No interval: there are no rows.
    let Ok([lower, upper]) = share_interval(right, rows, INTERVAL_LEVEL) else {
        return String::new();
    };
    let verdict = if confidence > upper {
        "too sure on the whole".to_owned()
    } else if confidence < lower {
        "not sure enough on the whole".to_owned()
    } else {
        let rows = counted(rows as usize, noun);
        format!("no difference beyond chance on {rows}")
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
    fn a_model_is_too_sure_or_not_sure_enough_only_beyond_chance() {
        let bin = |count, mean_confidence, accuracy| ReliabilityBin {
            lower: 0.0,
            upper: 1.0,
            count,
            mean_confidence,
            accuracy,
        };
        let said = |bins: &[ReliabilityBin]| sureness(bins, "row");
        // (300 · 0.9 + 100 · 0.5) / 400 = 0.8, and (300 · 0.8 + 100 · 0.4) / 400 = 0.7.
        let sure = [bin(300, 0.9, 0.8), bin(0, f64::NAN, f64::NAN), bin(100, 0.5, 0.4)];
        assert_eq!(
            said(&sure),
            "80 % sure on average, 70 % right: too sure on the whole."
        );
        let unsure = said(&[bin(800, 0.6, 0.75)]);
        assert!(unsure.ends_with("not sure enough on the whole."), "{unsure}");
        // Wilson's interval of 19 in 20 is 0.764 to 0.991.
        assert_eq!(
            said(&[bin(20, 0.87, 0.95)]),
            "87 % sure on average, 95 % right: no difference beyond chance on 20 rows."
        );
        assert_eq!(said(&[]), "");
    }
}
