//! Training-free Bayesianization of a trained model: noise on its adapters, as much as the validation rows allow, then run on all rows.

use std::time::Instant;

use lora_core::Adapted;
use lora_core::gaussian::Gaussian;
use lora_eval::tfb::{TfbSettings, largest_noise, low_rank_noise};
use lora_eval::{Average, ModelOutputs, Passes};
use lora_models::Transformer;
use lora_pipeline::error::{Error, Result};
use lora_pipeline::progress::CancelToken;

use super::data::TrialSplits;
use super::outputs::{TrialOutputs, of_passes, of_posterior};
use super::trial::task_scores;

/// Members by which the noise is chosen, whatever number predicts, so that equal settings share their passes.
pub const CHOOSING_MEMBERS: u64 = 8;

/// Outputs of the noisy model on all rows, none if Ctrl-C came between. The seed draws members.
///
/// # Errors
///
/// If the model has no LoRA factors, or even the smallest noise costs more than the tolerance.
pub fn run(
    adapted: &Adapted<Transformer>,
    splits: &TrialSplits,
    seed: u64,
    settings: &TfbSettings,
    members: u64,
    cancel: &CancelToken,
) -> Result<Option<TrialOutputs>> {
    let started = Instant::now();
    let validation = &splits.validation;
    let loss = |logits: &ModelOutputs| {
        Ok::<_, Error>(task_scores(logits, &validation.truth(), Average::Probabilities)?.loss())
    };
    let noise = low_rank_noise(adapted)?.with_seed(seed);
    let without = loss(&of_passes(adapted, validation, &Passes::Mean)?)?;
    let found = largest_noise(&noise, settings, without, &mut |posterior: &Gaussian| {
        loss(&of_posterior(adapted, validation, posterior, CHOOSING_MEMBERS)?)
    })?;
    let fitting_seconds = started.elapsed().as_secs_f64();
    let outputs = TrialOutputs::of(splits, cancel, |split| {
        of_posterior(adapted, split, &found.posterior, members)
    })?;
    Ok(outputs.map(|outputs| TrialOutputs {
        fitting_seconds,
        ..outputs
    }))
}
