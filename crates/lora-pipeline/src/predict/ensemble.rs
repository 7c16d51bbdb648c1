//! Which ensemble a trained model predicts with: what the adapter folder recommends, but for what is chosen by hand.

use lora_core::ensemble::check_members;
use lora_core::gaussian::POSTERIOR_FILE;
use lora_core::peft::{Average, EnsembleSettings, SIDE_FILE};
use lora_data::Task;

use crate::bail;
use crate::config::DEFAULT_MEMBERS;
use crate::error::Result;
use crate::inference::member_sampler;
use crate::saved::adapter::OpenedAdapter;
use crate::saved::task_file::{InferenceKind, TaskFile};

/// What of an ensemble is chosen by hand; what is none is as the adapter folder recommends.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnsembleChoice {
    /// Passes of the ensemble, each with masks of its own; 0 for none.
    pub members: Option<u64>,
    /// Seed of the members' masks.
    pub seed: Option<u64>,
    /// What the ensemble averages.
    pub average: Option<Average>,
    /// Whether each row gets members only until it is settled.
    pub is_adaptive: bool,
}

impl EnsembleChoice {
    /// The ensemble to predict with, none for the mean pass, and what to say about that: without a choice by hand, the one of the two that
    /// training found better.
    ///
    /// # Errors
    ///
    /// As [`EnsembleChoice::settings`], or if what is chosen contradicts itself.
    pub fn to_predict(
        &self,
        opened: &OpenedAdapter,
        inference: Option<InferenceKind>,
    ) -> Result<(Option<EnsembleSettings>, Option<String>)> {
        let of_ensemble = self.members.is_some_and(|members| members > 0)
            || self.seed.is_some()
            || self.average.is_some()
            || self.is_adaptive;
        if inference == Some(InferenceKind::Mean) && of_ensemble {
            bail!(
                "--inference mean is one pass without masks; leave it out, or --members, --seed, --average and --adaptive, which are of an \
                 ensemble"
            );
        }
        if inference == Some(InferenceKind::Ensemble) {
            if self.members == Some(0) {
                bail!("--inference ensemble needs members, but --members is 0; leave one of them out");
            }
            let settings = self.settings(opened)?;
            if settings.is_none() {
                bail!(
                    "--inference ensemble needs an adapter that was trained with LoRA Dropout (mask_probability)"
                );
            }
            return Ok((settings, None));
        }
        if inference == Some(InferenceKind::Mean) {
            return Ok((None, None));
        }
        let recorded = opened.task_file.as_ref().and_then(|task| task.inference);
        let chosen_by_hand = of_ensemble || self.members.is_some();
        let why = opened.task_file.as_ref().and_then(TaskFile::why_in_use);
        let note = why.filter(|_| !chosen_by_hand);
        let note = note.map(|why| format!("predicted by {why}"));
        if recorded == Some(InferenceKind::Mean) && !chosen_by_hand {
            return Ok((None, note));
        }
        let settings = self.settings(opened)?;
        Ok((settings, note.filter(|_| settings.is_some())))
    }

    /// The ensemble to run; none where nothing differs between members.
    ///
    /// # Errors
    ///
    /// If members are asked for and the adapter has no masks.
    pub fn settings(&self, opened: &OpenedAdapter) -> Result<Option<EnsembleSettings>> {
        let sampler = member_sampler(&opened.adapted, 0);
        let saved = opened.ensemble;
        let has_posterior = opened.adapted.posterior().is_some();
        let of_masks = if has_posterior || sampler.dropout.is_some() {
            DEFAULT_MEMBERS
        } else {
            0
        };
        let differ = has_posterior || sampler.dropout.is_some() || sampler.input_dropout > 0.0;
        let default = saved.map_or(of_masks, |saved| saved.members);
        let members = self.members.unwrap_or(default);
        check_members(members)?;
        if self.is_adaptive && !matches!(opened.task, Task::Classification { .. }) {
            bail!(
                "--adaptive settles the classes of texts, but this adapter predicts something else; leave --adaptive out"
            );
        }
        if members == 0 && self.is_adaptive {
            bail!(
                "--adaptive needs an ensemble; give an adapter that was trained with LoRA Dropout, and --members above 0"
            );
        }
        if members == 0 {
            return Ok(None);
        }
        if !differ && self.members.is_none() {
            bail!(
                "task.json asks for an ensemble of {members}, but the adapter has no masks: {SIDE_FILE} is missing beside it, and so is \
                 {POSTERIOR_FILE}; put it back, or give --members 0 for the mean pass alone"
            );
        }
        if !differ {
            bail!(
                "--members is {members}, but the adapter was trained without LoRA Dropout, so that all members would \
                 be the same; leave --members out, train with mask_probability, or give it a posterior (lora bayesianize)"
            );
        }
        Ok(Some(EnsembleSettings {
            members,
            seed: self.seed.or(saved.map(|saved| saved.seed)).unwrap_or(42),
            average: self
                .average
                .unwrap_or_else(|| saved.map_or(Average::default(), |saved| saved.average)),
        }))
    }
}
