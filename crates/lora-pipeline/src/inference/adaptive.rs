//! `--adaptive`: an ensemble that stops early.

use lora_core::Adapted;
use lora_core::peft::EnsembleSettings;
use lora_eval::{AdaptiveEnsemble, AdaptivePredictions, StoppingRule, predict_adaptively};
use lora_models::Transformer;

use super::member_sampler;
use crate::data::encoded::EncodedSplit;
use crate::error::Result;
use crate::progress::Progress;

/// When a row gets no more members: at this confidence in its class.
pub fn stopping_rule(confidence: f64) -> StoppingRule {
    StoppingRule {
        confidence,
        ..StoppingRule::default()
    }
}

/// Runs the ensemble, each row until its class is sure, with progress; says how many members that took.
///
/// # Errors
///
/// If the model has diverged.
pub fn run_adaptively(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    settings: EnsembleSettings,
    temperature: Option<f64>,
    confidence: f64,
    progress: &dyn Progress,
) -> Result<AdaptivePredictions> {
    let examples = split.encoded.len();
    let sampler = member_sampler(adapted, settings.seed);
    let ensemble = AdaptiveEnsemble {
        sampler: &sampler,
        members: usize::try_from(settings.members)?,
        rule: stopping_rule(confidence),
        average: settings.average,
        temperature: temperature.unwrap_or(1.0),
    };
    let bar = progress.start(settings.members * examples as u64, "predicting", "rows");
    let mut batches_of = |rows: &[usize]| {
        let batches = split.batches_of(rows).into_iter();
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
