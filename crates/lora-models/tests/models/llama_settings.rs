//! Windows and frequencies as Transformers reads them from `config.json`: the expectations are those of its 5.23
//! `Qwen2Config`, `MistralConfig` and `LlamaConfig` on the same keys.

use std::borrow::Cow;
use std::path::Path;

use lora_core::tensors::TensorFile;
use lora_models::blocks::RopeScaling;
use lora_models::families::llama::LlamaConfig;
use lora_models::{Checkpoint, LoadError, WeightFiles};
use serde_json::{Value, json};

fn read(model_type: &str, layers: usize, keys: &Value) -> Result<LlamaConfig, LoadError> {
    let mut config = json!({
        "model_type": model_type, "hidden_size": 8, "num_hidden_layers": layers, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": 20, "max_position_embeddings": 64,
    });
    let all = config.as_object_mut().unwrap();
    all.extend(keys.as_object().unwrap().clone());
    let empty =
        safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None).unwrap();
    let weights = TensorFile::from_bytes(empty, Path::new("model.safetensors")).unwrap();
    LlamaConfig::read(&Checkpoint {
        origin: "model".into(),
        config,
        weights: WeightFiles::of_safetensors(weights),
        tokenizer: None::<Cow<'static, [u8]>>,
        gguf_template: None,
    })
}

fn windows(model_type: &str, layers: usize, keys: &Value) -> Vec<Option<usize>> {
    let config = read(model_type, layers, keys).unwrap();
    (0..layers).map(|layer| config.window(layer)).collect()
}

#[test]
fn qwens_window_begins_at_layer_28_with_4096_tokens_unless_told_otherwise() {
    for family in ["qwen2", "qwen3"] {
        let found = windows(family, 30, &json!({"use_sliding_window": true}));
        assert_eq!(found[26..], [None, None, Some(4096), Some(4096)], "{family}");
        let keys = json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 1});
        assert_eq!(windows(family, 3, &keys), [None, Some(5), Some(5)], "{family}");
        let keys = json!({"use_sliding_window": true, "sliding_window": null, "max_window_layers": 0});
        assert_eq!(windows(family, 2, &keys), [None, None], "{family}");
        assert_eq!(
            windows(family, 2, &json!({"sliding_window": 5})),
            [None, None],
            "{family}"
        );
    }
}

#[test]
fn qwens_kinds_of_layers_need_the_switch_and_mistral_passes_them_over() {
    let with = |switch: bool| {
        json!({
            "use_sliding_window": switch, "sliding_window": 5, "layer_types": ["full_attention", "sliding_attention"],
        })
    };
    assert_eq!(windows("qwen2", 2, &with(true)), [None, Some(5)]);
    assert_eq!(windows("qwen2", 2, &with(false)), [None, None]);
    assert_eq!(windows("mistral", 2, &with(false)), [Some(5), Some(5)]);
    assert_eq!(windows("mistral", 1, &json!({})), [Some(4096)]);
    assert_eq!(windows("llama", 2, &with(true)), [None, None]);
}

#[test]
fn of_two_names_of_the_kind_of_frequencies_the_new_one_holds() {
    let scaling = |keys: Value| read("llama", 1, &json!({"rope_scaling": keys})).unwrap().rope.1;
    let linear = RopeScaling::Linear { factor: 2.0 };
    assert_eq!(scaling(json!({"type": "linear", "factor": 2.0})), linear);
    assert_eq!(
        scaling(json!({"rope_type": "linear", "type": "linear", "factor": 2.0})),
        linear
    );
    assert_eq!(
        scaling(json!({"type": "linear", "rope_type": "default", "factor": 2.0})),
        RopeScaling::None
    );
}
