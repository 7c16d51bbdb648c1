//! Training adapters: LoRA Dropout's objective, AdamW on adapters and heads, the loop.
//!
//! | file | holds |
//! |---|---|
//! | `config` | [`TrainConfig`]: what the user chooses, under Hugging Face's names |
//! | `grouping` | [`MaskGrouping`]: which rows of a pass share a mask |
//! | `schedule` | [`Schedule`]: the learning rate as a function of the step |
//! | `loss` | [`batch_loss`]: which outputs are judged, and how |
//! | `criterion` | [`Criterion`]: weights of classes, smoothed labels, focal loss |
//! | `objective` | [`Objective`]: N masks a step, losses and gradients averaged |
//! | `hidden_key` | [`HiddenKeySettings`]: keys and hidden representations dropped, two passes held together |
//! | `gradients` | the norm that clipping needs; gradients by PEFT's names |
//! | `optimizer` | [`AdapterOptimizer`]: AdamW with a learning rate for A, B and heads |
//! | `allocator` | [`RankAllocator`]: AdaLoRA's importance and budget |
//! | `trainer` | [`Trainer`]: one optimizer step at a time |
//! | `metric`, `best` | [`Metric`]: which model is the best, and when to stop |
//! | `event` | [`Event`], [`Observer`]: what the loop tells its caller |
//! | `swag` | [`SwagCollector`]: a Gaussian over the parameters from where training passes by |
//! | `variational` | [`VariationalA`]: a Gaussian over the factors A, learned with them |
//! | `fit` | [`fit()`]: the loop, and [`Fitted`], its result |
//!
//! The model comes in through [`lora_core::Model`], so this crate knows no family of models. Nothing here prints,
//! keeps time or writes files: an observer does. Optimizer and gradients are burn-optim's. Burn's `Learner` is not
//! used: it validates, saves and stops early by whole epochs only, and its training step sees a batch but not the
//! number of the step, which masks are drawn from; clipping there is by tensor, and accumulated gradients are summed.
//!
//! ```
//! use lora_train::{MaskGrouping, TrainConfig};
//!
//! let config: TrainConfig = serde_json::from_str(
//!     r#"{
//!         "learning_rate": 5e-4,
//!         "num_train_epochs": 10,
//!         "per_device_train_batch_size": 16,
//!         "warmup_ratio": 0.06,
//!         "masks_per_step": 4,
//!         "mask_grouping": "example",
//!         "early_stopping_patience": 3
//!     }"#,
//! )?;
//! config.validate()?;
//! assert_eq!(config.mask_grouping, MaskGrouping::Example);
//! assert_eq!(config.total_steps(100), 70); // 7 batches, the last one of 4 rows, ten times
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocator;
mod best;
mod config;
mod criterion;
mod error;
mod event;
mod fit;
mod gradients;
mod grouping;
mod hidden_key;
mod loss;
mod metric;
mod objective;
mod optimizer;
mod schedule;
mod swag;
mod trainer;
mod variational;

pub use allocator::{FactorGradients, RankAllocator};
pub use config::{EvalStrategy, TrainConfig, TrainConfigError};
pub use criterion::{ClassWeights, Criterion};
pub use error::TrainError;
pub use event::{Checkpoint, Evaluation, Event, FinishReason, Flow, Observer, Plan};
pub use fit::{FitData, Fitted, History, fit, fit_variational};
pub use gradients::{clip_factor, global_norm, named_gradients, scale};
pub use grouping::{MaskGrouping, UnknownGrouping};
pub use hidden_key::HiddenKeySettings;
pub use loss::{batch_loss, loss};
pub use metric::Metric;
pub use objective::{LossAndGradients, Objective, backward};
pub use optimizer::{AdapterOptimizer, learning_rate_of};
pub use schedule::Schedule;
pub use swag::{SWAG_SCALE, Swag, SwagCollector, SwagError, SwagMoments, SwagSettings};
pub use trainer::{StepReport, Trainer};
pub use variational::{KlWeight, VariationalA, VariationalError, VariationalPosterior, VariationalSettings};

/// The book's page on calibration methods, compiled and run as a test.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/calibration.md")]
    pub struct Calibration;
}
