#![doc = include_str!("../README.md")]
//!
//! | file | holds |
//! |---|---|
//! | `config` | [`TrainConfig`]: what the user chooses, under Hugging Face's names |
//! | `grouping` | [`MaskGrouping`]: which rows of a pass share a mask |
//! | `schedule` | [`Schedule`](schedule::Schedule): the learning rate as a function of the step |
//! | `loss` | [`batch_loss`](loss::batch_loss): which outputs are judged, and how |
//! | `criterion` | [`Criterion`]: weights of classes, smoothed labels, focal loss |
//! | `objective` | [`Objective`](objective::Objective): N masks a step, losses and gradients averaged |
//! | `hidden_key` | [`HiddenKeySettings`]: keys and hidden representations dropped, two passes held together |
//! | `gradients` | the norm that clipping needs; gradients by PEFT's names |
//! | `optimizer` | [`AdapterOptimizer`](optimizer::AdapterOptimizer): AdamW with a learning rate for A, B and heads |
//! | `allocator` | [`RankAllocator`](allocator::RankAllocator): AdaLoRA's importance and budget |
//! | `trainer` | [`Trainer`]: one optimizer step at a time |
//! | `metric`, `best` | [`Metric`]: which model is the best, and when to stop |
//! | `mask_schedule`, `mask_search` | [`MaskSchedule`]: a probability of masks that is found while training, and the rule |
//! | `event` | [`Event`], [`Observer`]: what the loop tells its caller |
//! | `swag` | [`SwagCollector`](swag::SwagCollector): a Gaussian over the parameters from where training passes by |
//! | `state` | [`TrainingState`]: what it takes to go on with a training that was interrupted |
//! | `variational` | [`VariationalA`](variational::VariationalA): a Gaussian over the factors A, learned with them |
//! | `fit` | [`fit()`]: the loop, and [`Fitted`], its result |
//!
//! The model comes in through [`lora_core::Model`], so this crate knows no family of models. Nothing here prints,
//! keeps time or writes files: an observer does. Optimizer and gradients are burn-optim's. Burn's `Learner` is not
//! used: it validates, saves and stops early by whole epochs only, and its training step sees a batch but not the
//! number of the step, which masks are drawn from; clipping there is by tensor, and accumulated gradients are summed.

pub mod allocator;
mod best;
mod config;
mod criterion;
mod error;
pub mod event;
pub mod fit;
pub mod gradients;
pub mod grouping;
pub mod hidden_key;
pub mod loss;
pub mod mask_schedule;
mod mask_search;
mod metric;
pub mod objective;
pub mod optimizer;
mod optimizer_record;
pub mod schedule;
pub mod state;
pub mod swag;
pub mod trainer;
pub mod variational;

pub use config::{ClassWeights, EvalStrategy, HiddenKeySettings, TrainConfig, TrainConfigError, word_or_no};
pub use criterion::Criterion;
pub use error::TrainError;
pub use event::{CheckpointKind, Event, Flow, Observer};
pub use fit::{FitData, Fitted, History, fit};
pub use grouping::MaskGrouping;
pub use mask_schedule::{MaskChange, MaskSchedule, MaskSearchError};
pub use metric::Metric;
pub use state::{StateError, TrainingState};
pub use trainer::Trainer;

/// The book's page on calibration methods, compiled and run as a test.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/calibration.md")]
    pub struct Calibration;
}
