//! Outputs of a trained model on all rows that a trial is scored on, as they are kept for deep ensembles.

use std::time::Instant;

use lora_core::Adapted;
use lora_core::vector::Posterior;
use lora_data::Batch;
use lora_eval::{EvalError, ModelOutputs, Passes, predict_members};
use lora_models::Transformer;
use lora_pipeline::data::encoded::EncodedSplit;
use lora_pipeline::error::Result;
use lora_pipeline::inference::JudgedRows;
use lora_pipeline::progress::CancelToken;
use serde::{Deserialize, Serialize};

use super::data::TrialSplits;

/// Outputs on all rows that a trial is scored on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialOutputs {
    /// On training rows.
    pub train: ModelOutputs,
    /// On validation rows.
    pub validation: ModelOutputs,
    /// On test rows.
    pub test: ModelOutputs,
    /// On shifted rows.
    pub shifted: Option<ModelOutputs>,
    /// Wall time of the test rows.
    pub seconds: f64,
    /// Wall time of what was fitted to the trained model before the first output.
    #[serde(default)]
    pub fitting_seconds: f64,
}

impl TrialOutputs {
    /// On all rows, `on` gives those of one split; none if Ctrl-C came between.
    ///
    /// # Errors
    ///
    /// Those of `on`.
    pub fn of(
        splits: &TrialSplits,
        cancel: &CancelToken,
        on: impl Fn(&EncodedSplit) -> Result<ModelOutputs>,
    ) -> Result<Option<Self>> {
        let train = on(&splits.gap)?;
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let validation = on(&splits.validation)?;
        if cancel.is_cancelled() {
            return Ok(None);
        }
        // Each way to predict pays for the layers below its adapters.
        if let Some(states) = &splits.test.states {
            states.forget();
        }
        let started = Instant::now();
        let test = on(&splits.test)?;
        let seconds = started.elapsed().as_secs_f64();
        if cancel.is_cancelled() {
            return Ok(None);
        }
        Ok(Some(Self {
            train,
            validation,
            test,
            shifted: splits.shifted.as_ref().map(on).transpose()?,
            seconds,
            fitting_seconds: 0.0,
        }))
    }

    /// Outputs of the ensemble of the first members, in so many seconds.
    #[must_use]
    pub fn first(&self, members: usize, seconds: f64) -> Self {
        Self {
            train: self.train.first_members(members),
            validation: self.validation.first_members(members),
            test: self.test.first_members(members),
            shifted: self
                .shifted
                .as_ref()
                .map(|shifted| shifted.first_members(members)),
            seconds,
            fitting_seconds: self.fitting_seconds,
        }
    }

    /// The members of several as one ensemble.
    ///
    /// # Errors
    ///
    /// Of none, or if they are of other rows.
    pub fn joined(members: &[Self]) -> Result<Self, EvalError> {
        let join = |split: fn(&Self) -> Option<&ModelOutputs>| {
            ModelOutputs::joined(members.iter().filter_map(split).cloned())
        };
        let has_shifted = members.iter().any(|member| member.shifted.is_some());
        Ok(Self {
            train: join(|outputs| Some(&outputs.train))?,
            validation: join(|outputs| Some(&outputs.validation))?,
            test: join(|outputs| Some(&outputs.test))?,
            shifted: has_shifted
                .then(|| join(|outputs| outputs.shifted.as_ref()))
                .transpose()?,
            seconds: members.iter().map(|member| member.seconds).sum(),
            fitting_seconds: members.iter().map(|member| member.fitting_seconds).sum(),
        })
    }
}

/// The rows of a split as the evaluation takes them.
pub fn batches(split: &EncodedSplit) -> impl Iterator<Item = (&Batch, &[usize])> + Clone {
    split.batches.iter().map(|batch| (batch, batch.rows.as_slice()))
}

/// Outputs of passes for a split.
///
/// # Errors
///
/// For rows that have no class or number.
pub fn of_passes(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    passes: &Passes<'_>,
) -> Result<ModelOutputs> {
    Ok(JudgedRows::of(split)?.outputs(adapted, passes, &mut |_| {}))
}

/// Outputs of members of a distribution over weights for a split.
///
/// # Errors
///
/// Without members.
pub fn of_posterior(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    posterior: &dyn Posterior,
    members: u64,
) -> Result<ModelOutputs> {
    let rows = JudgedRows::of(split)?;
    let run = &mut |drawn: &Adapted<Transformer>| rows.outputs(drawn, &Passes::Mean, &mut |_| {});
    Ok(predict_members(adapted, posterior, 0..members, run)?)
}
