//! What the user chooses about training.

mod checks;
mod class_weights;
mod hidden_key;
#[cfg(test)]
mod tests;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use checks::TrainConfigError;
pub use class_weights::ClassWeights;
pub use hidden_key::HiddenKeySettings;

use crate::grouping::MaskGrouping;
use crate::metric::Metric;
use crate::schedule::Schedule;

/// Settings of the training loop. Plain data; [`TrainConfig::validate`] checks it once.
///
/// Fields are the keys of a configuration file. They have the names and defaults of Hugging Face's
/// `TrainingArguments` where these exist; the learning rate, the number of epochs and the batch size have to be
/// chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Learning rate of the factors A and of biases; those of B and of the head follow from it.
    pub learning_rate: f64,
    /// Passes over the training set; a fraction ends within an epoch.
    pub num_train_epochs: f64,
    /// Rows of a batch.
    pub per_device_train_batch_size: usize,

    /// LoRA+ (arXiv 2402.12354): the learning rate of B is this many times that of A. 1 is plain LoRA.
    #[serde(default = "defaults::one")]
    pub loraplus_lr_ratio: f64,
    /// Learning rate of modules that are trained in full, such as the head; none: [`TrainConfig::learning_rate`].
    #[serde(default)]
    pub head_learning_rate: Option<f64>,
    /// Decoupled weight decay of every trained parameter.
    #[serde(default)]
    pub weight_decay: f64,
    /// Decay of AdamW's first moment.
    #[serde(default = "defaults::adam_beta1")]
    pub adam_beta1: f64,
    /// Decay of AdamW's second moment.
    #[serde(default = "defaults::adam_beta2")]
    pub adam_beta2: f64,
    /// AdamW's ε.
    #[serde(default = "defaults::adam_epsilon")]
    pub adam_epsilon: f64,
    /// The gradient of all trained parameters together is scaled down to this norm; 0: never.
    #[serde(default = "defaults::one")]
    pub max_grad_norm: f64,

    /// How the learning rate goes on after warmup.
    #[serde(default)]
    pub lr_scheduler_type: Schedule,
    /// Steps in which the learning rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// The same as a share of all steps, rounded up.
    #[serde(default)]
    pub warmup_ratio: f64,
    /// Number of optimizer steps, in place of [`TrainConfig::num_train_epochs`].
    #[serde(default)]
    pub max_steps: Option<u64>,
    /// Batches an optimizer step.
    #[serde(default = "defaults::one_batch")]
    pub gradient_accumulation_steps: usize,

    /// LoRA Dropout's N: masks that loss and gradient are averaged over in a step, one pass each.
    #[serde(default = "defaults::one_batch")]
    pub masks_per_step: usize,
    /// Which rows of a pass share a mask.
    #[serde(default)]
    pub mask_grouping: MaskGrouping,
    /// `HiddenKey`: keys are dropped and hidden representations cut in training; none: they are not.
    #[serde(default)]
    pub hidden_key: Option<HiddenKeySettings>,
    /// How much classes count in the loss; none: all alike.
    #[serde(default)]
    pub class_weights: Option<ClassWeights>,
    /// ε: share of a label that is spread evenly over all classes.
    #[serde(default)]
    pub label_smoothing_factor: f64,
    /// γ of the focal loss; 0 is cross-entropy.
    #[serde(default)]
    pub focal_loss_gamma: f64,
    /// Seed of the order of examples and of masks.
    #[serde(default = "defaults::seed")]
    pub seed: u64,

    /// When the validation set is evaluated.
    #[serde(default, deserialize_with = "word_or_no")]
    pub eval_strategy: EvalStrategy,
    /// Optimizer steps between evaluations, for [`EvalStrategy::Steps`].
    #[serde(default)]
    pub eval_steps: Option<u64>,
    /// Rows of an evaluation batch.
    #[serde(default = "defaults::eval_batch_size")]
    pub per_device_eval_batch_size: usize,
    /// Which model is the best.
    #[serde(default)]
    pub metric_for_best_model: Metric,
    /// Training ends after this many evaluations in a row without improvement; none: never.
    #[serde(default)]
    pub early_stopping_patience: Option<u64>,
    /// What counts as an improvement must be larger than this, in the unit of the metric.
    #[serde(default)]
    pub early_stopping_threshold: f64,
}

/// When the validation set is evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalStrategy {
    /// Never: the best model is the last one.
    No,
    /// After every epoch, and at the end.
    #[default]
    Epoch,
    /// After every [`TrainConfig::eval_steps`] steps, and at the end.
    Steps,
}

/// Reads a word of which one is `no`: YAML takes that, without quotes, for false.
///
/// # Errors
///
/// If it is none of the words.
pub fn word_or_no<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::Bool(false) => Value::from("no"),
        value => value,
    };
    serde_json::from_value(value).map_err(D::Error::custom)
}

impl TrainConfig {
    /// Every key, in the order of the fields.
    pub const KEYS: [&'static str; 28] = [
        "learning_rate",
        "num_train_epochs",
        "per_device_train_batch_size",
        "loraplus_lr_ratio",
        "head_learning_rate",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "max_grad_norm",
        "lr_scheduler_type",
        "warmup_steps",
        "warmup_ratio",
        "max_steps",
        "gradient_accumulation_steps",
        "masks_per_step",
        "mask_grouping",
        "hidden_key",
        "class_weights",
        "label_smoothing_factor",
        "focal_loss_gamma",
        "seed",
        "eval_strategy",
        "eval_steps",
        "per_device_eval_batch_size",
        "metric_for_best_model",
        "early_stopping_patience",
        "early_stopping_threshold",
    ];

    /// The settings that have to be chosen, and the defaults of all others.
    pub fn new(learning_rate: f64, num_train_epochs: f64, per_device_train_batch_size: usize) -> Self {
        Self {
            learning_rate,
            num_train_epochs,
            per_device_train_batch_size,
            loraplus_lr_ratio: defaults::one(),
            head_learning_rate: None,
            weight_decay: 0.0,
            adam_beta1: defaults::adam_beta1(),
            adam_beta2: defaults::adam_beta2(),
            adam_epsilon: defaults::adam_epsilon(),
            max_grad_norm: defaults::one(),
            lr_scheduler_type: Schedule::default(),
            warmup_steps: 0,
            warmup_ratio: 0.0,
            max_steps: None,
            gradient_accumulation_steps: defaults::one_batch(),
            masks_per_step: defaults::one_batch(),
            mask_grouping: MaskGrouping::default(),
            hidden_key: None,
            class_weights: None,
            label_smoothing_factor: 0.0,
            focal_loss_gamma: 0.0,
            seed: defaults::seed(),
            eval_strategy: EvalStrategy::default(),
            eval_steps: None,
            per_device_eval_batch_size: defaults::eval_batch_size(),
            metric_for_best_model: Metric::default(),
            early_stopping_patience: None,
            early_stopping_threshold: 0.0,
        }
    }

    /// Optimizer steps of one epoch; the last one may hold fewer batches, and its last batch fewer rows.
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        let batches = examples.div_ceil(self.per_device_train_batch_size);
        batches.div_ceil(self.gradient_accumulation_steps) as u64
    }

    /// Optimizer steps of the whole training on so many examples.
    pub fn total_steps(&self, examples: usize) -> u64 {
        self.max_steps.unwrap_or_else(|| {
            let steps = self.num_train_epochs * self.steps_per_epoch(examples) as f64;
            whole(steps.ceil())
        })
    }

    /// Steps of warmup, out of so many.
    pub fn warmup_steps_of(&self, total_steps: u64) -> u64 {
        if self.warmup_ratio > 0.0 {
            whole((total_steps as f64 * self.warmup_ratio).ceil())
        } else {
            self.warmup_steps
        }
    }
}

/// A number of steps that was computed as a float.
#[expect(
    clippy::cast_sign_loss,
    reason = "epochs and shares are checked not to be negative"
)]
fn whole(steps: f64) -> u64 {
    steps as u64
}

mod defaults {
    pub(super) fn one() -> f64 {
        1.0
    }
    pub(super) fn adam_beta1() -> f64 {
        0.9
    }
    pub(super) fn adam_beta2() -> f64 {
        0.999
    }
    pub(super) fn adam_epsilon() -> f64 {
        1e-8
    }
    pub(super) fn one_batch() -> usize {
        1
    }
    pub(super) fn seed() -> u64 {
        42
    }
    pub(super) fn eval_batch_size() -> usize {
        32
    }
}
