//! `lora sweep` on questions with choices: letters are classes to everything that scores them.

use serde_json::{Value, json};

use crate::language_model::{WORDS_OF_QUESTIONS, write_tiny_llama_that_knows};
use crate::workspace::Workspace;

const SWEEP: &str = "\
base:
  model_name_or_path: llama
  learning_rate: 2e-2
  num_train_epochs: 15
  per_device_train_batch_size: 8
  per_device_eval_batch_size: 2
  max_seq_length: 48
  r: 3
  target_modules: all-linear
tasks:
  - name: colours
    data: {train_file: train.jsonl, test_file: test.jsonl, problem_type: multiple_choice}
    rows: [16]
    shifted: {SHIFTED}
methods:
  - name: LoRA
    predictions:
      - mean
      - deep_ensemble: {members: 2}
      - swag: {members: 3, collect: {start: 0.5, every: 2}}
      - laplace: {of: adapters, prior: validation, members: 3}
      - laplace: {of: adapters, prior: {fixed: 1e+8}, members: 1}
      - laplace: {of: last_layer}
  - name: LoRA Dropout
    train: {mask_probability: 0.3}
    predictions: [mean, full_update, {ensemble: {members: [2, 3], average: [probabilities, logits]}}]
seeds: [1]
validation_rows: 6
";

/// The letter follows from a word of the question; every third question has three choices, and a few are answered by the third, so
/// that most batches know neither.
fn questions(rows: usize, are_answered: bool) -> String {
    let line = |row: usize| {
        let (asked, answer) = [("sky", "A"), ("grass", "B")][row % 2];
        let answer = if row % 12 == 11 { "C" } else { answer };
        let choices: Vec<&str> = ["one", "two", "three"][..2 + row % 3 / 2].to_vec();
        let answer = if are_answered { answer } else { "" };
        json!({"question": asked, "choices": choices, "answer": answer}).to_string()
    };
    (0..rows).map(line).collect::<Vec<_>>().join("\n")
}

fn workspace(shifted: &str) -> Workspace {
    let workspace = Workspace::new();
    write_tiny_llama_that_knows(&workspace.path("llama"), &WORDS_OF_QUESTIONS, 64);
    workspace.write("train.jsonl", questions(24, true));
    workspace.write("test.jsonl", questions(9, true));
    workspace.write("other.jsonl", questions(5, false));
    workspace.write("sweep.yaml", SWEEP.replace("{SHIFTED}", shifted));
    workspace
}

fn cells(workspace: &Workspace, file: &str) -> Vec<Value> {
    let text = String::from_utf8(workspace.read(file)).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|mut line| Some(line.get_mut("cell")?.take()))
        .collect()
}

#[test]
fn every_way_to_predict_scores_letters_as_classes() {
    let workspace = workspace("{out_of_scope: other.jsonl}");
    let run = ["sweep", "--config", "sweep.yaml", "--results", "r.jsonl"];
    let said = workspace.lora(&run);
    // The one that cannot be is recorded, with the reason, and the rest goes on.
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let mut all = cells(&workspace, "r.jsonl");
    assert_eq!(all.len(), 12);
    let is_failed = |cell: &Value| cell["outcome"]["failed"].is_string();
    let failed: Vec<Value> = all.iter().filter(|cell| is_failed(cell)).cloned().collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["prediction"]["laplace"]["of"], "last_layer");
    let reason = failed[0]["outcome"]["failed"].as_str().unwrap();
    assert!(
        reason.contains("table of words") && reason.contains("of: adapters"),
        "{reason}"
    );
    all.retain(|cell| !is_failed(cell));

    for cell in &all {
        let done = &cell["outcome"]["done"];
        let test = &done["test"]["plain"];
        assert_eq!((&test["n"], &test["classes"]), (&json!(9), &json!(3)), "{cell}");
        assert_eq!(done["shifted"]["detection"]["plain"][0][1]["out_of_scope"], 5);
        assert!(done["shifted"].get("scores").is_none());
        // A question with two choices gives no probability to a third.
        assert!(
            done["test_rows"]["plain"]["confidence"][0].as_u64().unwrap() >= 5_000,
            "{cell}"
        );
    }
    let of = |wanted: &Value| {
        let found = all.iter().find(|cell| cell["prediction"] == *wanted);
        found.unwrap()["outcome"]["done"]["test_rows"]["plain"].clone()
    };
    let nearly_no_variance = json!({"laplace": {"of": "adapters", "structure": "kronecker", "prior": {"fixed": 1e8},
        "members": 1, "average": "probabilities"}});
    let (mean, laplace) = (of(&json!("mean")), of(&nearly_no_variance));
    let losses = |rows: &Value| -> Vec<i64> {
        let losses = rows["losses"].as_array().unwrap().iter();
        losses.map(|loss| loss.as_i64().unwrap()).collect()
    };
    let far = losses(&mean)
        .into_iter()
        .zip(losses(&laplace))
        .any(|(mean, laplace)| (mean - laplace).abs() > 20);
    assert!(!far, "{mean} {laplace}");

    workspace.lora_works(&["report", "r.jsonl", "--markdown", "r.md"]);
    let document = String::from_utf8(workspace.read("r.md")).unwrap();
    assert!(document.contains("colours") && document.contains("deep ensemble"));
}

#[test]
fn rows_of_another_benchmark_are_asked_by_letter_or_refused_by_name() {
    let workspace = workspace("{benchmark: {name: obqa, data_dir: openbookqa}}");
    let sweep = SWEEP.replace("{SHIFTED}", "{benchmark: {name: boolq, data_dir: openbookqa}}");
    workspace.write("boolq.yaml", sweep);
    std::fs::create_dir(workspace.path("openbookqa")).unwrap();
    workspace.write("openbookqa/test.jsonl", questions(4, true));
    let dry = workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--dry-run", "--json"]);
    let document: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(document["cells"], 12);

    let refused = workspace.lora(&["sweep", "--config", "boolq.yaml", "--dry-run"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for part in [
        "`boolq.yaml`, task colours",
        "benchmark boolq",
        "answered by a letter",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
