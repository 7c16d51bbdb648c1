//! Transformer blocks and model families that load Hugging Face checkpoints.
//!
//! A family is one file that reads top to bottom: its `config.json`, its layers with their Hugging Face paths, its
//! heads. Blocks that families share are in [`blocks`]. Every linear is a [`lora_core::LoraLinear`] that
//! knows its path, so adapters attach to any family in the same way.
//!
//! | file | holds |
//! |---|---|
//! | `checkpoint` | [`Checkpoint`]: config, weights and tokenizer of a folder or of embedded bytes |
//! | `hub` | [`locate`]: a local folder, the hub's cache, or (if asked for) the hub |
//! | `weights` | [`Weights`]: tensors by path, with a report of what was missing or left over |
//! | `blocks` | embedding, attention, feed-forward, norm |
//! | `bert` | the BERT family |
//! | `classifier` | [`SequenceClassifier`]: any family with a sequence classification or regression head |

pub mod bert;
pub mod blocks;
mod checkpoint;
mod classifier;
mod error;
mod hub;
mod weights;

pub use checkpoint::Checkpoint;
pub use classifier::{HeadOptions, SequenceClassifier};
pub use error::LoadError;
pub use hub::{HubOptions, locate};
pub use weights::{LoadReport, Scope, Weights};
