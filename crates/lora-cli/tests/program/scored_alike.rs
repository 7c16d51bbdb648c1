//! One model, scored by `train`, `eval`, `sweep`, `compare` and the demo.

use serde_json::Value;

use crate::comparing::texts;
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
pub fn assert_alike(found: &Value, expected: &Value, what: &str) {
    let [mut left, mut right] = [Vec::new(), Vec::new()];
    numbers(found, what, &mut left);
    numbers(expected, what, &mut right);
    assert!(left.len() > 5 && left.len() == right.len(), "{found}\n{expected}");
    for ((name, found), (_, expected)) in left.iter().zip(&right) {
        assert!((found - expected).abs() < 1e-5, "{name}: {found} and {expected}");
    }
}

/// The lines of one kind in a results file.
pub fn lines_of(workspace: &Workspace, file: &str, kind: &str) -> Vec<Value> {
    let lines = String::from_utf8(workspace.read(file)).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|mut line| Some(line.get_mut(kind)?.take()))
        .collect()
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
    let cells = lines_of(&workspace, "sweep.jsonl", "cell");
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

#[test]
fn the_command_that_compare_prints_trains_and_scores_what_was_compared_and_again() {
    let workspace = Workspace::new();
    workspace.write("films.csv", texts(120));
    let compare = "compare films.csv --seeds 1 --output cmp --json";
    let said = workspace.lora_works(&compare.split(' ').collect::<Vec<_>>());
    let outcome: Value = serde_json::from_str(&said.stdout).unwrap();
    let command = outcome["command"].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(words[0], "train");

    // The trial that it comes from.
    let value = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        Some(words[at + 1])
    };
    let is_ensemble = value("--members").is_some_and(|members| members != "0");
    let trials = lines_of(&workspace, "cmp/results.jsonl", "cell");
    assert!(trials.iter().any(|trial| trial["method"] == "input dropout"));
    let trial = trials.iter().find(|trial| {
        let is_alike = |key: &str, flag: &str| {
            trial["settings"].get(key).map(Value::to_string).as_deref() == value(flag)
        };
        let prediction = if is_ensemble {
            trial["prediction"].is_object()
        } else {
            trial["prediction"] == "mean"
        };
        is_alike("mask_probability", "--mask-probability")
            && is_alike("lora_dropout", "--lora-dropout")
            && prediction
    });
    let expected = &trial.unwrap()["outcome"]["done"]["test"]["plain"];
    let chosen = |methods: &Value| {
        let methods = methods.as_array().unwrap();
        let of_trial =
            |method: &&Value| method["is_scaled"] == false && (method["members"] != 1) == is_ensemble;
        methods.iter().find(of_trial).unwrap()["scores"].clone()
    };
    for _ in 0..2 {
        workspace.lora_works(&words);
        let trained: Value = serde_json::from_slice(&workspace.read("cmp/chosen/results.json")).unwrap();
        assert_alike(&chosen(&trained["scores"]["test"]), expected, "train");
    }
    let eval = [
        "eval",
        "--adapter",
        "cmp/chosen",
        "--data",
        "cmp/test.jsonl",
        "--json",
    ];
    let scored: Value = serde_json::from_str(&workspace.lora_works(&eval).stdout).unwrap();
    assert_alike(&chosen(&scored["methods"]), expected, "eval");
}
