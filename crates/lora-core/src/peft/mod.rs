//! Adapter folders that Hugging Face PEFT reads and writes.
//!
//! | file | holds |
//! |---|---|
//! | `adapter_config.json` | rank, alpha, targets… in PEFT's words; `lora_alpha` carries the expected update |
//! | `adapter_model.safetensors` | factors, heads and biases, in PyTorch's orientation |
//! | `lora_dropout.json` | ours alone: LoRA Dropout's settings and the alpha used in training |
//!
//! Reading is strict: a tensor that is unknown, missing, of the wrong shape or named twice is refused by name.

mod config;
mod error;
mod folder;
mod plain;
mod side;
mod tensor_writing;
mod writing;

pub use error::AdapterError;
pub use folder::{AdapterFolder, COMPILED, CONFIG_FILE, TENSOR_FILE, TaskType};
pub use plain::{Factors, PlainLora};
pub use side::{Average, DropoutFile, EnsembleSettings, SIDE_FILE};
pub use tensor_writing::{stream_tensors, write_tensors};
pub use writing::trained_tensors;
