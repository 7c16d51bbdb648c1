//! `HiddenKey` by its one key: in a sweep beside plain LoRA, and refused where it makes no sense.

use serde_json::{Value, json};

use crate::workspace::Workspace;

const SWEEP: &str = "\
base:
  model_name_or_path: model
  learning_rate: 2e-2
  max_steps: 6
  per_device_train_batch_size: 8
  max_seq_length: 24
  r: 2
tasks:
  - name: films
    data: {train_file: train.csv, test_file: dev.csv}
    rows: [12]
methods:
  - {name: LoRA, predictions: [mean]}
  - name: HiddenKey
    train: {hidden_key: {key_probability: 0.2, cut_probability: 0.2, kl_weight: 0}}
    predictions: [mean]
  - name: HiddenKey with KL
    train: {hidden_key: {key_probability: 0.2, cut_probability: 0.2, kl_weight: 1}}
    predictions: [mean]
seeds: [1]
validation_rows: 8
";

#[test]
fn one_key_turns_it_on_in_a_sweep_and_trains_something_else() {
    let workspace = Workspace::new();
    workspace.write("sweep.yaml", SWEEP);
    workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--results", "r.jsonl"]);
    let text = String::from_utf8(workspace.read("r.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let curves: Vec<&Value> = lines
        .iter()
        .filter_map(|line| line["training"].get("losses"))
        .collect();
    assert_eq!(curves.len(), 3);
    assert!(curves[0] != curves[1] && curves[1] != curves[2] && curves[0] != curves[2]);
    let cells: Vec<&Value> = lines.iter().filter_map(|line| line.get("cell")).collect();
    assert!(cells.iter().all(|cell| cell["outcome"]["done"].is_object()));
    assert_eq!(cells[0]["settings"].get("hidden_key"), None);
    let settings = json!({"key_probability": 0.2, "cut_probability": 0.2, "kl_weight": 1.0});
    assert_eq!(cells[2]["settings"]["hidden_key"], settings);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_place() {
    let workspace = Workspace::new();
    let train = |hidden_key: &str, more: &[&str]| {
        let start = [
            "train",
            "--model-name-or-path",
            "model",
            "--train-file",
            "train.csv",
            "--output-dir",
            "out",
        ];
        let numbers = [
            "--learning-rate",
            "1e-3",
            "--num-train-epochs",
            "1",
            "--per-device-train-batch-size",
            "4",
        ];
        let said = workspace.lora(&[&start[..], &numbers, &["--hidden-key", hidden_key], more].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        said.stderr
    };
    for (hidden_key, part) in [
        (
            "key_probability=1,cut_probability=0.1,kl_weight=0",
            "key_probability of hidden_key is 1",
        ),
        (
            "key_probability=0,cut_probability=0,kl_weight=0",
            "nothing is dropped",
        ),
        (
            "key_probability=0.1,cut_probability=0.1,kl_weight=-1",
            "kl_weight of hidden_key is -1",
        ),
        // What is left out is 0, and hides no mistake.
        ("key_probability=1", "key_probability of hidden_key is 1"),
        ("key_probabilty=0.1", "there is no setting `key_probabilty`"),
    ] {
        let said = train(hidden_key, &[]);
        assert!(
            said.contains(part) && said.contains("flag --hidden-key"),
            "{said}"
        );
    }
    let both = train(
        "key_probability=0.1,cut_probability=0.1,kl_weight=0",
        &["--blob", "{}"],
    );
    assert!(both.contains("together with a variational A"), "{both}");
}
