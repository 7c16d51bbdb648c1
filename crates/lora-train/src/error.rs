//! Why a training ends without a model.

use lora_eval::EvalError;
use thiserror::Error;

use crate::config::TrainConfigError;
use crate::mask_schedule::MaskSearchError;
use crate::metric::Metric;
use crate::state::StateError;
use crate::variational::VariationalError;

/// A training that cannot start or go on.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrainError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] TrainConfigError),
    /// The model has no trained parameter.
    #[error("the model has no trained parameter: attach adapters before training")]
    NothingTrained,
    /// AdaLoRA's budget has no steps to shrink in.
    #[error(
        "tinit is {tinit} and tfinal {tfinal}, but the training has {total_steps} steps: AdaLoRA's budget shrinks in the steps \
         between them; lower tinit or tfinal, or train longer"
    )]
    Budget {
        /// Steps before the budget shrinks.
        tinit: u64,
        /// Steps after it has.
        tfinal: u64,
        /// All steps.
        total_steps: u64,
    },
    /// AdaLoRA's number of steps is another one than the training's.
    #[error(
        "total_step is {total_step}, but the training has {total_steps} steps: AdaLoRA's budget would shrink on the schedule of \
         another training; leave total_step out, or set it to the number of steps (`Adapted::set_total_step`)"
    )]
    TotalStep {
        /// The value in the adapter's settings.
        total_step: u64,
        /// Steps of the training.
        total_steps: u64,
    },
    /// An earlier training has shared out AdaLoRA's budget.
    #[error(
        "an earlier training has cut the triplets of `{path}`, and a budget is shared out once; merge the adapter into its base \
         model, and train a new one on that"
    )]
    RanksAreCut {
        /// A linear whose triplets are cut.
        path: String,
    },
    /// A data set without examples.
    #[error("the {split} set is empty: expected at least one example")]
    NoExamples {
        /// Training or validation.
        split: &'static str,
    },
    /// A data set without labels.
    #[error("the {split} set has no labels: give a file with a label column")]
    NoTargets {
        /// Training or validation.
        split: &'static str,
    },
    /// Weights of classes for a task without named classes of texts.
    #[error(
        "class_weights is set, but this task has no classes of texts: remove it, or train a classification of texts"
    )]
    ClassWeightsTask,
    /// A weight for a label that there is not.
    #[error("class_weights names `{label}`, which is no label of the training rows: expected {}", known.join(", "))]
    UnknownClassWeight {
        /// The name.
        label: String,
        /// The labels there are.
        known: Vec<String>,
    },
    /// A way to change the loss that a task does not have.
    #[error("{key} is set, but {task} has no such loss: remove it")]
    LossOfTask {
        /// The key.
        key: &'static str,
        /// The kind of task.
        task: &'static str,
    },
    /// The metric does not belong to the task.
    #[error("metric_for_best_model is `{metric}`, which {task} does not have: expected {choices}")]
    Metric {
        /// The metric.
        metric: Metric,
        /// The kind of task.
        task: &'static str,
        /// The metrics it has.
        choices: &'static str,
    },
    /// Loss or gradient is no longer a finite number.
    #[error(
        "training diverged in step {step}: the loss is {loss} and the norm of the gradient {grad_norm} at learning rate \
         {learning_rate:e}; lower learning_rate, add warmup, or check the data"
    )]
    Diverged {
        /// The optimizer step, counted from 1; its update was not applied.
        step: u64,
        /// The loss.
        loss: f64,
        /// Norm of the gradient before clipping.
        grad_norm: f64,
        /// The learning rate of the step.
        learning_rate: f64,
    },
    /// A model whose blocks take no noise of `HiddenKey`.
    #[error(
        "hidden_key drops keys of attention and cuts outputs of feed-forward blocks, and this model has no blocks that take such noise: \
         remove hidden_key, or train a model of the library"
    )]
    HiddenKey,
    /// Two methods that change the loss of a step, each in a way of its own.
    #[error("hidden_key cannot be trained together with a variational A (blob): remove one of them")]
    HiddenKeyAndVariational,
    /// The factors A cannot be variational.
    #[error(transparent)]
    Variational(#[from] VariationalError),
    /// No p can be looked for.
    #[error(transparent)]
    MaskSearch(#[from] MaskSearchError),
    /// A state that the training cannot go on from.
    #[error("the training cannot be resumed: {0}")]
    State(#[from] StateError),
    /// The outputs on the validation set cannot be scored.
    #[error("evaluation after step {step}: {source}")]
    Evaluation {
        /// The optimizer step, counted from 1.
        step: u64,
        /// What is wrong.
        source: EvalError,
    },
}
