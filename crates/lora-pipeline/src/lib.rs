//! From text to a saved, calibrated predictor and back: open a base model, encode rows, attach adapters, fit, calibrate,
//! predict, save, load. The parts of `lora train`, `lora eval` and `lora predict` without a terminal.
//!
//! ```
//! use lora_core::{LoraConfig, Rescale, TargetModules};
//! use lora_pipeline::progress::Silent;
//! use lora_pipeline::{Ensemble, FitSettings, Predictor};
//! use lora_train::TrainConfig;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let table = "text,label\na gripping film,good\ndull and far too long,bad\nI laughed a lot,good\nI left early,bad\n";
//! # let folder = tempfile::tempdir()?;
//! # let (file, runs) = (folder.path().join("reviews.csv"), folder.path().join("runs"));
//! # std::fs::write(&file, table)?;
//! let dataset = lora_data::read_file(&file, &lora_data::ReadOptions::default())?.dataset;
//! let adapters = LoraConfig::new(8, 16.0, TargetModules::names(["query", "value"])).with_dropout(0.5, Rescale::Rescaled);
//! let settings = FitSettings { validation_fraction: 0.0, ..FitSettings::new(TrainConfig::new(2e-3, 2.0, 2)) };
//! let predictor = Predictor::open("minilm-l6")?.lora(adapters).fit(&dataset, &settings, &Silent)?;
//! let predictions = predictor.predict(&["a gripping film"], Ensemble::new(8, 42))?;
//! predictor.save(&runs)?;
//! let loaded = Predictor::load(&runs)?;
//! assert_eq!(loaded.predict(&["a gripping film"], Ensemble::new(8, 42))?, predictions);
//! # Ok(())
//! # }
//! ```
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
//! | [`parameters`], [`counted`] | PEFT's line of parameter counts; numbers with their nouns |

pub mod base;
pub mod bayesianize;
pub mod calibration;
pub mod card;
pub mod config;
pub mod counted;
pub mod data;
pub mod device;
pub mod error;
pub mod files;
pub mod inference;
pub mod parameters;
pub mod predict;
pub mod progress;
pub mod saved;
pub mod score;
pub mod train;

pub use error::{Error, Result};
pub use lora_core::peft::EnsembleSettings as Ensemble;
pub use predict::TextGenerator;
pub use predict::predictor::{ChoicePredictor, Predictor, SpanPredictor, TaskPredictor, WordPredictor};
pub use predict::untrained::{BaseModel, FitSettings, Untrained};

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
