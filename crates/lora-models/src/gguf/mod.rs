//! GGUF: the one-file format of llama.cpp, with weights that may be quantized, settings and tokenizer.
//!
//! Layout (version 2 and 3): magic `GGUF`, version, number of tensors, number of settings; the settings; for each tensor
//! its name, sizes (fastest axis first), type and offset; padding; the tensors' bytes. Everything little-endian.
//!
//! | file | holds |
//! |---|---|
//! | `reader` | [`Gguf`]: settings and tensors of a file |
//! | `quantization` | [`TensorType`]: values from blocks of 32 or 256 |
//! | `checkpoint` | `config.json` |
//! | `weights` | tensors under Hugging Face's names |
//! | `tokenizer` | `tokenizer.json` from GGUF's vocabulary |
//! | `adapter` | [`GgufAdapter`]: a LoRA adapter, written for llama.cpp |
//! | `model` | [`GgufModel`]: a whole decoder, written for llama.cpp |
//! | `vocabulary` | GGUF's vocabulary from `tokenizer.json` |
//! | `encoding` | [`GgufDtype`]: blocks from values |
//! | `writing` | settings, the list of tensors and values as a file |
//! | `error` | [`GgufError`] |

mod adapter;
mod checkpoint;
mod encoding;
mod error;
mod model;
mod quantization;
mod reader;
mod tokenizer;
mod vocabulary;
mod weights;
mod writing;

pub use adapter::{GgufAdapter, GgufAdapterError};
pub use encoding::GgufDtype;
pub use error::GgufError;
pub use model::{GgufModel, GgufModelError};
pub use quantization::TensorType;
pub use reader::{Gguf, Setting};
pub(crate) use weights::GgufWeights;
