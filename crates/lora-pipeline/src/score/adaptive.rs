//! An ensemble that stops early, scored beside the whole one.

use lora_data::Targets;
use lora_eval::AdaptivePredictions;

use super::{ClassScores, FoundScores, ScoredMethod, TaskScores};
use crate::data::encoded::EncodedSplit;
use crate::error::Result;
use crate::inference::SplitOutputs;
use crate::inference::adaptive::stopping_rule;
use crate::saved::task_file::FittedValues;

/// An adaptive ensemble, and what it spared beside the whole one.
#[derive(Clone, Debug)]
pub struct Spared {
    /// Its scores.
    pub method: ScoredMethod,
    /// Share of the rows whose class is that of the whole ensemble.
    agreement: f64,
    /// `FittedRules` error minus that of the whole ensemble.
    ece_difference: f64,
    /// NLL minus that of the whole ensemble.
    nll_difference: f64,
}

impl Spared {
    /// One sentence.
    pub fn in_words(&self) -> String {
        format!(
            "The adaptive ensemble{} asked {:.1} of {} members a row and decided {:.2} % of the rows as the whole ensemble does; its ECE \
             differs by {:+.4}, its NLL by {:+.4}.",
            if self.method.is_scaled { " with T" } else { "" },
            self.method.mean_members.unwrap_or_default(),
            self.method.members,
            100.0 * self.agreement,
            self.ece_difference,
            self.nll_difference,
        )
    }
}

/// What an adaptive ensemble would have predicted where the whole one was run: without and with temperature. Nothing for a regression or
/// without an ensemble.
///
/// # Errors
///
/// If the model has diverged.
pub fn score_adaptively(
    outputs: &SplitOutputs,
    split: &EncodedSplit,
    temperatures: FittedValues,
    confidence: f64,
) -> Result<Vec<Spared>> {
    let (Targets::Classes(labels), SplitOutputs::Rows(outputs)) = (split.truth(), outputs) else {
        return Ok(Vec::new());
    };
    let Some((settings, outputs)) = &outputs.ensemble else {
        return Ok(Vec::new());
    };
    let predictions = outputs.clone().into_predictions()?;
    let temperatures = std::iter::once(None).chain(temperatures.ensemble.map(Some));
    let spared = |temperature: Option<f64>| {
        let whole = predictions.clone().with_temperature(temperature.unwrap_or(1.0))?;
        let adaptive = AdaptivePredictions::within(&whole, stopping_rule(confidence), settings.average)?;
        let (whole, found) = (whole.average(settings.average), adaptive.probabilities());
        let same = whole
            .top_classes()
            .into_iter()
            .zip(found.top_classes())
            .filter(|(a, b)| a == b);
        let agreement = same.count() as f64 / labels.len() as f64;
        let whole = ClassScores::of(&whole, &labels)?.scores;
        let ClassScores {
            scores,
            reliability,
            row_nll,
            answers,
        } = ClassScores::of(&found, &labels)?;
        let (ece_difference, nll_difference) = (scores.ece - whole.ece, scores.nll - whole.nll);
        let found = FoundScores {
            scores: TaskScores::Classification(scores),
            reliability,
            row_losses: row_nll,
            answers,
        };
        Ok(Spared {
            agreement,
            ece_difference,
            nll_difference,
            method: ScoredMethod {
                mean_members: Some(adaptive.mean_members()),
                ..found.named(
                    "adaptive ensemble",
                    settings.members,
                    Some(settings.average),
                    temperature,
                )
            },
        })
    };
    temperatures.map(spared).collect()
}
