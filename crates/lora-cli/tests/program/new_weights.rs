//! Weights that a checkpoint lacks: trained and saved, or refused, but never drawn anew without a word.

use serde_json::{Value, json};

use crate::language_model::write_tiny_llama;
use crate::workspace::{Workspace, recipe};

fn document(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// Trains on a BERT that was saved without its pooler, as `BertForMaskedLM` is.
fn trained_without_pooler() -> Workspace {
    let workspace = Workspace::new();
    workspace.keep_tensors("model/model.safetensors", |name| !name.starts_with("pooler"));
    workspace.write(
        "run.yaml",
        recipe(&[("ensemble_members", "0"), ("temperature_scaling", "false")]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace
}

#[test]
fn a_pooler_that_the_checkpoint_lacks_is_trained_and_saved() {
    let workspace = trained_without_pooler();
    let settings = document(&workspace.read("out/adapter_config.json"));
    assert_eq!(
        settings["modules_to_save"],
        json!(["classifier", "bert.pooler.dense"])
    );

    let eval = [
        "eval",
        "--adapter",
        "out",
        "--data",
        "dev.csv",
        "--members",
        "0",
        "--json",
        "--quiet",
    ];
    let scored = document(workspace.lora_works(&eval).stdout.as_bytes());
    let loss = |methods: &Value| methods[0]["scores"]["nll"].as_f64().unwrap();
    let (found, expected) = (
        loss(&scored["methods"]),
        loss(&document(&workspace.read("out/results.json"))["scores"]["validation"]),
    );
    assert!((found - expected).abs() < 1e-6, "{found}, in training {expected}");
}

#[test]
fn an_adapter_without_head_is_refused_on_a_base_without_head() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    // As PEFT leaves it when the head was not saved.
    workspace.keep_tensors("out/adapter_model.safetensors", |name| {
        !name.contains("classifier")
    });
    let mut settings = document(&workspace.read("out/adapter_config.json"));
    settings["modules_to_save"] = Value::Null;
    workspace.write("out/adapter_config.json", settings.to_string());
    std::fs::remove_file(workspace.path("out/task.json")).unwrap();
    let folders = ["--adapter", "out", "--base", "model", "--labels", "bad,good"];
    for command in [
        &["predict", "--max-seq-length", "24", "a fine film"][..],
        &["merge", "--output", "merged"],
    ] {
        let said = workspace.lora(&[command, &folders[..]].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(
            said.stderr
                .contains("model.safetensors lacks classifier.weight, classifier.bias"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_language_model_without_its_own_head_continues_no_text() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    let mut config = document(&workspace.read("llama/config.json"));
    config["tie_word_embeddings"] = json!(false);
    workspace.write("llama/config.json", config.to_string());
    let said = workspace.lora(&["generate", "--model", "llama", "--prompt", "say sky"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("lacks lm_head.weight"), "{}", said.stderr);
}
