//! The loop: epochs, steps, evaluations, the best model.

mod run;
mod standing;
mod validation;

use lora_core::{Adapted, Model};
use lora_data::{Batch, EncodedDataset, Padding, Targets};
use serde::{Deserialize, Serialize};

use self::run::Run;
use self::standing::Standing;
use self::validation::Validation;
use crate::config::{EvalStrategy, TrainConfig};
use crate::error::TrainError;
use crate::event::{Evaluation, FinishReason, Observer, TrainingPlan};
use crate::mask_schedule::{MaskChange, MaskSchedule, MaskSearchError};
use crate::mask_search::MaskSearch;
use crate::state::TrainingState;
use crate::trainer::{StepReport, Trainer};
use crate::variational::{VariationalA, VariationalSettings};

/// The data of a training.
#[derive(Clone, Copy, Debug)]
pub struct FitData<'a> {
    /// What is learned.
    pub train: &'a EncodedDataset,
    /// What models are compared by; without it the best model is the last one.
    pub validation: Option<&'a EncodedDataset>,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
}

/// A trained model. All models are in validation mode.
#[derive(Clone, Debug)]
pub struct Fitted<M> {
    /// The model of the best evaluation; the last one if there was none, or if a [`MaskSchedule`] was followed: then the training has gone
    /// back by itself where that was better.
    pub best: Adapted<M>,
    /// The model of the last step.
    pub last: Adapted<M>,
    /// The standard deviations that belong to the best model, of a training with a variational A.
    pub variational: Option<VariationalA>,
    /// What happened on the way.
    pub history: History,
}

/// The values of a training, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What was planned.
    pub plan: TrainingPlan,
    /// Every optimizer step.
    pub steps: Vec<StepReport>,
    /// Every evaluation.
    pub evaluations: Vec<Evaluation>,
    /// Optimizer steps of the best model; none without evaluation.
    pub best_step: Option<u64>,
    /// The probability of masks from which step on, where one was looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask_changes: Vec<MaskChange>,
    /// Why it ended.
    pub finish: FinishReason,
}

/// Trains adapters and heads: a seeded, length-bucketed order of the examples for each epoch, one
/// [`Trainer::step`] for every `gradient_accumulation_steps` batches, evaluations with the mean pass, early stopping.
///
/// The result is a function of its arguments: one seed gives the same bits on one device.
///
/// # Errors
///
/// [`TrainError`] if a setting or a data set cannot be used, or the training diverges.
pub fn fit<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    fit_from(adapted, config, data, Start::default(), observer)
}

/// As [`fit()`] with a variational A (see [`VariationalA`]), which evaluations take at its mean. Members of the ensemble are drawn from
/// [`VariationalA::posterior`] of the best model.
///
/// # Errors
///
/// As [`fit()`]; [`TrainError::Variational`].
pub fn fit_variational<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    settings: VariationalSettings,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    let start = Start {
        variational: Some(settings),
        ..Start::default()
    };
    fit_from(adapted, config, data, start, observer)
}

/// How a training begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Settings of a variational A; none: the factors are points.
    pub variational: Option<VariationalSettings>,
    /// How a probability of masks is looked for; none: it is what the adapters say.
    pub mask_schedule: Option<MaskSchedule>,
    /// Where the training stands (see [`Observer::between_steps`]); none: at the first step.
    pub state: Option<TrainingState>,
}

/// As [`fit()`], from where a training with the same arguments stood. The result is the same to the bit as that of a training that was
/// not interrupted, history and all; an observer hears of the plan again, and else only of what is still to come (what was before is in
/// [`History::of_state`]).
///
/// # Errors
///
/// As [`fit()`]; [`TrainError::State`] if the state is that of a training on other rows, of another model or with other settings.
pub fn fit_from<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    start: Start,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    data.check(config)?;
    let examples = data.train.len();
    let (steps, steps_per_epoch) = (config.total_steps(examples), config.steps_per_epoch(examples));
    let plan = TrainingPlan {
        steps,
        steps_per_epoch,
        epochs: steps as f64 / steps_per_epoch as f64,
        examples,
    };
    let mut trainer = Trainer::new(adapted, config.clone(), steps)?;
    if let Some(settings) = start.variational {
        trainer = trainer.with_variational(settings, examples)?;
    }
    if let Some(weights) = &config.class_weights {
        trainer = trainer.with_class_weights(weights.of(data.train)?);
    }
    if steps > steps_per_epoch {
        trainer = trainer.with_rows_of(&data.train.lengths());
    }
    let validation = data
        .validation
        .filter(|_| config.eval_strategy != EvalStrategy::No);
    let mut masks = None;
    if let Some(schedule) = start.mask_schedule {
        if trainer.variational().is_some() {
            return Err(MaskSearchError::Variational.into());
        }
        let judged = validation.map(|dataset| &dataset.targets);
        schedule.check(trainer.adapted().dropout(), judged)?;
        let search = MaskSearch::new(schedule);
        trainer.set_mask_probability(search.probability());
        masks = Some(search);
    }
    let validation = validation.map(|dataset| {
        let states = trainer.adapted().frozen_states(&dataset.lengths());
        Validation::new(dataset, states, config, data.padding)
    });
    let mut standing = Standing::new(trainer, masks, config, data, plan);
    if let Some(state) = start.state {
        standing = standing.restore(state)?;
    }
    Run {
        standing,
        config,
        data,
        validation,
        observer,
    }
    .finish_all()
}

impl History {
    /// Of a training that stands there; none if that is no state of one.
    pub fn of_state(state: &TrainingState) -> Option<Self> {
        let history = state.values().get("history")?;
        Self::deserialize(history).ok()
    }
}

impl FitData<'_> {
    /// Whether [`fit()`] can begin with these settings; it checks this itself, but a caller may want to know before it
    /// writes anything.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if a setting or a data set cannot be used.
    pub fn check(&self, config: &TrainConfig) -> Result<(), TrainError> {
        config.validate()?;
        check("training", self.train)?;
        if let Some(weights) = &config.class_weights {
            weights.of(self.train)?;
        }
        if let Some(validation) = self.validation {
            check("validation", validation)?;
            config.metric_for_best_model.check(&validation.targets)?;
        }
        let has_a_loss = |key, is_set: bool| match (&self.train.targets, is_set) {
            (Targets::Values(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "a regression",
            }),
            (Targets::Spans(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "question answering",
            }),
            (Targets::Choices(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "multiple choice",
            }),
            _ => Ok(()),
        };
        has_a_loss("label_smoothing_factor", config.label_smoothing_factor > 0.0)?;
        has_a_loss("focal_loss_gamma", config.focal_loss_gamma > 0.0)?;
        Ok(())
    }
}

fn check(split: &'static str, dataset: &EncodedDataset) -> Result<(), TrainError> {
    if dataset.is_empty() {
        return Err(TrainError::NoExamples { split });
    }
    match dataset.targets {
        Targets::None => Err(TrainError::NoTargets { split }),
        _ => Ok(()),
    }
}
