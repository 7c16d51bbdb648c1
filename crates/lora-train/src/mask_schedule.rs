//! LoRA Dropout's p, found while training: before p rises, training goes back to its best state.
//!
//! What a model has learned by heart stays learned under masks that come later. So p begins low, and where the loss on validation rows
//! exceeds the smallest one so far by more than these rows' noise explains, parameters and moments of the optimizer become those of that
//! smallest loss again, and training goes on from there with the next p. The number of the step goes on, and with it the learning rate, the
//! order of rows and the masks: all of it takes the steps of one training. There is no grid, and p does not fall.
//!
//! | the loss at an evaluation | what follows |
//! |---|---|
//! | is the smallest so far | the state is kept |
//! | is larger, but not beyond noise | nothing: it may be chance |
//! | is larger beyond noise | back to the state that is kept, on with the next p |
//! | is larger beyond noise, and there is no next p or no step left | back to that state and its own p; the training ends |
//!
//! Beyond noise is a mean difference, over the same rows, of more than [`MaskSchedule::tolerance`] standard errors. The result is the last
//! state, so no further choice by validation loss follows. An adapter predicts under the p that its weights were trained under last.
//!
//! A limit: the last state may be worse than the best one, also where both were trained under one p, by up to that many standard errors on
//! the validation rows. With few of them that is a lot: the standard error falls as one over the root of their number.
//!
//! No source has this rule, as far as we know. It is early stopping with a second chance; going back to what did best and on with another
//! setting is the step "exploit and explore" of population based training (arXiv 1711.09846), with a population of one.

use lora_core::{LoraDropout, Rescale};
use lora_data::Targets;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fit::History;

/// How p is looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskSchedule {
    /// The probabilities, the first one first.
    pub ladder: Vec<f64>,
    /// So many standard errors are noise.
    pub tolerance: f64,
}

impl Default for MaskSchedule {
    /// From 0.3, which cost the mean pass nothing where it was measured (TREC, SST-2), over the paper's 0.5 to 0.7; two standard errors.
    /// Each p costs the steps until its rise is seen, so there are few.
    fn default() -> Self {
        Self {
            ladder: vec![0.3, 0.5, 0.7],
            tolerance: 2.0,
        }
    }
}

/// A training in which no p can be looked for.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MaskSearchError {
    /// Nothing to begin with, or nothing that rises.
    #[error(
        "the ladder of mask probabilities is {ladder:?}: expected at least one, each above 0, below 1 and above the one before"
    )]
    Ladder {
        /// The probabilities.
        ladder: Vec<f64>,
    },
    /// No number of standard errors.
    #[error(
        "the tolerance of mask_probability auto is {found}: expected standard errors, 0 or more; 2 is usual"
    )]
    Tolerance {
        /// The number.
        found: f64,
    },
    /// Adapters that have no masks.
    #[error(
        "mask_probability is auto, but these adapters have no masks of LoRA Dropout whose probability could be found: give them masks, or a \
         number in place of auto"
    )]
    NoMasks,
    /// Masks whose probability changes what the model computes without them.
    #[error(
        "mask_probability is auto, but masks are plain: with another p a pass without masks would use another part of the update; set \
         mask_rescale to rescaled"
    )]
    PlainMasks,
    /// No losses to judge by.
    #[error(
        "mask_probability is auto, but nothing is evaluated: p is found by the loss on validation rows, so give validation rows, and set \
         eval_strategy to epoch or steps"
    )]
    NoEvaluation,
    /// Two ways to draw noise that are learned.
    #[error(
        "mask_probability auto cannot be trained together with a variational A (blob): give a number, or remove blob"
    )]
    Variational,
    /// A task whose rows have no single losses.
    #[error(
        "mask_probability is auto, which compares the losses of single rows, and {task} is not judged by rows: give a number"
    )]
    Task {
        /// The kind of task.
        task: &'static str,
    },
}

impl MaskSchedule {
    /// The p of the first step; none for an empty ladder.
    pub fn first(&self) -> Option<f64> {
        self.ladder.first().copied()
    }

    /// Whether p can be looked for with these masks on this task.
    pub(crate) fn check(
        &self,
        dropout: Option<LoraDropout>,
        validation: Option<&Targets>,
    ) -> Result<(), MaskSearchError> {
        let rises = self.ladder.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = self.ladder.iter().all(|p| *p > 0.0 && *p < 1.0);
        if self.ladder.is_empty() || !rises || !in_range {
            return Err(MaskSearchError::Ladder {
                ladder: self.ladder.clone(),
            });
        }
        if !(self.tolerance.is_finite() && self.tolerance >= 0.0) {
            return Err(MaskSearchError::Tolerance {
                found: self.tolerance,
            });
        }
        match dropout.map(|dropout| dropout.rescale) {
            None => return Err(MaskSearchError::NoMasks),
            Some(Rescale::Plain) => return Err(MaskSearchError::PlainMasks),
            Some(Rescale::Rescaled) => {}
        }
        let task = match validation.ok_or(MaskSearchError::NoEvaluation)? {
            Targets::Positions(_) => "a task of tokens (tags of words, or a text that is written)",
            Targets::Spans(_) => "question answering",
            Targets::Choices(_) => "multiple choice",
            Targets::None | Targets::Classes(_) | Targets::Labels(_) | Targets::Values(_) => return Ok(()),
        };
        Err(MaskSearchError::Task { task })
    }
}

/// From which step on masks have which probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskChange {
    /// Optimizer steps done: it holds for those after them.
    pub step: u64,
    /// The step to whose state training went back; none at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// The probability.
    pub probability: f64,
}

impl MaskChange {
    /// In words, for whoever knows the probability before.
    pub fn in_words(&self, before: f64) -> String {
        let Self {
            step,
            back_to,
            probability,
        } = self;
        match back_to {
            None => format!("p {probability} at first"),
            // A training goes on with a larger p alone.
            Some(back_to) if *probability > before => {
                format!(
                    "p {before} → {probability}: goes on at step {} from the weights of step {back_to}",
                    step + 1
                )
            }
            Some(back_to) => {
                format!("p {probability}: ends after step {step} with the weights of step {back_to}")
            }
        }
    }

    /// All of a training in words, a line each; none where p was given.
    pub fn all_in_words(changes: &[Self]) -> Vec<String> {
        let Some(first) = changes.first() else {
            return Vec::new();
        };
        let of_pair = |pair: &[Self]| pair[1].in_words(pair[0].probability);
        let later = changes.windows(2).map(of_pair);
        std::iter::once(first.in_words(first.probability))
            .chain(later)
            .collect()
    }

    /// The probabilities that a training tried, in words: `p 0.3 → 0.5`; none where p was given.
    pub fn tried_in_words(changes: &[Self]) -> Option<String> {
        let mut tried: Vec<f64> = Vec::new();
        for change in changes {
            if tried.last().is_none_or(|last| change.probability > *last) {
                tried.push(change.probability);
            }
        }
        let tried: Vec<String> = tried.iter().map(f64::to_string).collect();
        (!tried.is_empty()).then(|| format!("p {}", tried.join(" → ")))
    }

    /// The probability that the weights after `step` were trained under.
    fn in_force(changes: &[Self], step: u64) -> Option<f64> {
        let before = changes.iter().rev().find(|change| change.step < step);
        before.map(|change| change.probability)
    }
}

impl History {
    /// Which state the adapter of a training that came to its end is, in words; none where p was given.
    pub fn kept_in_words(&self) -> Option<String> {
        let changes = &self.mask_changes;
        let probability = changes.last()?.probability;
        let step = self.best_step?;
        let finite = self.evaluations.iter().filter(|each| each.loss.is_finite());
        let lowest = finite.min_by(|left, right| left.loss.total_cmp(&right.loss));
        let kept = self.evaluations.iter().find(|each| each.step == step);
        let losses = match (kept, lowest) {
            (Some(kept), Some(lowest)) if kept.loss <= lowest.loss => {
                format!(" (validation loss {:.3}, the lowest)", kept.loss)
            }
            (Some(kept), Some(lowest)) => {
                let under = MaskChange::in_force(changes, lowest.step);
                let under = under.map_or_else(String::new, |p| format!(" under p {p}"));
                format!(
                    " (validation loss {:.3}; the lowest was {:.3} at step {}{under}, within noise)",
                    kept.loss, lowest.loss, lowest.step
                )
            }
            _ => String::new(),
        };
        Some(format!(
            "the adapter is that of step {step}, with p {probability}{losses}"
        ))
    }
}
