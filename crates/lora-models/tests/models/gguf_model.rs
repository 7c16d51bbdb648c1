//! A model in a GGUF file comes back with its settings, its tokens and its numbers; what llama.cpp cannot have is refused.
//! `xtask/formats.py` reads such files by the `gguf` package.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lora_core::peft::write_tensors;
use lora_core::tensors::{HostTensor, Orientation, TensorFile};
use lora_data::TextTokenizer;
use lora_models::gguf::{Gguf, GgufDtype, GgufModel, GgufModelError, Setting};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer, WeightFiles};
use serde_json::{Value, json};

use crate::device;

const WORDS: [&str; 12] = [
    "a", "b", "c", "d", "Ġ", "1", "ab", "Ġc", "Ġcd", "<s>", "</s>", "<tool>",
];
const D_MODEL: usize = 32;
const D_FF: usize = 48;
/// The table is larger than the vocabulary.
const ROWS: usize = 14;

fn tokenizer() -> Value {
    let added = |id: usize, special: bool| {
        json!({"id": id, "content": WORDS[id], "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": special})
    };
    let vocabulary: serde_json::Map<String, Value> = WORDS[..9]
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)))
        .collect();
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [added(9, true), added(10, true), added(11, false)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, bytes]},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}},
        "decoder": bytes,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"], ["Ġ", "c"], ["Ġc", "d"]]},
    })
}

/// A decoder of two layers whose numbers follow no pattern.
fn checkpoint(model_type: &str, keys: &Value) -> Checkpoint {
    let mut config = json!({
        "model_type": model_type, "hidden_size": D_MODEL, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": D_FF, "vocab_size": ROWS, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 5000.0, "tie_word_embeddings": false, "bos_token_id": 9, "eos_token_id": [10, 11],
        "sliding_window": null,
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(keys.as_object().unwrap().clone());
    let mut shapes = vec![
        ("model.embed_tokens".to_owned(), vec![ROWS, D_MODEL]),
        ("model.norm".to_owned(), vec![D_MODEL]),
    ];
    if config["tie_word_embeddings"] == false {
        shapes.push(("lm_head".to_owned(), vec![ROWS, D_MODEL]));
    }
    for layer in ["model.layers.0", "model.layers.1"] {
        for (module, shape) in [
            ("input_layernorm", vec![D_MODEL]),
            ("post_attention_layernorm", vec![D_MODEL]),
            ("self_attn.q_proj", vec![32, D_MODEL]),
            ("self_attn.k_proj", vec![16, D_MODEL]),
            ("self_attn.v_proj", vec![16, D_MODEL]),
            ("self_attn.o_proj", vec![D_MODEL, 32]),
            ("mlp.gate_proj", vec![D_FF, D_MODEL]),
            ("mlp.up_proj", vec![D_FF, D_MODEL]),
            ("mlp.down_proj", vec![D_MODEL, D_FF]),
        ] {
            shapes.push((format!("{layer}.{module}"), shape));
        }
    }
    let mut named: Vec<(String, Vec<usize>)> = Vec::new();
    for (module, shape) in shapes {
        let has_bias = model_type == "qwen2"
            && ["q_proj", "k_proj", "v_proj"]
                .iter()
                .any(|end| module.ends_with(end));
        if has_bias {
            named.push((format!("{module}.bias"), vec![shape[0]]));
        }
        named.push((format!("{module}.weight"), shape));
    }
    let number = |seed: usize, place: usize| {
        let angle = seed as f64 * 12.9898 + place as f64 * 78.233;
        (angle.sin() * 43_758.545_3).fract() as f32
    };
    let tensors = named.into_iter().enumerate().map(|(seed, (name, shape))| {
        let count = shape.iter().product();
        let values = (0..count).map(|place| number(seed, place)).collect();
        (name, HostTensor { shape, values })
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_tensors(&path, tensors).unwrap();
    let weights = TensorFile::from_bytes(std::fs::read(&path).unwrap(), &path);
    Checkpoint {
        origin: "model".into(),
        config,
        weights: WeightFiles::of_safetensors(weights.unwrap()),
        tokenizer: Some(Cow::Owned(tokenizer().to_string().into_bytes())),
        gguf_template: None,
    }
}

fn load(checkpoint: &Checkpoint) -> Transformer {
    let head = HeadOptions {
        kind: HeadKind::CausalLm,
        seed: 0,
    };
    Transformer::load(checkpoint, head, &device()).unwrap().0
}

fn tensors(model: &Transformer) -> BTreeMap<String, Vec<f32>> {
    let mut found = BTreeMap::new();
    model.visit_tensors(&mut |name, param| {
        found.insert(name.to_owned(), param.to_file().values);
    });
    found
}

/// The file of a checkpoint's model.
fn written(checkpoint: &Checkpoint, dtype: GgufDtype) -> Gguf {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let form = GgufModel::of(checkpoint, dtype, "tiny").unwrap();
    form.write(&path, &load(checkpoint)).unwrap();
    Gguf::from_bytes(std::fs::read(&path).unwrap(), &path).unwrap()
}

#[test]
fn a_model_in_f32_comes_back_to_the_bit_with_its_settings_and_tokens() {
    for (family, keys, architecture) in [
        ("llama", json!({}), "llama"),
        ("mistral", json!({"tie_word_embeddings": true}), "llama"),
        (
            "qwen2",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
            "qwen2",
        ),
    ] {
        let original = checkpoint(family, &keys);
        let gguf = written(&original, GgufDtype::F32);
        assert_eq!(
            gguf.setting("general.architecture").unwrap().as_text(),
            Some(architecture)
        );
        assert_eq!(gguf.setting("general.name").unwrap().as_text(), Some("tiny"));
        let read = gguf.into_checkpoint().unwrap();
        for key in [
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "vocab_size",
            "max_position_embeddings",
            "tie_word_embeddings",
        ] {
            assert_eq!(read.config[key], original.config[key], "{family}, {key}");
        }
        assert_eq!(read.config["rope_parameters"]["rope_theta"], 5000.0, "{family}");
        assert_eq!(read.config["bos_token_id"], 9, "{family}");
        assert_eq!(read.config["eos_token_id"], 10, "{family}");
        let factor = &keys["rope_scaling"]["factor"];
        assert_eq!(&read.config["rope_parameters"]["factor"], factor, "{family}");
        let (found, expected) = (tensors(&load(&read)), tensors(&load(&original)));
        assert!(expected.len() >= 20, "{family}");
        assert_eq!(found, expected, "{family}");
        let ids = |checkpoint: &Checkpoint| {
            let tokenizer =
                TextTokenizer::from_bytes(checkpoint.tokenizer.as_deref().unwrap(), "tokenizer.json")
                    .unwrap();
            let texts = ["ab cd 11 <tool>b", "dab  c", "</s>a"];
            texts.map(|text| tokenizer.encode_prompt(text, true).unwrap())
        };
        assert_eq!(ids(&read), ids(&original), "{family}");
        assert_eq!(ids(&read)[0][0], 9, "the first token");
    }
}

#[test]
fn in_f16_and_q8_0_matrices_are_near_and_vectors_equal() {
    let original = checkpoint("qwen2", &json!({}));
    let expected = tensors(&load(&original));
    for (dtype, step) in [(GgufDtype::F16, 0.5 / 1024.0), (GgufDtype::Q8_0, 1.0 / 127.0)] {
        let gguf = written(&original, dtype);
        let found = tensors(&load(&gguf.into_checkpoint().unwrap()));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (name, found) in &found {
            let expected = &expected[name];
            let is_vector = name.ends_with("bias") || name.contains("norm");
            assert_eq!(found == expected, is_vector, "{dtype:?}, {name}");
            // All numbers are below 1.
            let far = found
                .iter()
                .zip(expected)
                .find(|(found, expected)| (*found - *expected).abs() > step);
            assert_eq!(far, None, "{dtype:?}, {name}");
        }
    }
}

#[test]
fn tokens_have_their_kinds_and_rows_without_a_token_a_name() {
    let gguf = written(&checkpoint("llama", &json!({})), GgufDtype::F16);
    let list = |key: &str| gguf.setting(key).unwrap().as_list().unwrap();
    let kinds: Vec<i64> = list("tokenizer.ggml.token_type")
        .iter()
        .filter_map(Setting::as_integer)
        .collect();
    assert_eq!(kinds, [1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 4, 5, 5]);
    let tokens: Vec<&str> = list("tokenizer.ggml.tokens")
        .iter()
        .filter_map(Setting::as_text)
        .collect();
    assert_eq!(tokens[..12], WORDS);
    assert_eq!(tokens[12..], ["[PAD12]", "[PAD13]"]);
    assert_eq!(
        gguf.setting("tokenizer.ggml.pre").unwrap().as_text(),
        Some("smollm")
    );
    assert_eq!(
        gguf.setting("tokenizer.ggml.add_bos_token").unwrap().as_bool(),
        Some(true)
    );
    assert_eq!(
        gguf.setting("tokenizer.ggml.add_eos_token").unwrap().as_bool(),
        Some(false)
    );
}

#[test]
fn the_factors_of_llama_3_stand_in_a_tensor() {
    let rope = json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 512}});
    let gguf = written(&checkpoint("llama", &rope), GgufDtype::Q8_0);
    let factors = gguf
        .read("rope_freqs.weight", Orientation::Stored)
        .unwrap()
        .unwrap();
    // Four pairs of a head turn 81, 9.7, 1.15 and 0.14 times within 512 tokens: above 4 nothing changes, below 1 the factor holds; between,
    // (1.1524 - 1) / 3 = 0.0508 of the way, 1 / (0.9492 / 8 + 0.0508).
    let expected = [1.0, 1.0, 5.901, 8.0];
    assert_eq!(factors.shape, [4]);
    for (found, expected) in factors.values.iter().zip(expected) {
        assert!((found - expected).abs() < 5e-3, "{:?}", factors.values);
    }
}

#[test]
fn what_llama_cpp_cannot_have_is_refused_by_key() {
    let refusal = |checkpoint: &Checkpoint| match GgufModel::of(checkpoint, GgufDtype::F16, "tiny") {
        Ok(_) => panic!("it is refused"),
        Err(error) => error.to_string(),
    };
    let of = |family: &str, keys: Value| refusal(&checkpoint(family, &keys));
    assert!(of("gpt2", json!({})).contains("`gpt2`"));
    assert!(of("llama", json!({"hidden_act": "gelu"})).contains("hidden_act is `gelu`"));
    assert!(of("mistral", json!({"sliding_window": 16})).contains("sliding_window is `16`"));
    let yarn = json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}});
    assert!(of("qwen2", yarn).contains("rope_type is `yarn`"));
    for (key, value) in [
        ("pre_tokenizer", json!({"type": "WhitespaceSplit"})),
        ("normalizer", json!({"type": "Lowercase"})),
        ("model", json!({"type": "WordLevel", "vocab": {}})),
    ] {
        let mut tokenizer = tokenizer();
        tokenizer[key] = value;
        let odd = Checkpoint {
            tokenizer: Some(Cow::Owned(tokenizer.to_string().into_bytes())),
            ..checkpoint("llama", &json!({}))
        };
        assert!(refusal(&odd).contains(key), "{}", refusal(&odd));
    }
}

#[test]
fn a_head_that_is_no_language_model_s_is_refused_and_leaves_no_file() {
    let checkpoint = checkpoint("llama", &json!({}));
    let head = HeadOptions {
        kind: HeadKind::SequenceClassification { outputs: 3 },
        seed: 1,
    };
    let (model, _) = Transformer::load(&checkpoint, head, &device()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let form = GgufModel::of(&checkpoint, GgufDtype::F16, "tiny").unwrap();
    let error = form.write(&folder.path().join("model.gguf"), &model).unwrap_err();
    assert!(
        matches!(&error, GgufModelError::Tensor { name } if name == "score.weight"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
