//! The tensors of a GGUF file under Hugging Face's names and in its order of rows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lora_core::tensors::{HostTensor, Orientation};
use serde_json::Value;

use super::error::GgufError;
use super::reader::Gguf;

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

/// The same of a GPT-2.
const GPT2_LAYER: [(&str, &str); 4] = [
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

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
    pub(super) fn new(gguf: Gguf, config: &Value) -> Result<Self, GgufError> {
        let architecture = gguf.architecture()?.to_owned();
        let names = gguf.names().map(|name| {
            let renamed = hugging_face_name(name).unwrap_or_else(|| name.to_owned());
            let module = renamed.rsplit_once('.').map_or("", |(module, _)| module);
            let turned_heads = turned_heads(module, &architecture, config);
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

/// llama.cpp's name of a family, by `model_type`; `None` for one that it has not, or that is not known here.
pub(super) fn architecture_of(model_type: &str) -> Option<&'static str> {
    match model_type {
        // llama.cpp reads Mistral as a LLaMA.
        "llama" | "mistral" => Some("llama"),
        "qwen2" => Some("qwen2"),
        "qwen3" => Some("qwen3"),
        "gpt2" => Some("gpt2"),
        _ => None,
    }
}

/// The heads whose features are in another order in llama.cpp; none for modules that have none.
pub(super) fn turned_heads(module: &str, architecture: &str, config: &Value) -> Option<usize> {
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

/// GGUF's name of a module, by its path; `None` for one that it does not have.
pub(super) fn gguf_name(module: &str, architecture: &str) -> Option<String> {
    let is_gpt2 = architecture == "gpt2";
    match module {
        "lm_head" => return Some("output".to_owned()),
        "model.norm" if !is_gpt2 => return Some("output_norm".to_owned()),
        "model.embed_tokens" if !is_gpt2 => return Some("token_embd".to_owned()),
        "transformer.wte" if is_gpt2 => return Some("token_embd".to_owned()),
        _ => {}
    }
    let (prefix, names) = if is_gpt2 {
        ("transformer.h.", &GPT2_LAYER[..])
    } else {
        ("model.layers.", &LAYER[..])
    };
    let (layer, module) = module.strip_prefix(prefix)?.split_once('.')?;
    let (name, _) = names.iter().find(|(_, theirs)| *theirs == module)?;
    Some(format!("blk.{layer}.{name}"))
}

/// The rows of every head in the order 0, 2, 4…, 1, 3, 5….
fn halves_together(tensor: HostTensor, heads: usize) -> HostTensor {
    reordered(tensor, heads, |feature, d_head| {
        let (half, pair) = (feature / (d_head / 2), feature % (d_head / 2));
        2 * pair + half
    })
}

/// The other way round, from Hugging Face's order to that of llama.cpp.
pub(super) fn neighbours_together(tensor: HostTensor, heads: usize) -> HostTensor {
    reordered(tensor, heads, |feature, d_head| {
        let (pair, half) = (feature / 2, feature % 2);
        half * (d_head / 2) + pair
    })
}

/// The rows of every head in another order; `source` says where the one at a place is taken from.
fn reordered(tensor: HostTensor, heads: usize, source: impl Fn(usize, usize) -> usize) -> HostTensor {
    let rows = tensor.shape.first().copied().unwrap_or(0);
    if rows == 0 || heads == 0 || !rows.is_multiple_of(heads.saturating_mul(2)) {
        return tensor; // its shape will be refused against the settings
    }
    let width = tensor.values.len() / rows;
    let d_head = rows / heads;
    let place = |row: usize| {
        let (head, feature) = (row / d_head, row % d_head);
        head * d_head + source(feature, d_head)
    };
    let values = (0..rows).flat_map(|row| &tensor.values[place(row) * width..][..width]);
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
        assert_eq!(halves_together(tensor.clone(), 2).values, expected);
        assert_eq!(
            neighbours_together(halves_together(tensor.clone(), 2), 2),
            tensor,
            "there and back"
        );
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
        for (theirs, ours) in LAYER {
            let module = format!("model.layers.3.{ours}");
            assert_eq!(gguf_name(&module, "llama"), Some(format!("blk.3.{theirs}")));
        }
        assert_eq!(
            gguf_name("transformer.h.0.mlp.c_proj", "gpt2").as_deref(),
            Some("blk.0.ffn_down")
        );
        assert_eq!(gguf_name("transformer.wte", "llama"), None);
    }
}
