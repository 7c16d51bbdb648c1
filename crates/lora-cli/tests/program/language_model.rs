//! A causal language model: taught by completions, then asked.

use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::workspace::Workspace;

const WORDS: [&str; 10] = [
    "<unk>", "</s>", "say", "red", "blue", "green", "now", "please", "sky", "grass",
];

/// A LLaMA of one layer that knows ten words, with numbers that follow no pattern.
pub fn write_tiny_llama(folder: &Path) {
    write_tiny_llama_that_knows(folder, &WORDS, 16);
}

/// What questions with choices are written in, in the tests.
pub const WORDS_OF_QUESTIONS: [&str; 9] = [
    "<unk>",
    "</s>",
    "A",
    "B",
    "C",
    "Answer:",
    "sky",
    "grass",
    "Question:",
];

/// The same with other words, the first two of which are those for unknown words and for the end, and a number of positions.
pub fn write_tiny_llama_that_knows(folder: &Path, words: &[&str], positions: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12, "vocab_size": words.len(),
        "max_position_embeddings": positions, "eos_token_id": 1, "pad_token_id": 1, "tie_word_embeddings": true,
    });
    let vocabulary: serde_json::Map<String, Value> = (0..)
        .zip(words)
        .map(|(id, word)| ((*word).to_owned(), Value::from(id)))
        .collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [{"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": vocabulary},
    });
    let layer = "model.layers.0";
    let shapes = [
        ("model.embed_tokens".to_owned(), vec![words.len(), 8]),
        ("model.norm".to_owned(), vec![8]),
        (format!("{layer}.input_layernorm"), vec![8]),
        (format!("{layer}.post_attention_layernorm"), vec![8]),
        (format!("{layer}.self_attn.q_proj"), vec![8, 8]),
        (format!("{layer}.self_attn.k_proj"), vec![4, 8]),
        (format!("{layer}.self_attn.v_proj"), vec![4, 8]),
        (format!("{layer}.self_attn.o_proj"), vec![8, 8]),
        (format!("{layer}.mlp.gate_proj"), vec![12, 8]),
        (format!("{layer}.mlp.up_proj"), vec![12, 8]),
        (format!("{layer}.mlp.down_proj"), vec![8, 12]),
    ];
    // Scrambled, so that no row is another one shifted.
    let number = |seed: usize, place: usize| {
        let angle = seed as f64 * 12.9898 + place as f64 * 78.233;
        ((angle.sin() * 43_758.545_3).fract() / 2.0) as f32
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let count = shape.iter().product::<usize>();
            // Norms of some size, or no logit would stand out.
            let size = if shape.len() == 1 { 3.0 } else { 0.0 };
            let bytes = (0..count).flat_map(|place| (size + number(seed, place)).to_le_bytes());
            let bytes = bytes.collect();
            (format!("{name}.weight"), shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    std::fs::write(
        folder.join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let template = "{% for message in messages %}{{ message.content }} please{% endfor %}";
    std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
}

fn document(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn a_language_model_learns_completions_and_says_them() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    workspace.write(
        "pairs.json",
        r#"[{"prompt": "say sky", "completion": "blue"},
            {"prompt": "say say say", "completion": ""}]"#,
    );
    let train = [
        "train",
        "--problem-type",
        "causal_lm",
        "--model-name-or-path",
        "llama",
        "--train-file",
        "pairs.json",
        "--chat-template",
        "--output-dir",
        "out",
        "--learning-rate",
        "0.02",
        "--max-steps",
        "300",
        "--eval-strategy",
        "no",
        "--per-device-train-batch-size",
        "1",
        "--lora-alpha",
        "32",
        "--max-seq-length",
        "12",
        "--target-modules",
        "all-linear",
        "--json",
    ];
    let said = workspace.lora_works(&train);
    assert!(
        said.stderr.contains("1 more have an empty completion"),
        "{}",
        said.stderr
    );
    let steps = document(&said.stdout)["history"]["steps"].clone();
    let loss = |step: usize| steps[step]["loss"].as_f64().unwrap();
    // A mean below 0.34 over the two tokens leaves each a probability above e^(-0.68), more than a half.
    assert!(loss(299) < 0.34, "loss {} to {}", loss(0), loss(299));

    let config: Value = serde_json::from_slice(&workspace.read("out/adapter_config.json")).unwrap();
    assert_eq!(config["task_type"], "CAUSAL_LM");
    let asked = [
        "generate",
        "--adapter",
        "out",
        "--chat",
        "--prompt",
        "say sky",
        "--max-new-tokens",
        "5",
        "--json",
    ];
    // In f32 the update goes into the weights; in bf16 it stays beside them.
    for precision in ["ieee", "bf16"] {
        let asked = [&asked[..], &["--fp32-precision", precision]].concat();
        let answered = document(&workspace.lora_works(&asked).stdout);
        assert_eq!(answered["text"].as_str().unwrap().trim(), "blue", "{precision}");
        assert_eq!(answered["stop"], "the model ended it");
        assert_eq!(answered["prompt"], "say sky please");
    }
}

#[test]
fn a_decoder_whose_tokenizer_names_no_padding_token_classifies_texts() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    let rows = ["say sky,blue", "say grass please now,green"];
    let rows: Vec<&str> = rows.into_iter().cycle().take(16).collect();
    workspace.write("rows.csv", format!("text,label\n{}\n", rows.join("\n")));
    workspace.lora_works(&[
        "train",
        "--model-name-or-path",
        "llama",
        "--train-file",
        "rows.csv",
        "--output-dir",
        "out",
        "--learning-rate",
        "0.01",
        "--r",
        "2",
        "--per-device-train-batch-size",
        "4",
        "--max-steps",
        "3",
        "--max-seq-length",
        "12",
        "--eval-strategy",
        "no",
        "--target-modules",
        "all-linear",
    ]);
    let probability = |texts: &[&str]| {
        let asked = [&["predict", "--adapter", "out", "--json"], texts].concat();
        let said = workspace.lora_works(&asked).stdout;
        let first = document(said.lines().next().unwrap());
        first["probabilities"]["blue"].as_f64().unwrap()
    };
    // Beside a longer text a short one is filled up, which must not change what is said about it.
    let (alone, beside) = (
        probability(&["say sky"]),
        probability(&["say sky", "say grass please now say"]),
    );
    assert!((alone - beside).abs() < 1e-6, "{alone} {beside}");
}

#[test]
fn the_same_seed_draws_the_same_text() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    let say = |seed: &str| {
        let said = workspace.lora_works(&[
            "generate",
            "--model",
            "llama",
            "--prompt",
            "say red",
            "--temperature",
            "2",
            "--max-new-tokens",
            "9",
            "--seed",
            seed,
            "--json",
        ]);
        document(&said.stdout)["tokens"].clone()
    };
    assert_eq!(say("1"), say("1"));
    let others: Vec<Value> = ["2", "3", "4", "5"].map(say).to_vec();
    assert!(others.iter().any(|tokens| *tokens != say("1")), "{others:?}");
}

#[test]
fn what_generate_cannot_use_is_refused_in_one_sentence() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    let long = "say ".repeat(16);
    let mistakes: [(&[&str], &str); 6] = [
        (&["--model", "minilm-l6", "--prompt", "say"], "is an encoder"),
        (
            &["--model", "llama", "--prompt", "say", "--top-p", "0.5"],
            "--temperature above 0",
        ),
        (
            &[
                "--model",
                "llama",
                "--prompt",
                "say",
                "--temperature",
                "1",
                "--top-p",
                "0",
            ],
            "top_p is 0",
        ),
        (
            &["--model", "llama", "--prompt", "say", "--stop", "halt"],
            "`halt` is no token",
        ),
        (&["--model", "llama", "--prompt", &long], "at most 16"),
        (&["--model", "absent.gguf", "--prompt", "say"], "absent.gguf"),
    ];
    for (arguments, message) in mistakes {
        let said = workspace.lora(&[&["generate"], arguments].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(
            said.stderr.contains(message),
            "no `{message}` in: {}",
            said.stderr
        );
    }
}
