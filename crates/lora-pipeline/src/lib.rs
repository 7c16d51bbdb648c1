//! From text to a saved, calibrated predictor and back: open a base model, encode rows, attach adapters, fit, calibrate,
//! predict, save, load. The parts of `lora train`, `lora eval` and `lora predict` without a terminal.
//!
//! ```
//! use lora_core::{LoraConfig, Rescale, Targets};
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
//! let adapters = LoraConfig::new(8, 16.0, Targets::names(["query", "value"])).with_dropout(0.5, Rescale::Rescaled);
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
//! | [`predictor`] | the front door: [`Predictor`] |
//! | [`config`] | [`config::RunConfig`]: the settings of a training, from file and flags |
//! | [`device`] | devices and precisions by name |
//! | [`error`], [`progress`] | what can go wrong; who hears what a run does, and how it is stopped |
//! | [`benchmark`] | a benchmark by name and folder: splits, labels, metric |
//! | [`kind`], [`encoded_part`] | kinds of task; their rows as tokens, and the way back from outputs |
//! | [`base_model`], [`hub`], [`opening`], [`language_model`] | a base model, its tokenizer and its head, opened and checked |
//! | [`adapter`], [`saved`], [`task`], [`ensemble_choice`] | what a training left, opened and checked; `task.json`, which says how to use it again |
//! | [`train`], [`predict`] | a training from rows to a written folder; predictions of a trained model |
//! | [`asking`], [`scoring`], [`adaptive`], [`comparison`] | outputs, temperatures, scores; ensembles that stop early; ensemble against mean pass |
//! | [`calibration`] | `calibration.json`: what validation rows say about probabilities; prediction sets |
//! | [`output`], [`output_file`], [`folder_swap`], [`model_folder`], [`provenance`] | files that appear whole or not at all; what made a result |
//! | [`reliability_bars`] | bins of a reliability table as bars of its diagram |
//! | [`parameters`] | PEFT's line of parameter counts |

pub mod adapter;
mod adapter_kind;
pub mod adaptive;
pub mod asking;
pub mod base_model;
pub mod benchmark;
pub mod calibration;
pub mod comparison;
pub mod config;
pub mod counted;
pub mod device;
pub mod encoded_part;
pub mod ensemble_choice;
pub mod error;
pub mod folder_swap;
pub mod hub;
pub mod kind;
pub mod language_model;
pub mod model_folder;
pub mod opening;
pub mod output;
pub mod output_file;
pub mod parameters;
pub mod predict;
pub mod predictor;
pub mod progress;
pub mod provenance;
pub mod reliability_bars;
pub mod saved;
pub mod scoring;
pub mod task;
pub mod train;

pub use error::{Error, Result};
pub use lora_core::peft::EnsembleSettings as Ensemble;
pub use predictor::{BaseModel, FitSettings, Predictor, Untrained};

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
