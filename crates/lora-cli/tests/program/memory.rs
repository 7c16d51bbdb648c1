//! Loading a model takes hardly more memory than its weights.

use std::collections::BTreeMap;
use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::workspace::Workspace;

const D_MODEL: usize = 768;
const D_FF: usize = 3072;
const LAYERS: usize = 5;

/// A BERT of 36 million numbers in f16, so that the program's own memory counts little.
fn write_bert(workspace: &Workspace) {
    let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut linear = |name: &str, d_input: usize, d_output: usize| {
        shapes.insert(format!("{name}.weight"), vec![d_output, d_input]);
        shapes.insert(format!("{name}.bias"), vec![d_output]);
    };
    for layer in (0..LAYERS).map(|layer| format!("encoder.layer.{layer}")) {
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            linear(&format!("{layer}.attention.{part}"), D_MODEL, D_MODEL);
        }
        linear(&format!("{layer}.intermediate.dense"), D_MODEL, D_FF);
        linear(&format!("{layer}.output.dense"), D_FF, D_MODEL);
    }
    linear("pooler.dense", D_MODEL, D_MODEL);
    for (table, rows) in [("word", 40), ("position", 8), ("token_type", 2)] {
        shapes.insert(
            format!("embeddings.{table}_embeddings.weight"),
            vec![rows, D_MODEL],
        );
    }
    let layers = (0..LAYERS)
        .flat_map(|layer| ["attention.output", "output"].map(|part| format!("encoder.layer.{layer}.{part}")));
    for norm in layers.chain(["embeddings".to_owned()]) {
        for part in ["weight", "bias"] {
            shapes.insert(format!("{norm}.LayerNorm.{part}"), vec![D_MODEL]);
        }
    }
    let numbers = vec![0x3c_u8; 2 * D_MODEL * D_FF]; // each about 1.06
    let tensors = shapes.iter().map(|(name, shape)| {
        let bytes = &numbers[..2 * shape.iter().product::<usize>()];
        (name, TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap())
    });
    fs::create_dir(workspace.path("large")).unwrap();
    safetensors::serialize_to_file(tensors, None, &workspace.path("large/model.safetensors")).unwrap();
    let config = json!({
        "model_type": "bert", "hidden_size": D_MODEL, "intermediate_size": D_FF, "num_hidden_layers": LAYERS,
        "num_attention_heads": 12, "vocab_size": 40, "max_position_embeddings": 8, "type_vocab_size": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    });
    workspace.write("large/config.json", config.to_string());
}

/// One matrix is a third of the model, as the table of embeddings of a small language model is.
fn write_llama(workspace: &Workspace, dtype: Dtype) {
    const VOCABULARY: usize = 49_152;
    const WIDTH: usize = 256;
    const INNER: usize = 1024;
    let mut shapes = BTreeMap::from([
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
    ]);
    for layer in 0..28 {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape.to_vec());
        };
        for part in ["q", "k", "v", "o"] {
            add(&format!("self_attn.{part}_proj"), &[WIDTH, WIDTH]);
        }
        add("mlp.gate_proj", &[INNER, WIDTH]);
        add("mlp.up_proj", &[INNER, WIDTH]);
        add("mlp.down_proj", &[WIDTH, INNER]);
        add("input_layernorm", &[WIDTH]);
        add("post_attention_layernorm", &[WIDTH]);
    }
    let width = if dtype == Dtype::BF16 { 2 } else { 4 };
    let numbers = vec![0x3c_u8; width * VOCABULARY * WIDTH]; // each about 0.01
    let tensors = shapes.iter().map(|(name, shape)| {
        let bytes = &numbers[..width * shape.iter().product::<usize>()];
        (name, TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    fs::create_dir(workspace.path("large")).unwrap();
    safetensors::serialize_to_file(tensors, None, &workspace.path("large/model.safetensors")).unwrap();
    let config = json!({
        "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": 28,
        "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": VOCABULARY, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "hidden_act": "silu",
    });
    workspace.write("large/config.json", config.to_string());
}

#[test]
fn a_model_is_merged_in_less_than_1_3_times_the_memory_of_its_weights() {
    for dtype in [Dtype::BF16, Dtype::F32] {
        let workspace = Workspace::new();
        write_llama(&workspace, dtype);
        let adapter = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "large", "r": 2, "lora_alpha": 2,
            "target_modules": ["q_proj"],
        });
        workspace.write("adapter/adapter_config.json", adapter.to_string());
        let factor = vec![0_u8; 4 * 2 * 256];
        let of_layer = |layer: usize| {
            let name = |side: &str| {
                format!("base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight")
            };
            let view = |shape: [usize; 2]| TensorView::new(Dtype::F32, shape.to_vec(), &factor).unwrap();
            [(name("A"), view([2, 256])), (name("B"), view([256, 2]))]
        };
        let tensors = (0..28).flat_map(of_layer);
        safetensors::serialize_to_file(
            tensors,
            None,
            &workspace.path("adapter/adapter_model.safetensors"),
        )
        .unwrap();
        let mut command = workspace.command(&["merge", "adapter", "--output", "merged", "--json"]);
        let output = command.env("MIMALLOC_ALLOW_THP", "0").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let weights = found["weight_bytes"].as_f64().unwrap();
        assert!(weights > 140e6, "{weights}");
        if let Some(peak) = found["peak_memory_bytes"].as_f64() {
            assert!(
                (1.0..1.3).contains(&(peak / weights)),
                "{dtype:?}: {}",
                peak / weights
            );
        }
    }
}

#[test]
fn a_model_is_loaded_in_less_than_1_3_times_the_memory_of_its_weights() {
    let workspace = Workspace::new();
    write_bert(&workspace);
    let mut command = workspace.command(&["inspect", "large", "--json"]);
    // The allocator rounds up to pages of 2 MiB, which says nothing about loading.
    let output = command.env("MIMALLOC_ALLOW_THP", "0").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let weights = found["loading"]["weight_bytes"].as_f64().unwrap();
    assert!(weights > 140e6, "{weights}");
    // Only Linux tells a process how much it took.
    if let Some(peak) = found["loading"]["peak_memory_bytes"].as_f64() {
        assert!((1.0..1.3).contains(&(peak / weights)), "{}", peak / weights);
        assert!(stderr.contains("times the weights"), "{stderr}");
    }
}

/// A model of a terabyte: its file is a hole behind the header, which takes no room on the disk.
#[cfg(target_os = "linux")]
fn write_huge_bert(workspace: &Workspace) {
    const WIDTH: usize = 1 << 17;
    let mut entries = serde_json::Map::new();
    let mut end = 0;
    let mut add = |name: String, shape: &[usize]| {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        let entry = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        entries.insert(name, entry);
    };
    for layer in 0..8 {
        for part in ["query", "key", "value"] {
            let path = format!("encoder.layer.{layer}.attention.self.{part}");
            add(format!("{path}.weight"), &[WIDTH, WIDTH]);
        }
    }
    let mut header = serde_json::to_vec(&entries).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(&header);
    fs::create_dir(workspace.path("huge")).unwrap();
    let path = workspace.path("huge/model.safetensors");
    fs::write(&path, &bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len((bytes.len() + end) as u64).unwrap();
    let config = json!({
        "model_type": "bert", "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 8,
        "num_attention_heads": 16, "vocab_size": 30522, "max_position_embeddings": 64, "type_vocab_size": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    });
    workspace.write("huge/config.json", config.to_string());
    fs::copy(
        workspace.path("model/tokenizer.json"),
        workspace.path("huge/tokenizer.json"),
    )
    .unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_training_that_fits_in_no_memory_is_refused_with_the_estimate_before_its_model_is_loaded() {
    let workspace = Workspace::new();
    write_huge_bert(&workspace);
    for dry_run in [&[][..], &["--dry-run"]] {
        let said = workspace.lora(
            &[
                &["train", "--config", "run.yaml", "--model-name-or-path", "huge"],
                dry_run,
            ]
            .concat(),
        );
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        for part in [
            "the largest step, ",
            " of memory: 1536.",
            " activations, ",
            " optimizer",
            "fp32_precision bf16 halves the weights",
        ] {
            assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
        }
    }
    assert!(!workspace.path("out").exists());
}
