#![doc = include_str!("../README.md")]
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
mod counted;
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
