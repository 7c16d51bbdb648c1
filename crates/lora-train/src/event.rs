//! What the loop tells its caller.

use lora_core::Adapted;
use serde::{Deserialize, Deserializer, Serialize};

use crate::mask_schedule::MaskChange;
use crate::state::TrainingState;
use crate::trainer::{StepReport, Trainer};

/// Something that happened in the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Before the first step; of a training that goes on, before the next one.
    Started(TrainingPlan),
    /// An optimizer step is done.
    Stepped {
        /// Its values.
        report: StepReport,
        /// Passes over the training set so far, as a fraction.
        epoch: f64,
    },
    /// An evaluation goes on.
    Evaluating {
        /// Examples done.
        done: usize,
        /// Examples of the validation set.
        examples: usize,
    },
    /// An evaluation is done.
    Evaluated(Evaluation),
    /// Where p is looked for (see [`MaskSchedule`](crate::MaskSchedule)): the p of the steps that come, before the first one of all, and
    /// whenever training has gone back.
    MasksChanged(MaskChange),
    /// After the last step.
    Finished(FinishReason),
}

/// How long the training will be, at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingPlan {
    /// Optimizer steps.
    pub steps: u64,
    /// Optimizer steps of one pass over the training set.
    pub steps_per_epoch: u64,
    /// Passes over the training set.
    pub epochs: f64,
    /// Examples of the training set.
    pub examples: usize,
}

/// The values of an evaluation with the mean pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Optimizer steps done.
    pub step: u64,
    /// Passes over the training set so far, as a fraction.
    pub epoch: f64,
    /// Negative log-likelihood in nats, or mean squared error.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// `metric_for_best_model`; none where it has no value (the correlation of constants).
    pub metric: Option<f64>,
    /// Expected calibration error of the probabilities; none where single rows have none (numbers, tokens, places). None in results of
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// Whether the metric is better than in all evaluations before.
    pub is_best: bool,
}

/// JSON has null for what is no finite number.
fn null_is_nan<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// All steps are done.
    AllSteps,
    /// The metric did not improve any more, with steps left.
    EarlyStopping,
    /// The observer stopped it.
    Stopped,
}

/// What an observer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the training after what is going on, without further evaluation.
    Stop,
}

/// Which state of the model is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointKind {
    /// The best by `metric_for_best_model` so far.
    Best,
    /// The latest, after an evaluation and at the end.
    Last,
}

/// Who listens to the loop: shows progress, writes checkpoints, stops it. A closure `FnMut(&Event) -> Flow` is one.
pub trait Observer<M> {
    /// Something happened.
    fn on_event(&mut self, event: &Event) -> Flow;

    /// An optimizer step is done; the trainer shows the parameters that it left. Comes after [`Event::Stepped`].
    fn after_step(&mut self, _trainer: &Trainer<M>) -> Flow {
        Flow::Continue
    }

    /// The model, in validation mode, is worth writing. An observer that fails to keeps the error and stops.
    fn on_checkpoint(&mut self, _kind: CheckpointKind, _step: u64, _adapted: &Adapted<M>) -> Flow {
        Flow::Continue
    }

    /// Between two steps, and after the last one, with all that belongs to the one before: the training can go on from here (see
    /// [`fit_from`](crate::fit::fit_from)). `state` gathers what that takes, at the cost of a copy of all that is trained. Comes too when
    /// the training is about to be stopped.
    fn between_steps(&mut self, _trainer: &Trainer<M>, _state: &dyn Fn() -> TrainingState) -> Flow {
        Flow::Continue
    }
}

impl<M, F: FnMut(&Event) -> Flow> Observer<M> for F {
    fn on_event(&mut self, event: &Event) -> Flow {
        self(event)
    }
}
