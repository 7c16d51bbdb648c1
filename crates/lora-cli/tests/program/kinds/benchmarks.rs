//! A benchmark by name, from training to scores.

use serde_json::json;

use super::{eval_agrees_with_training, json};
use crate::workspace::{Workspace, recipe};

/// Rows in GLUE's form; the label follows from one word.
fn glue(rows: usize) -> String {
    let mut lines = vec!["sentence\tlabel".to_owned()];
    for row in 0..rows {
        let (word, label) = [("gripping", 1), ("dull", 0)][row % 2];
        lines.push(format!("a {word} film number {row}\t{label}"));
    }
    lines.join("\n")
}

#[test]
fn a_benchmark_brings_its_splits_labels_and_metric() {
    let workspace = Workspace::new();
    workspace.write("glue/SST-2/train.tsv", glue(30));
    workspace.write("glue/SST-2/dev.tsv", glue(9));
    // GLUE keeps the labels of its test rows back.
    workspace.write("glue/SST-2/test.tsv", "index\tsentence\n0\ta film\n");
    let recipe = recipe(&[
        ("train_file", ""),
        ("validation_file", ""),
        ("task_name", "sst2"),
        ("data_dir", "glue"),
        ("validation_fraction", "0.2"),
    ]);
    workspace.write("sst2.yaml", recipe);
    let said = workspace.lora_works(&["train", "--config", "sst2.yaml"]);
    for part in [
        "validation: 6 rows split off the training rows with seed 11",
        "test: 9 rows from glue/SST-2/dev.tsv",
        "2 classes: negative, positive",
    ] {
        assert!(said.stderr.contains(part), "no `{part}` in {}", said.stderr);
    }
    assert!(
        said.stdout
            .contains("Official metric (accuracy) of the test rows: mean pass accuracy")
    );
    let task = json(workspace.read("out/task.json"));
    assert_eq!(task["task_name"], "sst2");
    assert_eq!(task["id2label"], json!({"0": "negative", "1": "positive"}));
    let run = json(workspace.read("out/run.json"));
    assert_eq!(run["rows"], json!({"train": 24, "validation": 6, "test": 9}));

    let evaluated = eval_agrees_with_training(&workspace, &["--task-name", "sst2", "--data-dir", "glue"]);
    assert_eq!(evaluated["part"], "sst2, validation");
    assert_eq!(evaluated["metric"]["name"], "accuracy");
    let score = &evaluated["metric"]["scores"][0]["score"];
    assert_eq!(score["score"], evaluated["methods"][0]["scores"]["accuracy"]);
    // Columns of other files are those of the hub.
    workspace.lora_works(&["eval", "--adapter", "out", "--data", "glue/SST-2/dev.tsv"]);
    let said = workspace.lora_works(&[
        "eval",
        "--adapter",
        "out",
        "--task-name",
        "sst2",
        "--data-dir",
        "glue",
        "--max-rows",
        "4",
        "--json",
    ]);
    assert_eq!(json(said.stdout)["rows"], 4);
}

#[test]
fn the_names_are_listed_and_each_is_described() {
    let workspace = Workspace::new();
    let all = json(workspace.lora_works(&["tasks", "--json"]).stdout);
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 26);
    let listed = workspace.lora_works(&["tasks"]).stdout;
    assert!(names.iter().all(|name| listed.contains(name)));
    let said = workspace.lora_works(&["tasks", "mrpc"]).stdout;
    for part in [
        "accuracy and F1",
        "nyu-mll/glue (mrpc)",
        "sentence1, sentence2, label",
        "msr_paraphrase_test.txt",
        "train 3668",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
}
