#![doc = include_str!("../README.md")]
//!
//! A model is a *backbone*, the pretrained part of a family, and a *head*, what it is used for; any family takes any head
//! that it has in Hugging Face. A family is one file that reads top to bottom: its `config.json`, its layers with their
//! Hugging Face paths, its names. Every linear is a [`lora_core::LoraLinear`] that knows its path, so adapters attach to
//! any family in the same way.
//!
//! | file | holds |
//! |---|---|
//! | `checkpoint` | [`Checkpoint`]: config, weights and tokenizer of a folder or of embedded bytes |
//! | `hub` | [`locate`]: a local folder, the hub's cache, or (if asked for) the hub |
//! | `weight_files`, `pytorch` | [`WeightFiles`]: safetensors or `pytorch_model.bin`, in one file or in shards |
//! | `weights`, `load_report` | [`Weights`]: tensors by path; [`LoadReport`]: what was missing or left over |
//! | `blocks` | what families share: attention, feed-forward, norm |
//! | `families` | one file a family, and [`families::FamilyConfig`], which chooses among them |
//! | `generation` | text by a causal language model: [`generation::generate`], sampling, chat templates |
//! | `gguf` | [`gguf::Gguf`]: the one-file format of llama.cpp |
//! | `sentence_piece` | `tokenizer.json` from `spm.model` and its like |
//! | `heads` | one file a head, and [`heads::HeadKind`] |
//! | `backbone`, `transformer` | [`Backbone`]: any family; [`Transformer`]: any family with any head |

mod backbone;
pub mod blocks;
#[cfg(doctest)]
mod book;
mod checkpoint;
mod error;
pub mod families;
pub mod generation;
pub mod gguf;
pub mod heads;
mod hub;
mod load_report;
mod machine_memory;
mod memory;
pub mod pytorch;
mod sentence_piece;
mod transformer;
mod weight_files;
mod weights;

pub use backbone::Backbone;
pub use checkpoint::Checkpoint;
pub use error::LoadError;
pub use families::FamilyConfig;
pub use heads::{HeadKind, SavedHead};
pub use hub::{HubOptions, locate};
pub use load_report::LoadReport;
pub use machine_memory::MachineMemory;
pub use memory::{GiB, weight_bytes};
pub use sentence_piece::SentencePieceProblem;
pub use transformer::{HeadOptions, Transformer, sequence_output_name};
pub use weight_files::WeightFiles;
pub use weights::{Bias, Scope, Weights};
