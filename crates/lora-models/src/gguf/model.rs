//! A decoder as a GGUF file, as llama.cpp's `convert_hf_to_gguf.py` writes it.

use std::io::ErrorKind;
use std::path::Path;

use lora_core::atomic::WriteError;
use lora_core::trained::ParamRef;
use serde_json::Value;
use thiserror::Error;

use super::encoding::GgufDtype;
use super::vocabulary::{GgufVocabulary, SpecialIds};
use super::weights::{architecture_of, gguf_name, neighbours_together, turned_heads};
use super::writing::GgufHeader;
use crate::blocks::{Activation, Rope, RopeScaling};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::families::llama::LlamaConfig;
use crate::generation::SpecialTokens;
use crate::transformer::Transformer;

/// A model that cannot be written as a GGUF file.
#[derive(Debug, Error)]
pub enum GgufModelError {
    /// It is of another family.
    #[error(
        "a model of type `{found}` cannot be written as GGUF here; supported: llama, mistral, qwen2, qwen3; write a folder, and convert it \
         with llama.cpp's convert_hf_to_gguf.py"
    )]
    Family {
        /// `model_type`.
        found: String,
    },
    /// It has a setting that llama.cpp computes in another way, or not at all.
    #[error("a model whose {key} is `{found}` cannot be written as GGUF here; supported: {supported}")]
    Setting {
        /// Key of `config.json`.
        key: &'static str,
        /// Its value.
        found: String,
        /// What can be.
        supported: &'static str,
    },
    /// Its tokenizer is of another kind.
    #[error(
        "a tokenizer whose {part} is {found} cannot be written as GGUF here; supported: byte-level BPE as GPT-2, SmolLM, LLaMA 3 and Qwen2 \
         have it; write a folder, and convert it with llama.cpp's convert_hf_to_gguf.py"
    )]
    Tokenizer {
        /// Key of `tokenizer.json`.
        part: &'static str,
        /// The beginning of what stands there.
        found: String,
    },
    /// It holds a tensor for which GGUF has no name.
    #[error(
        "the model holds `{name}`, for which a GGUF file has no name; only language models can be written"
    )]
    Tensor {
        /// Hugging Face's name.
        name: String,
    },
    /// A value that the type cannot hold.
    #[error("{reason}")]
    Value {
        /// Tensor, value, and what to do.
        reason: String,
    },
    /// Its settings cannot be read.
    #[error(transparent)]
    Settings(#[from] LoadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a GGUF file holds beside the weights.
pub struct GgufModel {
    config: Value,
    architecture: &'static str,
    settings: GgufHeader,
    dtype: GgufDtype,
    /// What the wavelengths of LLaMA 3.1 are multiplied by.
    rope_factors: Option<Vec<f32>>,
}

impl GgufModel {
    /// Settings and tokenizer of a checkpoint, for a model whose matrices are written so.
    ///
    /// # Errors
    ///
    /// [`GgufModelError`].
    pub fn of(checkpoint: &Checkpoint, dtype: GgufDtype, name: &str) -> Result<Self, GgufModelError> {
        let found = checkpoint.config["model_type"].as_str().unwrap_or_default();
        let architecture = architecture_of(found).filter(|architecture| *architecture != "gpt2");
        let architecture = architecture.ok_or_else(|| GgufModelError::Family {
            found: found.to_owned(),
        })?;
        let config = LlamaConfig::read(checkpoint)?;
        let mut settings = GgufHeader::default();
        settings.text("general.architecture", architecture);
        settings.text("general.type", "model");
        settings.text("general.name", name);
        settings.integer("general.file_type", dtype.file_code());
        settings.integer("general.quantization_version", 2);
        put_settings(&config, architecture, &mut settings)?;
        let tokenizer = checkpoint.tokenizer.as_deref().unwrap_or_default();
        let tokenizer = serde_json::from_slice(tokenizer).unwrap_or_default();
        let vocabulary = GgufVocabulary::of(&tokenizer, config.vocab_size)?;
        vocabulary.put(special_ids(checkpoint, &vocabulary), &mut settings);
        if let Ok(template) = checkpoint.chat_template() {
            settings.text("tokenizer.chat_template", template.source());
        }
        let (theta, scaling) = config.rope;
        let is_llama3 = matches!(scaling, RopeScaling::Llama3 { .. });
        let factors = is_llama3.then(|| Rope::wavelength_factors(config.heads().d_head, theta, scaling));
        Ok(Self {
            config: checkpoint.config.clone(),
            architecture,
            settings,
            dtype,
            rope_factors: factors,
        })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`GgufModelError::Tensor`], [`GgufModelError::Value`], [`GgufModelError::Write`].
    pub fn write(&self, path: &Path, model: &Transformer) -> Result<(), GgufModelError> {
        let mut header = self.settings.clone();
        if let Some(factors) = &self.rope_factors {
            header.tensor(
                "rope_freqs.weight".to_owned(),
                vec![factors.len()],
                GgufDtype::F32,
            );
        }
        let mut unknown = None;
        model.visit_tensors(&mut |name, param| {
            let (module, kind) = name.rsplit_once('.').unwrap_or((name, ""));
            let Some(module) = gguf_name(module, self.architecture) else {
                unknown.get_or_insert(name.to_owned());
                return;
            };
            let shape = param.file_shape();
            let dtype = self.dtype.of_shape(&shape);
            header.tensor(format!("{module}.{kind}"), shape, dtype);
        });
        if let Some(name) = unknown {
            return Err(GgufModelError::Tensor { name });
        }
        let written = header.write(path, |put| {
            if let Some(factors) = &self.rope_factors {
                put(factors);
            }
            model.visit_tensors(&mut |name, param| self.put(name, param, put));
        });
        written.map_err(|error| match error.source.kind() {
            ErrorKind::InvalidData => GgufModelError::Value {
                reason: error.source.to_string(),
            },
            _ => error.into(),
        })
    }

    fn put(&self, name: &str, param: ParamRef<'_>, put: &mut dyn FnMut(&[f32])) {
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        match turned_heads(module, self.architecture, &self.config) {
            Some(heads) => put(&neighbours_together(param.to_file(), heads).values),
            None => param.visit_file_pieces(&mut |piece| put(&piece.values)),
        }
    }
}

/// What llama.cpp must know of the architecture.
fn put_settings(
    config: &LlamaConfig,
    architecture: &str,
    settings: &mut GgufHeader,
) -> Result<(), GgufModelError> {
    let refuse = |key, found: String, supported| {
        Err(GgufModelError::Setting {
            key,
            found,
            supported,
        })
    };
    if config.hidden_act != Activation::Silu {
        return refuse(
            "hidden_act",
            format!("{:?}", config.hidden_act).to_lowercase(),
            "silu",
        );
    }
    let windows = (0..config.num_hidden_layers).filter_map(|layer| config.window(layer));
    if let Some(window) = windows
        .min()
        .filter(|window| *window < config.max_position_embeddings)
    {
        return refuse("sliding_window", window.to_string(), "none, or the longest text");
    }
    let key = |last: &str| format!("{architecture}.{last}");
    let heads = config.heads();
    for (last, value) in [
        ("context_length", config.max_position_embeddings),
        ("embedding_length", config.hidden_size),
        ("block_count", config.num_hidden_layers),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", heads.query),
        ("attention.head_count_kv", heads.key_value),
        ("attention.key_length", heads.d_head),
        ("attention.value_length", heads.d_head),
        ("rope.dimension_count", heads.d_head),
        ("vocab_size", config.vocab_size),
    ] {
        settings.integer(&key(last), value);
    }
    settings.float(
        &key("attention.layer_norm_rms_epsilon"),
        config.rms_norm_eps as f32,
    );
    let (theta, scaling) = config.rope;
    settings.float(&key("rope.freq_base"), theta);
    match scaling {
        RopeScaling::None | RopeScaling::Llama3 { .. } => {}
        RopeScaling::Linear { factor } => {
            settings.text(&key("rope.scaling.type"), "linear");
            settings.float(&key("rope.scaling.factor"), factor);
        }
        RopeScaling::Yarn(_) => {
            return refuse("rope_type", "yarn".to_owned(), "default, linear, llama3");
        }
    }
    Ok(())
}

/// Tokens that the tokenizer's own settings name, else those of `config.json`.
fn special_ids(checkpoint: &Checkpoint, vocabulary: &GgufVocabulary) -> SpecialIds {
    let named = SpecialTokens::of_folder(&checkpoint.origin);
    let id = |token: Option<&String>, key: &str| {
        let of_config = match &checkpoint.config[key] {
            Value::Array(ids) => ids.first().and_then(Value::as_u64),
            one => one.as_u64(),
        };
        let of_token = token.and_then(|token| vocabulary.id(token));
        of_token.or(of_config.map(|id| id as usize))
    };
    SpecialIds {
        bos: id(named.bos.as_ref(), "bos_token_id"),
        eos: id(named.eos.as_ref(), "eos_token_id"),
        pad: id(named.pad.as_ref(), "pad_token_id"),
        unk: id(named.unk.as_ref(), "unk_token_id"),
    }
}
