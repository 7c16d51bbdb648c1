//! `--adaptive`: an ensemble that stops early; `lora eval` sets it beside the whole one, `lora predict` runs it in its place.

use lora_core::Adapted;
use lora_core::peft::EnsembleSettings;
use lora_data::Targets;
use lora_eval::{AdaptiveEnsemble, AdaptivePredictions, StoppingRule, predict_adaptively};
use lora_models::Transformer;

use crate::data::encoded::EncodedPart;
use crate::error::Result;
use crate::progress::Progress;
use crate::saved::task_file::Temperatures;
use crate::score::{ClassScores, Said, ScoredMethod, TaskScores, member_sampler};

/// When a row is settled, at this confidence.
pub fn settling(confidence: f64) -> StoppingRule {
    StoppingRule {
        confidence,
        ..StoppingRule::default()
    }
}

/// An adaptive ensemble, and what it spared beside the whole one.
#[derive(Clone, Debug)]
pub struct Spared {
    /// Its scores.
    pub method: ScoredMethod,
    /// Share of the rows whose class is that of the whole ensemble.
    agreement: f64,
    /// Calibration error minus that of the whole ensemble.
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

/// What an adaptive ensemble would have said where the whole one was run: without and with temperature. Nothing for numbers or
/// without an ensemble.
///
/// # Errors
///
/// If the model has diverged.
pub fn score_adaptively(
    said: &Said,
    part: &EncodedPart,
    temperatures: Temperatures,
    confidence: f64,
) -> Result<Vec<Spared>> {
    let (Targets::Classes(labels), Said::Outputs(outputs)) = (part.truth(), said) else {
        return Ok(Vec::new());
    };
    let Some((settings, outputs)) = &outputs.ensemble else {
        return Ok(Vec::new());
    };
    let predictions = outputs.clone().into_predictions()?;
    let temperatures = std::iter::once(None).chain(temperatures.ensemble.map(Some));
    let spared = |temperature: Option<f64>| {
        let whole = predictions.clone().with_temperature(temperature.unwrap_or(1.0))?;
        let adaptive = AdaptivePredictions::within(&whole, settling(confidence), settings.average)?;
        let (whole, found) = (whole.average(settings.average), adaptive.probabilities());
        let same = whole
            .top_classes()
            .into_iter()
            .zip(found.top_classes())
            .filter(|(a, b)| a == b);
        let agreement = same.count() as f64 / labels.len() as f64;
        let whole = ClassScores::of(&whole, &labels)?.scores;
        let ClassScores {
            scores: found,
            reliability,
            row_nll,
        } = ClassScores::of(&found, &labels)?;
        Ok(Spared {
            agreement,
            ece_difference: found.ece - whole.ece,
            nll_difference: found.nll - whole.nll,
            method: ScoredMethod {
                method: match temperature {
                    Some(temperature) => format!("adaptive ensemble, T = {temperature:.3}"),
                    None => "adaptive ensemble".to_owned(),
                },
                members: settings.members,
                mean_members: Some(adaptive.mean_members()),
                average: Some(settings.average),
                temperature: temperature.unwrap_or(1.0),
                is_scaled: temperature.is_some(),
                scores: TaskScores::Classification(found),
                reliability,
                row_losses: row_nll,
            },
        })
    };
    temperatures.map(spared).collect()
}

/// Runs the ensemble, each row until it is settled, with progress; says how many members that took.
///
/// # Errors
///
/// If the model has diverged.
pub fn run_adaptively(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    settings: EnsembleSettings,
    temperature: Option<f64>,
    confidence: f64,
    progress: &dyn Progress,
) -> Result<AdaptivePredictions> {
    let examples = part.encoded.len();
    let sampler = member_sampler(adapted, settings.seed);
    let ensemble = AdaptiveEnsemble {
        sampler: &sampler,
        members: usize::try_from(settings.members)?,
        rule: settling(confidence),
        average: settings.average,
        temperature: temperature.unwrap_or(1.0),
    };
    let bar = progress.start(settings.members * examples as u64, "predicting", "rows");
    let mut batches_of = |rows: &[usize]| {
        let batches = part.batches_of(rows).into_iter();
        batches
            .map(|batch| {
                let rows = batch.rows.clone();
                (batch, rows)
            })
            .collect()
    };
    let predictions = predict_adaptively(adapted, examples, &ensemble, &mut batches_of, &mut |done| {
        bar.set(done as u64);
    })?;
    bar.finish();
    progress.note(&format!(
        "{:.1} of {} members a row on average",
        predictions.mean_members(),
        settings.members
    ));
    Ok(predictions)
}
