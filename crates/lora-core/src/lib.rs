//! LoRA and LoRA Dropout: adapter math, masks, targets and PEFT files.
//!
//! The method is *LoRA Dropout as a Sparsity Regularizer for Overfitting Control* (arXiv 2404.09610): every adapted
//! linear computes `y = x W + b + s · ((x ⊙ m_A) A B) ⊙ m_B`, where the keep-masks drop columns of PEFT's `lora_A`
//! and rows of its `lora_B`. Masks are values drawn from a seed, never hidden state, so the same pass can be
//! repeated on any backend, and an ensemble of a thousand members is one adapter and a seed.
//!
//! | file | holds |
//! |---|---|
//! | `config` | [`LoraConfig`]: what the user chooses, checked once |
//! | `dropout` | [`LoraDropout`]: probability, worth and [axes](MaskAxes) of masks |
//! | `targets` | which linears are adapted, by Hugging Face path |
//! | `tuning`, `trained` | [`Tuning`]: LoRA or another way, and what each trains |
//! | `linear`, `adapter` | [`LoraLinear`] and its [`Adapter`](adapter::Adapter) (LoRA, DoRA, AdaLoRA): equation, dense update, first values |
//! | `embedding` | [`LoraEmbedding`]: a table, adapted as a linear on one-hot vectors |
//! | `bottleneck` | [`Bottleneck`](bottleneck::Bottleneck): adapters after blocks |
//! | `adalora` | [`AdaLora`]: settings of the rank budget |
//! | `pass`, `noise`, `hidden_key` | [`Pass`], [`PassNoise`], [`HiddenKeyNoise`](hidden_key::HiddenKeyNoise) |
//! | `packing` | [`Packing`]: the real tokens of a padded batch, end to end |
//! | `sampler`, `random` | [`MaskSampler`]: from a seed to the noise of a pass |
//! | `saving`, `ensemble` | [`Adapted::save`], and the ensemble that an adapter is meant for |
//! | `taps` | [`Taps`](taps::Taps): inputs of trained maps, and gradients of their outputs |
//! | `vector` | [`VectorLayout`](vector::VectorLayout): trained parameters as one vector; [`Posterior`](vector::Posterior): a distribution over them |
//! | `model` | the traits a model implements: [`Linears`], [`Model`] |
//! | `adapted` | [`Adapted`]: attach, count, merge, detach |
//! | `gaussian` | [`Gaussian`](gaussian::Gaussian): a distribution over trained parameters, as models carry it and folders hold it |
//! | `frozen` | [`FrozenStates`](frozen::FrozenStates): hidden states below everything that is trained, computed once |
//! | `peft` | adapter folders that PEFT reads and writes |
//! | `tuned` | folders of what other tuners trained |
//! | `any_module` | LoRA Dropout for Burn modules written without [`LoraLinear`] |
//! | `bank` | [`AdapterBank`]: several adapters on one model, chosen row by row |
//! | `combine` | several adapters into one |
//! | `tensors`, `atomic` | safetensors in, tensor by tensor; files out |
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use lora_core::{LoraConfig, LoraLinear, Pass, TargetModules};
//!
//! let device = Device::default();
//! let weight = Tensor::<2>::random([6, 4], Distribution::Default, &device); // [d_input, d_output]
//! let mut linear = LoraLinear::new("layer.0.query", weight, None);
//! let config = LoraConfig::new(2, 4.0, TargetModules::names(["query"]));
//! config.validate()?;
//! linear.attach(&config, 7)?;
//!
//! let x = Tensor::<2>::random([3, 6], Distribution::Default, &device);
//! let y = linear.forward(x, &Pass::Mean); // [3, 4]
//! assert_eq!(y.dims(), [3, 4]);
//! # Ok::<(), lora_core::ConfigError>(())
//! ```

pub mod adalora;
pub mod adapted;
pub mod adapter;
pub mod any_module;
pub mod atomic;
pub mod bank;
pub mod bottleneck;
pub mod combine;
pub mod config;
mod config_error;
pub mod dropout;
pub mod embedding;
pub mod ensemble;
mod filling;
pub mod frozen;
pub mod gaussian;
pub mod hidden_key;
mod json_file;
pub mod linear;
pub mod model;
pub mod noise;
pub mod packing;
pub mod pass;
pub mod peft;
pub mod random;
pub mod sampler;
mod saving;
pub mod taps;
pub mod targets;
pub mod tensor_names;
pub mod tensors;
pub mod trained;
pub mod tuned;
pub mod tuning;
pub mod vector;

pub use adalora::AdaLora;
pub use adapted::{Adapted, MergeError};
pub use bank::AdapterBank;
pub use bottleneck::{BottleneckConfig, Placement};
pub use config::{BiasMode, Form, Init, LoraConfig, Scaling};
pub use config_error::ConfigError;
pub use dropout::{LoraDropout, MaskAxes, Rescale};
pub use embedding::LoraEmbedding;
pub use linear::LoraLinear;
pub use lora_kernels::{Fp32Precision, UnknownFp32Precision};
pub use model::{Linears, Model, Tied};
pub use noise::PassNoise;
pub use packing::Packing;
pub use pass::Pass;
pub use sampler::MaskSampler;
pub use targets::{TargetModules, TargetNames};
pub use tuning::{HeadConfig, Tuning};

/// The book's pages on adapters, compiled and run as tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/adapters/lora.md")]
    pub struct Lora;
    #[doc = include_str!("../../../docs/src/adapters/dora.md")]
    pub struct Dora;
    #[doc = include_str!("../../../docs/src/adapters/adalora.md")]
    pub struct AdaptiveRank;
    #[doc = include_str!("../../../docs/src/adapters/tables.md")]
    pub struct Tables;
    #[doc = include_str!("../../../docs/src/adapters/other-tuners.md")]
    pub struct OtherTuners;
    #[doc = include_str!("../../../docs/src/adapters/initialization.md")]
    pub struct Initialization;
    #[doc = include_str!("../../../docs/src/adapters/operations.md")]
    pub struct Operations;
    #[doc = include_str!("../../../docs/src/adapters/any-module.md")]
    pub struct AnyModule;
}
