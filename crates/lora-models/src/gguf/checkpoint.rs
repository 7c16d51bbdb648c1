//! A [`Checkpoint`] from a GGUF file: Hugging Face's settings, names and order of rows.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::error::GgufError;
use super::reader::{Gguf, Setting};
use super::tokenizer::tokenizer_json;
use super::weights::GgufWeights;
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::generation::ChatTemplate;
use crate::weight_files::WeightFiles;

const ARCHITECTURES: &str = "llama, qwen2, qwen3";

impl Gguf {
    /// Settings, weights and tokenizer as Hugging Face names and orders them. Tensors are dequantized when they are read.
    ///
    /// # Errors
    ///
    /// [`LoadError::Gguf`] if a setting is missing, or the architecture or the tokenizer is not supported.
    pub fn into_checkpoint(self) -> Result<Checkpoint, LoadError> {
        let config = self.config()?;
        let tokenizer = tokenizer_json(&self)?;
        Ok(Checkpoint {
            origin: self.origin().to_owned(),
            gguf_template: self.chat_template(),
            weights: WeightFiles::of_gguf(GgufWeights::new(self, &config)?),
            tokenizer: Some(Cow::Owned(tokenizer)),
            config,
        })
    }

    /// The chat template, if there is one.
    pub fn chat_template(&self) -> Option<ChatTemplate> {
        let source = self.setting("tokenizer.chat_template")?.as_text()?;
        let token = |key: &str| {
            let id = self.setting(key)?.as_integer()?;
            let tokens = self.setting("tokenizer.ggml.tokens")?.as_list()?;
            let token = tokens.get(usize::try_from(id).ok()?)?;
            token.as_text().map(str::to_owned)
        };
        let template = ChatTemplate::from_source(source, self.origin());
        let (bos, eos) = ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id");
        Some(template.with_special_tokens(token(bos), token(eos)))
    }

    pub(super) fn architecture(&self) -> Result<&str, GgufError> {
        let key = "general.architecture";
        let found = self.setting(key).and_then(Setting::as_text);
        let found = found.ok_or_else(|| self.missing(key, "a text"))?;
        if ARCHITECTURES.split(", ").any(|known| known == found) {
            return Ok(found);
        }
        Err(self.unsupported(key, found, ARCHITECTURES))
    }

    /// `config.json`.
    fn config(&self) -> Result<Value, GgufError> {
        let architecture = self.architecture()?;
        let key = |last: &str| format!("{architecture}.{last}");
        let integer = |last: &str| {
            let value = self.setting(&key(last)).and_then(Setting::as_integer);
            value.ok_or_else(|| self.missing(&key(last), "a whole number"))
        };
        let number = |last: &str| {
            let value = self.setting(&key(last)).and_then(Setting::as_float);
            value.ok_or_else(|| self.missing(&key(last), "a number"))
        };
        if self.shape("rope_freqs.weight").is_some() {
            return Err(self.unsupported(
                "rope_freqs.weight",
                "a factor for each frequency",
                "files without it",
            ));
        }
        let embeddings = self.shape("token_embd.weight").and_then(<[usize]>::first);
        let vocab_size = embeddings.ok_or_else(|| self.missing("token_embd.weight", "a matrix"))?;
        let scaling = self.setting(&key("rope.scaling.type")).and_then(Setting::as_text);
        let rope = match scaling {
            None | Some("none") => json!({"rope_type": "default"}),
            Some("linear") => json!({"rope_type": "linear", "factor": number("rope.scaling.factor")?}),
            Some(other) => return Err(self.unsupported(&key("rope.scaling.type"), other, "none, linear")),
        };
        let mut config = json!({
            "model_type": architecture,
            "hidden_size": integer("embedding_length")?,
            "num_hidden_layers": integer("block_count")?,
            "num_attention_heads": integer("attention.head_count")?,
            "num_key_value_heads": integer("attention.head_count_kv").or_else(|_| integer("attention.head_count"))?,
            "intermediate_size": integer("feed_forward_length")?,
            "vocab_size": vocab_size,
            "max_position_embeddings": integer("context_length")?,
            "rms_norm_eps": number("attention.layer_norm_rms_epsilon")?,
            "attention_bias": architecture == "llama" && self.shape("blk.0.attn_q.bias").is_some(),
            "tie_word_embeddings": self.shape("output.weight").is_none(),
            "rope_parameters": rope,
        });
        config["rope_parameters"]["rope_theta"] = number("rope.freq_base").unwrap_or(10_000.0).into();
        if let Ok(d_head) = integer("attention.key_length") {
            config["head_dim"] = d_head.into();
        }
        for name in ["bos", "eos", "padding"] {
            let id = self.setting(&format!("tokenizer.ggml.{name}_token_id"));
            if let Some(id) = id.and_then(Setting::as_integer) {
                config[format!("{}_token_id", if name == "padding" { "pad" } else { name })] = id.into();
            }
        }
        Ok(config)
    }

    fn missing(&self, key: &str, expected: &'static str) -> GgufError {
        GgufError::Setting {
            path: self.origin().to_owned(),
            key: key.to_owned(),
            expected,
        }
    }

    fn unsupported(&self, key: &str, found: &str, supported: &'static str) -> GgufError {
        GgufError::Unsupported {
            path: self.origin().to_owned(),
            key: key.to_owned(),
            found: found.to_owned(),
            supported,
        }
    }
}
