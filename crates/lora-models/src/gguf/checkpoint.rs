//! A [`Checkpoint`] from a GGUF file: Hugging Face's settings, names and order of rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lora_core::tensors::{HostTensor, Orientation};
use serde_json::{Value, json};

use super::error::GgufError;
use super::reader::{Gguf, Setting};
use super::tokenizer::tokenizer_json;
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::generation::ChatTemplate;
use crate::weight_files::WeightFiles;

const ARCHITECTURES: &str = "llama, qwen2, qwen3";

/// GGUF's names of a layer's modules, and Hugging Face's.
const LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

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

    fn architecture(&self) -> Result<&str, GgufError> {
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

/// The tensors of a GGUF file under Hugging Face's names.
#[derive(Debug)]
pub(crate) struct GgufWeights {
    gguf: Gguf,
    names: BTreeMap<String, Stored>,
}

/// How the file has a tensor.
#[derive(Debug)]
struct Stored {
    name: String,
    /// llama.cpp turns neighbouring features, the LLaMA checkpoints of Hugging Face those half a head apart: the heads whose
    /// rows are to be put in order.
    turned_heads: Option<usize>,
}

impl GgufWeights {
    fn new(gguf: Gguf, config: &Value) -> Result<Self, GgufError> {
        let is_llama = gguf.architecture()? == "llama";
        let heads = |key: &str| config[key].as_u64().map(|heads| heads as usize);
        let names = gguf.names().map(|name| {
            let renamed = hugging_face_name(name).unwrap_or_else(|| name.to_owned());
            let turned_heads = match renamed.rsplit('.').nth(1) {
                Some("q_proj") if is_llama => heads("num_attention_heads"),
                Some("k_proj") if is_llama => heads("num_key_value_heads"),
                _ => None,
            };
            let name = name.to_owned();
            (renamed, Stored { name, turned_heads })
        });
        Ok(Self {
            names: names.collect(),
            gguf,
        })
    }

    pub fn origin(&self) -> &Path {
        self.gguf.origin()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.gguf.shape(&self.names.get(name)?.name)
    }

    pub fn read(&self, name: &str, orientation: Orientation) -> Result<Option<HostTensor>, GgufError> {
        let Some(stored) = self.names.get(name) else {
            return Ok(None);
        };
        let Some(heads) = stored.turned_heads else {
            return self.gguf.read(&stored.name, orientation);
        };
        let tensor = self.gguf.read(&stored.name, Orientation::Stored)?;
        let tensor = tensor.map(|tensor| halves_together(tensor, heads));
        Ok(match orientation {
            Orientation::Stored => tensor,
            Orientation::Transposed => tensor.map(|tensor| tensor.transposed()),
        })
    }
}

/// Hugging Face's name of a tensor; `None` for one that it does not have.
fn hugging_face_name(name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    let outside = HashMap::from([
        ("token_embd", "model.embed_tokens"),
        ("output_norm", "model.norm"),
        ("output", "lm_head"),
    ]);
    if let Some(module) = outside.get(module) {
        return Some(format!("{module}.{kind}"));
    }
    let (layer, module) = module.strip_prefix("blk.")?.split_once('.')?;
    let (_, module) = LAYER.iter().find(|(theirs, _)| *theirs == module)?;
    Some(format!("model.layers.{layer}.{module}.{kind}"))
}

/// The rows of every head in the order 0, 2, 4…, 1, 3, 5….
fn halves_together(tensor: HostTensor, heads: usize) -> HostTensor {
    let rows = tensor.shape.first().copied().unwrap_or(0);
    if rows == 0 || heads == 0 || !rows.is_multiple_of(heads.saturating_mul(2)) {
        return tensor; // its shape will be refused against the settings
    }
    let width = tensor.values.len() / rows;
    let d_head = rows / heads;
    let source = |row: usize| {
        let (head, feature) = (row / d_head, row % d_head);
        let (half, pair) = (feature / (d_head / 2), feature % (d_head / 2));
        head * d_head + 2 * pair + half
    };
    let values = (0..rows).flat_map(|row| &tensor.values[source(row) * width..][..width]);
    HostTensor {
        values: values.copied().collect(),
        shape: tensor.shape,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_features_of_a_head_come_half_a_head_apart() {
        // Two heads of four rows of one number; by hand.
        let tensor = HostTensor {
            shape: vec![8, 1],
            values: vec![0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0],
        };
        let expected = [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0];
        assert_eq!(halves_together(tensor, 2).values, expected);
    }

    #[test]
    fn a_tensor_without_rows_is_left_for_the_settings_to_refuse() {
        for shape in [vec![], vec![0, 3]] {
            let tensor = HostTensor {
                values: vec![1.0; shape.iter().product()],
                shape,
            };
            assert_eq!(halves_together(tensor.clone(), 2), tensor);
            assert_eq!(halves_together(tensor.clone(), usize::MAX), tensor);
        }
    }

    #[test]
    fn every_module_has_its_hugging_face_name() {
        let name = |name: &str| hugging_face_name(name);
        assert_eq!(
            name("blk.7.ffn_down.weight").as_deref(),
            Some("model.layers.7.mlp.down_proj.weight")
        );
        assert_eq!(
            name("blk.0.attn_q.bias").as_deref(),
            Some("model.layers.0.self_attn.q_proj.bias")
        );
        assert_eq!(name("output.weight").as_deref(), Some("lm_head.weight"));
        assert_eq!(name("blk.0.unknown.weight"), None);
    }
}
