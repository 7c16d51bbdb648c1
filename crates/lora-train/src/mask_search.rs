//! p of LoRA Dropout, moved while the training runs: `mask_probability: auto`.
//!
//! After each evaluation two losses are held against each other: L, the mean loss of the training steps since the evaluation before, under their
//! masks, and V, the validation loss in the middle of these steps (the mean of the two evaluations around them), with its standard error e.
//!
//! | L | what it says | p |
//! |---|---|---|
//! | below (V − e) / 2 | training learns what validation does not confirm | rises |
//! | between | | stays |
//! | above V + e | the masks hide more than there is to overfit | falls |
//!
//! p moves on the scale of log-odds, by the logarithm of the factor that L is away from the edge, and by 1 at most. A larger p raises L at once, so
//! p comes to rest where the training loss under masks is half the validation loss. It begins low, because masks slow down learning most when
//! little is learned (curriculum dropout, arXiv 1703.06229, says the same of dropout).
//!
//! Masks are rescaled, so the mean pass does not change with p, and nothing but p is carried from one evaluation to the next: the rest is
//! read from the history. A training that is resumed with its history and its p goes on as it would have.

use lora_core::{LoraConfig, Rescale};
use thiserror::Error;

use crate::config::{EvalStrategy, TrainConfig};
use crate::event::Evaluation;
use crate::trainer::StepReport;

/// L under which p rises, as a share of V − e.
const LEAST_SHARE: f64 = 0.5;
/// Log-odds by which p moves at most.
const LONGEST_MOVE: f64 = 1.0;
/// Where p stays: with none no mask would tell members apart, with more nothing is learned.
const LOWEST: f64 = 0.05;
const HIGHEST: f64 = 0.9;

/// A training that cannot move p.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MaskSearchError {
    /// No masks to begin with.
    #[error(
        "p of LoRA Dropout is to be moved, but the adapters have no masks: give LoraConfig a dropout to begin with"
    )]
    NoMasks,
    /// The mean pass would change with p.
    #[error(
        "mask_probability is auto, but masks are plain, and with them the update of a pass without masks would change with p: set \
         mask_rescale to rescaled"
    )]
    PlainMasks,
    /// Nothing to compare with.
    #[error(
        "mask_probability is auto, which compares the training loss with the validation loss after each evaluation, but there is none: \
         give validation rows and set eval_strategy to epoch or steps, or give a number"
    )]
    NoValidation,
    /// Two losses that cannot be compared.
    #[error(
        "mask_probability is auto, which compares the training loss with the validation loss, and {key} changes the training loss \
         alone: remove it, or give a number"
    )]
    OtherLoss {
        /// What changes it.
        key: &'static str,
    },
}

/// Whether p can be moved with these settings.
///
/// # Errors
///
/// The first [`MaskSearchError`] found.
pub fn check(
    lora: Option<&LoraConfig>,
    config: &TrainConfig,
    has_validation: bool,
) -> Result<(), MaskSearchError> {
    let dropout = lora
        .and_then(|lora| lora.dropout)
        .ok_or(MaskSearchError::NoMasks)?;
    if dropout.rescale == Rescale::Plain {
        return Err(MaskSearchError::PlainMasks);
    }
    if !has_validation || config.eval_strategy == EvalStrategy::No {
        return Err(MaskSearchError::NoValidation);
    }
    let is_regularized = |lora: &LoraConfig| {
        lora.adalora()
            .is_some_and(|adalora| adalora.orth_reg_weight > 0.0)
    };
    let changed = [
        ("class_weights", config.class_weights.is_some()),
        ("label_smoothing_factor", config.label_smoothing_factor > 0.0),
        ("focal_loss_gamma", config.focal_loss_gamma > 0.0),
        ("hidden_key", config.hidden_key.is_some()),
        ("orth_reg_weight", lora.is_some_and(is_regularized)),
    ];
    match changed.into_iter().find(|(_, is_changed)| *is_changed) {
        Some((key, _)) => Err(MaskSearchError::OtherLoss { key }),
        None => Ok(()),
    }
}

/// What an evaluation says about p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Losses {
    /// L.
    training: f64,
    /// V.
    validation: f64,
    /// e; infinite where nothing is known of it.
    error: f64,
}

impl Losses {
    /// At the last of these evaluations, whose loss has this standard error. None before the first evaluation or without a step since the
    /// one before.
    pub(crate) fn of(steps: &[StepReport], evaluations: &[Evaluation], error: f64) -> Option<Self> {
        let (last, before) = evaluations.split_last()?;
        let before = before.last();
        let since = before.map_or(0, |evaluation| evaluation.step);
        let losses: Vec<f64> = steps
            .iter()
            .rev()
            .take_while(|step| step.step > since)
            .map(|step| step.loss)
            .collect();
        (!losses.is_empty()).then(|| Self {
            training: losses.iter().sum::<f64>() / losses.len() as f64,
            validation: before.map_or(last.loss, |before| f64::midpoint(before.loss, last.loss)),
            error,
        })
    }

    /// p of the steps to come, after this one.
    pub(crate) fn next(self, probability: f64) -> f64 {
        let Self {
            training,
            validation,
            error,
        } = self;
        let (low, high) = (LEAST_SHARE * (validation - error), validation + error);
        let change = if training < low {
            (low / training).ln().min(LONGEST_MOVE)
        } else if training > high {
            -(training / high).ln().min(LONGEST_MOVE)
        } else {
            return probability;
        };
        let odds = probability / (1.0 - probability) * change.exp();
        (odds / (1.0 + odds)).clamp(LOWEST, HIGHEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Training loss, validation loss and its error, and p.
    fn moved(training: f64, validation: f64, error: f64) -> f64 {
        let losses = Losses {
            training,
            validation,
            error,
        };
        losses.next(0.2)
    }

    #[test]
    fn p_rises_by_the_factor_that_training_is_below_half_of_validation() {
        // Odds of 1/4 times (1 − 0.2) / 2 / 0.25 = 1.6: 0.4, which is a probability of 2/7.
        assert!((moved(0.25, 1.0, 0.2) - 2.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn p_falls_by_the_factor_that_training_is_above_validation() {
        // Odds of 1/4 / (1.8 / (1 + 0.2)) = 1/6: a probability of 1/7.
        assert!((moved(1.8, 1.0, 0.2) - 1.0 / 7.0).abs() < 1e-12);
    }

    #[test]
    fn what_validation_noise_explains_moves_nothing() {
        for (training, error) in [
            (0.4, 0.2),
            (0.9, 0.0),
            (1.2, 0.2),
            (0.0, f64::INFINITY),
            (9.0, f64::INFINITY),
        ] {
            assert!(
                (moved(training, 1.0, error) - 0.2).abs() < 1e-12,
                "{training}, {error}"
            );
        }
    }

    #[test]
    fn p_moves_by_one_in_log_odds_at_most_and_stays_within_its_range() {
        let e = std::f64::consts::E;
        assert!((moved(0.0, 1.0, 0.1) - e / (4.0 + e)).abs() < 1e-12);
        let mut probability = 0.5;
        let over = |training| Losses {
            training,
            validation: 1.0,
            error: 0.0,
        };
        for _ in 0..20 {
            probability = over(0.0).next(probability);
        }
        assert!((probability - HIGHEST).abs() < 1e-12);
        for _ in 0..20 {
            probability = over(9.0).next(probability);
        }
        assert!((probability - LOWEST).abs() < 1e-12);
    }

    #[test]
    fn losses_are_those_of_the_steps_since_the_evaluation_before() {
        let step = |step: u64, loss| StepReport {
            step,
            loss,
            grad_norm: 1.0,
            learning_rate: 0.1,
        };
        let evaluation = |step: u64, loss| Evaluation {
            step,
            epoch: 1.0,
            loss,
            metric: None,
            is_best: false,
            mask_probability: None,
        };
        let steps = [step(1, 3.0), step(2, 2.0), step(3, 1.0), step(4, 0.5)];
        let found = Losses::of(&steps, &[evaluation(2, 2.5), evaluation(4, 1.5)], 0.1);
        assert_eq!(
            found,
            Some(Losses {
                training: 0.75,
                validation: 2.0,
                error: 0.1
            })
        );
        let first = Losses::of(&steps[..2], &[evaluation(2, 2.5)], 0.1);
        assert_eq!(
            first,
            Some(Losses {
                training: 2.5,
                validation: 2.5,
                error: 0.1
            })
        );
        assert_eq!(Losses::of(&steps, &[], 0.1), None);
    }
}
