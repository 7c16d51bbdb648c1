#![doc = include_str!("../README.md")]
//!
//! | module | holds |
//! |---|---|
//! | [`predict`] | predictions of a trained model; its front door is [`Predictor`] |
//! | [`config`] | [`config::RunConfig`]: the settings of a training, from file and flags |
//! | [`device`] | devices and precisions by name |
//! | [`error`], [`progress`] | what can go wrong; who hears what a run does, and how it is stopped |
//! | [`base`] | a base model, its tokenizer and its head: found, opened and checked |
//! | [`data`] | rows from files or of a benchmark by name, split and encoded |
//! | [`train`] | a training from rows to a written folder |
//! | [`saved`] | what a training left, opened and checked; `task.json`, which says how to use it again |
//! | [`inference`] | outputs of a model for rows: mean pass, ensemble, ensembles that stop early |
//! | [`score`] | temperatures, scores, tables and pages of them; ensemble against mean pass |
//! | [`bayesianize`] | a Gaussian over the factors of a trained adapter |
//! | [`card`] | `README.md` of an adapter folder: the hub's model card |
//! | [`calibration`] | `calibration.json`: what validation rows say about probabilities; prediction sets |
//! | [`files`] | files that appear whole or not at all; what made a result |
//! | [`push`] | an adapter folder to the Hugging Face hub |
//! | [`parameters`], [`counted`] | PEFT's line of parameter counts; numbers with their nouns |

pub mod base;
pub mod bayesianize;
pub mod calibration;
pub mod card;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod files;
mod http;
pub mod inference;
#[cfg(test)]
mod loopback;
pub mod parameters;
pub mod predict;
pub mod progress;
pub mod push;
pub mod saved;
pub mod score;
pub mod train;

pub use base::BaseModel;
pub use error::{Error, Result};
pub use lora_core::peft::EnsembleSettings as Ensemble;
pub use lora_data::counted;
pub use predict::TextGenerator;
pub use predict::predictor::{ChoicePredictor, Predictor, SpanPredictor, TaskPredictor, WordPredictor};
pub use predict::untrained::{FitSettings, Untrained};

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
