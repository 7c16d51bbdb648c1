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
mod names;
mod plain;
mod save_options;
mod side;
mod task_type;
mod tensor_writing;
mod writing;

pub use error::AdapterError;
pub use folder::{AdapterFolder, CONFIG_FILE, TENSOR_FILE};
pub use names::COMPILED;
pub use plain::{Factors, PlainLora};
pub use save_options::SaveOptions;
pub use side::{DropoutFile, SIDE_FILE};
pub use task_type::TaskType;
pub use tensor_writing::{no_weight, stream_tensors, write_floats, write_tensors};
pub use writing::trained_tensors;
pub(crate) use writing::write_folder;

#[doc(no_inline)]
pub use crate::ensemble::{Average, EnsembleSettings};
