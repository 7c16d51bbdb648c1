//! An adapter as a GGUF file, as llama.cpp's `--lora` reads it (`convert_lora_to_gguf.py`, `llama-adapter.cpp`).
//!
//! The file has a pair of tensors for each adapted matrix, under the matrix's own name: `.lora_a` `[rank, d_input]` and `.lora_b`
//! `[d_output, rank]`, both f32. llama.cpp adds `alpha / rank · B A`, with one alpha for the file and the rank of each pair.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use lora_core::atomic::{WriteError, write_file_with};
use lora_core::peft::{Factors, PlainLora};
use lora_core::tensors::HostTensor;
use serde_json::Value;
use thiserror::Error;

use super::weights::{gguf_name, neighbours_together};

/// Bytes to a multiple of which tensors are moved.
const ALIGNMENT: usize = 32;
/// Codes of the format: a setting's u32, f32 and text, and a tensor's f32.
const U32: u32 = 4;
const F32: u32 = 6;
const TEXT: u32 = 8;
const TENSOR_F32: u32 = 0;

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
        let architecture = match model_type {
            // llama.cpp reads Mistral as a LLaMA.
            "llama" | "mistral" => "llama",
            "qwen2" => "qwen2",
            "qwen3" => "qwen3",
            "gpt2" => "gpt2",
            other => {
                return Err(GgufAdapterError::Family {
                    found: other.to_owned(),
                });
            }
        };
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
        write_file_with(path, |file| {
            let mut file = io::BufWriter::new(file);
            let header = self.header();
            file.write_all(&header)?;
            file.write_all(&vec![0; padding(header.len())])?;
            for tensor in self.tensors.values() {
                for value in &tensor.values {
                    file.write_all(&value.to_le_bytes())?;
                }
                file.write_all(&vec![0; padding(bytes_of(tensor))])?;
            }
            file.flush()
        })
    }

    fn header(&self) -> Vec<u8> {
        let settings = [
            setting("general.architecture", TEXT, &text(self.architecture)),
            setting("general.type", TEXT, &text("adapter")),
            // All tensors are f32.
            setting("general.file_type", U32, &0_u32.to_le_bytes()),
            setting("adapter.type", TEXT, &text("lora")),
            setting("adapter.lora.alpha", F32, &self.alpha.to_le_bytes()),
        ];
        let mut header = [
            &b"GGUF"[..],
            &3_u32.to_le_bytes(),
            &(self.tensors.len() as u64).to_le_bytes(),
            &(settings.len() as u64).to_le_bytes(),
        ]
        .concat();
        header.extend(settings.concat());
        let mut offset = 0_usize;
        for (name, tensor) in &self.tensors {
            header.extend(text(name));
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            // The fastest axis comes first.
            for size in tensor.shape.iter().rev() {
                header.extend((*size as u64).to_le_bytes());
            }
            header.extend(TENSOR_F32.to_le_bytes());
            header.extend((offset as u64).to_le_bytes());
            offset += bytes_of(tensor).next_multiple_of(ALIGNMENT);
        }
        header
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

/// The heads whose features are in another order in llama.cpp; none for modules that have none.
fn turned_heads(module: &str, architecture: &str, config: &Value) -> Option<usize> {
    if architecture != "llama" {
        return None;
    }
    let heads = |key: &str| config[key].as_u64().map(|heads| heads as usize);
    let all = heads("num_attention_heads");
    match module.rsplit('.').next() {
        Some("q_proj") => all,
        // Without a number of their own, every query has one.
        Some("k_proj") => heads("num_key_value_heads").or(all),
        _ => None,
    }
}

fn setting(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key), &kind.to_le_bytes()[..], value].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn bytes_of(tensor: &HostTensor) -> usize {
    size_of::<f32>() * tensor.values.len()
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT) - length
}
