//! An adapter as a GGUF file, as llama.cpp's `--lora` reads it (`convert_lora_to_gguf.py`, `llama-adapter.cpp`).
//!
//! The file has a pair of tensors for each adapted matrix, under the matrix's own name: `.lora_a` `[rank, d_input]` and `.lora_b`
//! `[d_output, rank]`, both f32. llama.cpp adds `alpha / rank · B A`, with one alpha for the file and the rank of each pair.

use std::collections::BTreeMap;
use std::path::Path;

use lora_core::atomic::WriteError;
use lora_core::peft::{Factors, PlainLora};
use lora_core::tensors::HostTensor;
use serde_json::Value;
use thiserror::Error;

use super::encoding::GgufDtype;
use super::weights::{architecture_of, gguf_name, neighbours_together, turned_heads};
use super::writing::GgufHeader;

/// An adapter that llama.cpp cannot have.
#[derive(Debug, Error)]
pub enum GgufAdapterError {
    /// The base model is of another family.
    #[error(
        "a base model of type `{found}` has no adapters in llama.cpp that are known here; supported: llama, mistral, qwen2, qwen3, gpt2"
    )]
    Family {
        /// `model_type` of the base model.
        found: String,
    },
    /// It adapts a module for which GGUF has no name.
    #[error(
        "`{module}` has no name in a GGUF file; train with target_modules that are linears of the layers, or merge instead (lora merge)"
    )]
    Module {
        /// Path of the module.
        module: String,
    },
    /// The output layer is the table of tokens, and has no tensor of its own.
    #[error(
        "`{module}` shares its weight with the table of tokens, so a GGUF model has no tensor for it; merge instead (lora merge)"
    )]
    Tied {
        /// Path of the module.
        module: String,
    },
    /// It holds more than factors.
    #[error("the adapter also holds `{name}`, and llama.cpp reads factors alone; merge instead (lora merge)")]
    MoreThanFactors {
        /// A bias, or a tensor that was trained in full.
        name: String,
    },
}

/// A GGUF adapter, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufAdapter {
    architecture: &'static str,
    alpha: f32,
    tensors: BTreeMap<String, HostTensor>,
}

impl GgufAdapter {
    /// The mean pass of an adapter for a base model with this `config.json`. The scale is the file's alpha; where scales differ, the others are
    /// multiplied into B.
    ///
    /// # Errors
    ///
    /// [`GgufAdapterError`].
    pub fn of(lora: &PlainLora, config: &Value) -> Result<Self, GgufAdapterError> {
        let model_type = config["model_type"].as_str().unwrap_or_default();
        let architecture = architecture_of(model_type).ok_or_else(|| GgufAdapterError::Family {
            found: model_type.to_owned(),
        })?;
        if let Some(name) = lora.saved.keys().next() {
            return Err(GgufAdapterError::MoreThanFactors { name: name.clone() });
        }
        let alpha = lora.peft_config().alpha;
        let mut tensors = BTreeMap::new();
        for (module, factors) in &lora.factors {
            if factors.bias.is_some() {
                let name = format!("{module}.lora_B.bias");
                return Err(GgufAdapterError::MoreThanFactors { name });
            }
            let name = gguf_name(module, architecture).ok_or_else(|| GgufAdapterError::Module {
                module: module.clone(),
            })?;
            // Absent, it is true in Transformers' GPT-2, and false in the others.
            let is_tied = config["tie_word_embeddings"]
                .as_bool()
                .unwrap_or(architecture == "gpt2");
            if name == "output" && is_tied {
                return Err(GgufAdapterError::Tied {
                    module: module.clone(),
                });
            }
            let [a, b] = pair(factors, alpha);
            let b = match turned_heads(module, architecture, config) {
                Some(heads) => neighbours_together(b, heads),
                None => b,
            };
            tensors.insert(format!("{name}.weight.lora_a"), a);
            tensors.insert(format!("{name}.weight.lora_b"), b);
        }
        Ok(Self {
            architecture,
            alpha: alpha as f32,
            tensors,
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        let mut header = GgufHeader::default();
        header.text("general.architecture", self.architecture);
        header.text("general.type", "adapter");
        header.integer("general.file_type", GgufDtype::F32.file_code());
        header.text("adapter.type", "lora");
        header.float("adapter.lora.alpha", self.alpha);
        for (name, tensor) in &self.tensors {
            header.tensor(name.clone(), tensor.shape.clone(), GgufDtype::F32);
        }
        header.write(path, |put| {
            self.tensors.values().for_each(|tensor| put(&tensor.values));
        })
    }
}

/// Both factors with the file's alpha, of a table in llama.cpp's orientation: A `[tokens, rank]`, from which rows are taken.
fn pair(factors: &Factors, alpha: f64) -> [HostTensor; 2] {
    let own_alpha = factors.scale * factors.rank() as f64;
    let mut b = factors.b.clone();
    if own_alpha != alpha {
        let ratio = (own_alpha / alpha) as f32;
        b.values.iter_mut().for_each(|value| *value *= ratio);
    }
    let a = if factors.is_table {
        factors.a.transposed()
    } else {
        factors.a.clone()
    };
    [a, b]
}
