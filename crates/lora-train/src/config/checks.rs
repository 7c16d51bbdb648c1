//! Which settings cannot be used, and why.

use thiserror::Error;

use super::{ClassWeights, EvalStrategy, HiddenKeySettings, TrainConfig};
use crate::grouping::MaskGrouping;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrainConfigError {
    /// A number out of its range.
    #[error("{key} is {found}: expected {expected}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The value.
        found: f64,
        /// The range, and what is usual.
        expected: &'static str,
    },
    /// A count of zero.
    #[error("{key} is 0: expected at least 1; {fix}")]
    Zero {
        /// The key.
        key: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// A setting of `HiddenKey` out of its range.
    #[error("{setting} of hidden_key is {found}: expected a number {expected}")]
    HiddenKey {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: f64,
        /// The range.
        expected: &'static str,
    },
    /// `HiddenKey` without anything to draw.
    #[error(
        "key_probability and cut_probability of hidden_key are both 0, so nothing is dropped: raise one, 0.1 is usual, or remove \
         hidden_key"
    )]
    HiddenKeyWithoutNoise,
    /// A weight of a class that is no positive number.
    #[error(
        "class_weights gives `{label}` the weight {found}: expected a positive number, 1 counts as usual"
    )]
    ClassWeight {
        /// The label.
        label: String,
        /// The weight.
        found: f64,
    },
    /// Two answers to labels that are trusted too much.
    #[error(
        "label_smoothing_factor is {smoothing} and focal_loss_gamma is {gamma}: the focal loss is defined for labels that are not          smoothed, set one of them to 0"
    )]
    SmoothedFocal {
        /// Value of `label_smoothing_factor`.
        smoothing: f64,
        /// Value of `focal_loss_gamma`.
        gamma: f64,
    },
    /// Both ways to give the warmup.
    #[error("warmup_steps is {steps} and warmup_ratio is {ratio}: both set the warmup, remove one of them")]
    TwoWarmups {
        /// Value of `warmup_steps`.
        steps: u64,
        /// Value of `warmup_ratio`.
        ratio: f64,
    },
    /// Evaluation every so many steps, without the number.
    #[error("eval_strategy is steps, but eval_steps is missing: set the number of steps between evaluations")]
    MissingEvalSteps,
    /// Early stopping without anything to judge by.
    #[error(
        "early_stopping_patience is {patience}, but eval_strategy is no: early stopping needs evaluations, set \
         eval_strategy to epoch or steps"
    )]
    EarlyStoppingWithoutEvaluation {
        /// Value of `early_stopping_patience`.
        patience: u64,
    },
}

impl TrainConfig {
    /// Checks every value that can be checked without a model and data.
    ///
    /// # Errors
    ///
    /// The first [`TrainConfigError`] found.
    pub fn validate(&self) -> Result<(), TrainConfigError> {
        self.validate_numbers()?;
        self.validate_counts()?;
        self.hidden_key
            .as_ref()
            .map_or(Ok(()), HiddenKeySettings::validate)?;
        if let Some((label, found)) = self.class_weights.as_ref().and_then(ClassWeights::first_wrong) {
            let label = label.to_owned();
            return Err(TrainConfigError::ClassWeight { label, found });
        }
        if self.label_smoothing_factor > 0.0 && self.focal_loss_gamma > 0.0 {
            return Err(TrainConfigError::SmoothedFocal {
                smoothing: self.label_smoothing_factor,
                gamma: self.focal_loss_gamma,
            });
        }
        if self.warmup_steps > 0 && self.warmup_ratio > 0.0 {
            return Err(TrainConfigError::TwoWarmups {
                steps: self.warmup_steps,
                ratio: self.warmup_ratio,
            });
        }
        match (self.eval_strategy, self.eval_steps, self.early_stopping_patience) {
            (EvalStrategy::Steps, None, _) => Err(TrainConfigError::MissingEvalSteps),
            (EvalStrategy::No, _, Some(patience)) => {
                Err(TrainConfigError::EarlyStoppingWithoutEvaluation { patience })
            }
            _ => Ok(()),
        }
    }

    fn validate_numbers(&self) -> Result<(), TrainConfigError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let decay = |value: f64| (0.0..1.0).contains(&value);
        let head = self.head_learning_rate.unwrap_or(self.learning_rate);
        let checks = [
            (
                "learning_rate",
                self.learning_rate,
                positive(self.learning_rate),
                "a positive number, usually 1e-4 to 1e-3 for LoRA",
            ),
            (
                "num_train_epochs",
                self.num_train_epochs,
                positive(self.num_train_epochs),
                "a positive number of passes over the training set",
            ),
            (
                "loraplus_lr_ratio",
                self.loraplus_lr_ratio,
                positive(self.loraplus_lr_ratio),
                "a positive number: 1 for plain LoRA, 16 is usual for LoRA+",
            ),
            (
                "head_learning_rate",
                head,
                positive(head),
                "a positive number; leave it out to use learning_rate",
            ),
            (
                "weight_decay",
                self.weight_decay,
                not_negative(self.weight_decay),
                "0 or a positive number, 0.01 is usual",
            ),
            (
                "adam_beta1",
                self.adam_beta1,
                decay(self.adam_beta1),
                "a number from 0 up to, but not including, 1; 0.9 is usual",
            ),
            (
                "adam_beta2",
                self.adam_beta2,
                decay(self.adam_beta2),
                "a number from 0 up to, but not including, 1; 0.999 is usual",
            ),
            (
                "adam_epsilon",
                self.adam_epsilon,
                positive(self.adam_epsilon),
                "a small positive number, 1e-8 is usual",
            ),
            (
                "max_grad_norm",
                self.max_grad_norm,
                not_negative(self.max_grad_norm),
                "a positive number, 1 is usual, or 0 for no clipping",
            ),
            (
                "warmup_ratio",
                self.warmup_ratio,
                (0.0..=1.0).contains(&self.warmup_ratio),
                "a share of all steps from 0 to 1, 0.06 is usual",
            ),
            (
                "label_smoothing_factor",
                self.label_smoothing_factor,
                decay(self.label_smoothing_factor),
                "a number from 0 up to, but not including, 1; 0.1 is usual",
            ),
            (
                "focal_loss_gamma",
                self.focal_loss_gamma,
                not_negative(self.focal_loss_gamma),
                "0 for cross-entropy or a positive number, 2 is usual",
            ),
            (
                "early_stopping_threshold",
                self.early_stopping_threshold,
                not_negative(self.early_stopping_threshold),
                "0 or a positive number in the unit of the metric",
            ),
        ];
        match checks.into_iter().find(|(_, _, fits, _)| !fits) {
            Some((key, found, _, expected)) => Err(TrainConfigError::OutOfRange { key, found, expected }),
            None => Ok(()),
        }
    }

    fn validate_counts(&self) -> Result<(), TrainConfigError> {
        let groups = match self.mask_grouping {
            MaskGrouping::Groups(groups) => groups,
            MaskGrouping::Pass | MaskGrouping::Example => 1,
        };
        let checks = [
            (
                "per_device_train_batch_size",
                self.per_device_train_batch_size == 0,
                "8 to 32 is usual",
            ),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps == 0,
                "1 steps after every batch",
            ),
            (
                "masks_per_step",
                self.masks_per_step == 0,
                "1 costs what plain LoRA does, the paper averages over 4",
            ),
            (
                "mask_grouping",
                groups == 0,
                "write pass, example, or a number of groups",
            ),
            (
                "per_device_eval_batch_size",
                self.per_device_eval_batch_size == 0,
                "32 is usual",
            ),
            (
                "max_steps",
                self.max_steps == Some(0),
                "leave it out to train for num_train_epochs",
            ),
            (
                "eval_steps",
                self.eval_steps == Some(0),
                "set the number of steps between evaluations",
            ),
            (
                "early_stopping_patience",
                self.early_stopping_patience == Some(0),
                "leave it out to train to the end",
            ),
        ];
        match checks.into_iter().find(|(_, zero, _)| *zero) {
            Some((key, _, fix)) => Err(TrainConfigError::Zero { key, fix }),
            None => Ok(()),
        }
    }
}
