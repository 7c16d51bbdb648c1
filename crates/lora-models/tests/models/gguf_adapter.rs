//! An adapter in a GGUF file has the update, the names and the settings that llama.cpp looks for.

use std::collections::BTreeMap;

use lora_core::LoraConfig;
use lora_core::peft::{Factors, PlainLora};
use lora_core::targets::TargetModules;
use lora_core::tensors::{HostTensor, Orientation};
use lora_models::gguf::{Gguf, GgufAdapter, GgufAdapterError, Setting};
use serde_json::{Value, json};

const HEADS: usize = 2;
const D_HEAD: usize = 4;
const D_MODEL: usize = 6;
const RANK: usize = 3;

/// Numbers of which no two are equal.
fn tensor(shape: [usize; 2], first: f32) -> HostTensor {
    HostTensor {
        shape: shape.into(),
        values: (0..shape[0] * shape[1])
            .map(|place| first + place as f32)
            .collect(),
    }
}

fn factors(d_output: usize, scale: f64) -> Factors {
    Factors {
        a: tensor([RANK, D_MODEL], 1.0),
        b: tensor([d_output, RANK], 100.0),
        bias: None,
        scale,
        is_table: false,
    }
}

fn adapter(modules: &[(&str, Factors)]) -> PlainLora {
    let modules = modules
        .iter()
        .map(|(path, factors)| ((*path).to_owned(), factors.clone()));
    PlainLora {
        factors: modules.collect(),
        saved: BTreeMap::new(),
        config: LoraConfig::new(RANK, 6.0, TargetModules::names(["q_proj", "v_proj"])),
        task_type: None,
        base_model: None,
    }
}

fn llama() -> Value {
    json!({"model_type": "llama", "num_attention_heads": HEADS, "num_key_value_heads": 1, "tie_word_embeddings": true})
}

fn written(lora: &PlainLora, config: &Value) -> Gguf {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    GgufAdapter::of(lora, config).unwrap().write(&path).unwrap();
    Gguf::from_bytes(std::fs::read(&path).unwrap(), &path).unwrap()
}

fn read(gguf: &Gguf, name: &str) -> HostTensor {
    gguf.read(name, Orientation::Stored).unwrap().unwrap()
}

const Q: &str = "model.layers.0.self_attn.q_proj";
const V: &str = "model.layers.11.self_attn.v_proj";

#[test]
fn settings_and_names_are_those_that_llama_cpp_checks() {
    let lora = adapter(&[(Q, factors(HEADS * D_HEAD, 2.0)), (V, factors(5, 2.0))]);
    let gguf = written(&lora, &llama());
    let text = |key: &str| gguf.setting(key).and_then(Setting::as_text).unwrap().to_owned();
    assert_eq!(text("general.architecture"), "llama");
    assert_eq!(text("general.type"), "adapter");
    assert_eq!(text("adapter.type"), "lora");
    // The scale is alpha / rank.
    assert_eq!(gguf.setting("adapter.lora.alpha").unwrap().as_float(), Some(6.0));
    let names: Vec<&str> = gguf.names().collect();
    let expected = [
        "blk.0.attn_q.weight.lora_a",
        "blk.0.attn_q.weight.lora_b",
        "blk.11.attn_v.weight.lora_a",
        "blk.11.attn_v.weight.lora_b",
    ];
    assert_eq!(names, expected);
    assert_eq!(read(&gguf, expected[2]), factors(5, 2.0).a);
    assert_eq!(read(&gguf, expected[3]), factors(5, 2.0).b);
}

#[test]
fn the_rows_of_a_llamas_queries_are_in_the_order_of_llama_cpp_and_those_of_others_stay() {
    let lora = adapter(&[(Q, factors(HEADS * D_HEAD, 2.0))]);
    let b = read(&written(&lora, &llama()), "blk.0.attn_q.weight.lora_b");
    // Features of a half of a head, in turns: 0, 2, 1, 3. A row has three numbers.
    let expected = [0, 2, 1, 3, 4, 6, 5, 7].map(|row| 100.0 + (3 * row) as f32);
    let firsts: Vec<f32> = b.values.iter().step_by(RANK).copied().collect();
    assert_eq!(firsts, expected);
    let mut qwen = llama();
    qwen["model_type"] = "qwen2".into();
    let b = read(&written(&lora, &qwen), "blk.0.attn_q.weight.lora_b");
    assert_eq!(b, factors(HEADS * D_HEAD, 2.0).b);
}

#[test]
fn another_scale_is_multiplied_into_b() {
    let lora = adapter(&[
        (Q, factors(8, 2.0)),
        ("model.layers.1.mlp.up_proj", factors(8, 2.0)),
        (V, factors(5, 0.5)),
    ]);
    let gguf = written(&lora, &llama());
    assert_eq!(gguf.setting("adapter.lora.alpha").unwrap().as_float(), Some(6.0));
    let b = read(&gguf, "blk.11.attn_v.weight.lora_b");
    let expected: Vec<f32> = factors(5, 0.5).b.values.iter().map(|value| value / 4.0).collect();
    assert_eq!(b.values, expected);
}

#[test]
fn of_a_table_rows_can_be_taken() {
    let table = Factors {
        is_table: true,
        ..factors(5, 2.0)
    };
    let gguf = written(&adapter(&[("model.embed_tokens", table.clone())]), &llama());
    assert_eq!(read(&gguf, "token_embd.weight.lora_a"), table.a.transposed());
    assert_eq!(read(&gguf, "token_embd.weight.lora_b"), table.b);
}

#[test]
fn a_gpt_2_has_its_own_names_and_no_turned_heads() {
    let module = "transformer.h.4.attn.c_attn";
    let lora = adapter(&[(module, factors(24, 2.0))]);
    let gguf = written(&lora, &json!({"model_type": "gpt2", "n_head": 2}));
    assert_eq!(read(&gguf, "blk.4.attn_qkv.weight.lora_b"), factors(24, 2.0).b);
}

#[test]
fn what_llama_cpp_cannot_have_is_refused_by_name() {
    let of = |lora: &PlainLora, config: &Value| GgufAdapter::of(lora, config).unwrap_err();
    let lora = adapter(&[(Q, factors(8, 2.0))]);
    assert!(matches!(
        of(&lora, &json!({"model_type": "bert"})),
        GgufAdapterError::Family { found } if found == "bert"
    ));
    let unknown = adapter(&[("model.layers.0.self_attn.other", factors(8, 2.0))]);
    assert!(matches!(of(&unknown, &llama()), GgufAdapterError::Module { .. }));
    let tied = adapter(&[("lm_head", factors(8, 2.0))]);
    assert!(matches!(of(&tied, &llama()), GgufAdapterError::Tied { .. }));
    let biased = Factors {
        bias: Some(tensor([8, 1], 0.5)),
        ..factors(8, 2.0)
    };
    assert!(matches!(
        of(&adapter(&[(Q, biased)]), &llama()),
        GgufAdapterError::MoreThanFactors { name } if name == format!("{Q}.lora_B.bias")
    ));
    let mut saved = lora;
    saved.saved.insert("score.weight".to_owned(), tensor([2, 6], 1.0));
    assert!(matches!(
        of(&saved, &llama()),
        GgufAdapterError::MoreThanFactors { name } if name == "score.weight"
    ));
}
