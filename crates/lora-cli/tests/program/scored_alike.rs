//! One model, scored by `train`, by `eval` and by `sweep`. `compare` and the demo are presets of the sweep.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

const SWEEP: &str = "\
base:
  model_name_or_path: model
  max_seq_length: 24
  max_steps: 30
  learning_rate: 2e-2
  per_device_train_batch_size: 8
  r: 2
  lora_alpha: 4
  mask_probability: 0.5
tasks:
  - name: films
    data: {train_file: train.csv, validation_file: dev.csv, test_file: dev.csv}
    rows: [all]
methods:
  - name: dropout
    predictions: [mean, {ensemble: {members: 3}}]
seeds: [11]
";

/// The numbers of a JSON object by name, nested ones too.
fn numbers(value: &Value, name: &str, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(number) => found.push((name.to_owned(), number.as_f64().unwrap())),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| numbers(value, &format!("{name}.{key}"), found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| numbers(value, &format!("{name}.{index}"), found)),
        _ => {}
    }
}

/// Outputs are f32, of which sums in another order differ in the last digits.
fn assert_alike(found: &Value, expected: &Value, what: &str) {
    let [mut left, mut right] = [Vec::new(), Vec::new()];
    numbers(found, what, &mut left);
    numbers(expected, what, &mut right);
    assert!(left.len() > 5 && left.len() == right.len(), "{found}\n{expected}");
    for ((name, found), (_, expected)) in left.iter().zip(&right) {
        assert!((found - expected).abs() < 1e-5, "{name}: {found} and {expected}");
    }
}

#[test]
fn train_eval_and_sweep_score_one_model_alike() {
    let workspace = Workspace::new();
    workspace.write("run.yaml", recipe(&[("test_file", "dev.csv")]));
    workspace.write("sweep.yaml", SWEEP);
    let document = |arguments: &[&str]| -> Value {
        serde_json::from_str(&workspace.lora_works(arguments).stdout).unwrap()
    };
    let trained = document(&["train", "--config", "run.yaml", "--json"]);
    let scored = document(&["eval", "--adapter", "out", "--data", "dev.csv", "--json"]);
    workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--results", "sweep.jsonl"]);
    let lines = String::from_utf8(workspace.read("sweep.jsonl")).unwrap();
    let cells: Vec<Value> = lines
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).unwrap().get("cell")?.clone()))
        .collect();
    assert_eq!(cells.len(), 2);
    for (index, name) in ["mean pass", "ensemble of 3"].into_iter().enumerate() {
        let by_name = |methods: &Value| {
            let methods = methods.as_array().unwrap();
            methods.iter().find(|method| method["method"] == name).unwrap()["scores"].clone()
        };
        let expected = by_name(&trained["scores"]["test"]);
        assert_alike(&by_name(&scored["methods"]), &expected, name);
        let cell = cells
            .iter()
            .find(|cell| (cell["prediction"] == "mean") == (index == 0))
            .unwrap();
        assert_alike(&cell["outcome"]["done"]["test"]["plain"], &expected, name);
    }
}
