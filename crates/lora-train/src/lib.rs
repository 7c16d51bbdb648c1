//! Training adapters: LoRA Dropout's objective, AdamW on adapters and heads, the loop.
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
//! | `event` | [`Event`], [`Observer`]: what the loop tells its caller |
//! | `swag` | [`SwagCollector`](swag::SwagCollector): a Gaussian over the parameters from where training passes by |
//! | `variational` | [`VariationalA`](variational::VariationalA): a Gaussian over the factors A, learned with them |
//! | `fit` | [`fit()`]: the loop, and [`Fitted`], its result |
//!
//! The model comes in through [`lora_core::Model`], so this crate knows no family of models. Nothing here prints,
//! keeps time or writes files: an observer does. Optimizer and gradients are burn-optim's. Burn's `Learner` is not
//! used: it validates, saves and stops early by whole epochs only, and its training step sees a batch but not the
//! number of the step, which masks are drawn from; clipping there is by tensor, and accumulated gradients are summed.
//!
//! ```
//! # use burn::module::Module;
//! # use burn::tensor::{Device, Int, Tensor};
//! use lora_core::{Adapted, Linears, LoraConfig, LoraLinear, Model, Pass, Rescale, TargetModules};
//! use lora_data::{Batch, Encoded, EncodedDataset, LabelNames, Padding, Task};
//! use lora_train::{Event, FitData, Flow, MaskGrouping, TrainConfig, fit};
//!
//! // Any model that implements `lora_core::Model`; this one sums a row of its weight for every token.
//! #[derive(Module, Debug)]
//! struct BagOfWords {
//!     words: LoraLinear,
//! }
//! # impl Linears for BagOfWords {
//! #     fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) { visit(&self.words) }
//! #     fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) { visit(&mut self.words) }
//! #     fn heads(&self) -> Vec<String> { Vec::new() }
//! # }
//! # impl Model for BagOfWords {
//! #     type Input = Batch;
//! #     fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
//! #         let ids: Vec<i64> = input.input_ids.iter().map(|id| i64::from(*id)).collect();
//! #         let ids = Tensor::<1, Int>::from_data(ids.as_slice(), &self.words.base.weight.device());
//! #         let tokens = ids.reshape([input.batch, input.seq]).one_hot::<3>(6).float();
//! #         self.words.forward(tokens.sum_dim(1).squeeze_dim::<2>(1), pass)
//! #     }
//! # }
//! let weight = Tensor::<2>::ones([6, 2], &Device::default()).mul_scalar(0.1); // [tokens, classes]
//! let model = BagOfWords { words: LoraLinear::new("words", weight, None) };
//! let lora = LoraConfig::new(2, 4.0, TargetModules::names(["words"])).with_dropout(0.5, Rescale::Rescaled);
//! let (adapted, _) = Adapted::attach(model, lora, 1)?;
//!
//! // Four rows of two tokens. Tokens 1 and 2 are of class 0, tokens 3 and 4 of class 1.
//! let row = |ids: [u32; 2]| Encoded { input_ids: ids.to_vec(), token_type_ids: vec![0; 2] };
//! let labels = LabelNames::new(["bad", "good"])?;
//! let rows = EncodedDataset {
//!     encoded: [[1, 2], [2, 1], [3, 4], [4, 3]].map(row).to_vec(),
//!     targets: lora_data::Targets::Classes(vec![0, 0, 1, 1]),
//!     task: Some(Task::Classification { labels }),
//!     truncated: 0,
//! };
//!
//! // Forty epochs in batches of two rows, each row under masks of its own.
//! let settings = TrainConfig { mask_grouping: MaskGrouping::Example, ..TrainConfig::new(0.1, 40.0, 2) };
//! let data = FitData { train: &rows, validation: None, padding: Padding::with(0) };
//! let fitted = fit(adapted, &settings, &data, &mut |_: &Event| Flow::Continue)?;
//! assert_eq!(fitted.history.steps.len(), 80);
//! assert!(fitted.history.steps[79].loss < fitted.history.steps[0].loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
mod metric;
pub mod objective;
pub mod optimizer;
pub mod schedule;
pub mod swag;
pub mod trainer;
pub mod variational;

pub use config::{ClassWeights, EvalStrategy, HiddenKeySettings, TrainConfig, TrainConfigError};
pub use criterion::Criterion;
pub use error::TrainError;
pub use event::{CheckpointKind, Event, Flow, Observer};
pub use fit::{FitData, Fitted, History, fit};
pub use grouping::MaskGrouping;
pub use metric::Metric;
pub use trainer::Trainer;

/// The book's page on calibration methods, compiled and run as a test.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/calibration.md")]
    pub struct Calibration;
}
