//! `lora eval` on rows that the training has seen.

use std::fs;

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

#[test]
fn scores_on_rows_of_the_training_come_with_a_warning() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    workspace.write("copy.csv", workspace.read("train.csv"));
    workspace.write(
        "new.csv",
        "text,label\na dull evening,bad\na gripping hour,good\n",
    );
    workspace.write(
        "mixed.csv",
        "text,label\na dull evening,bad\na gripping  film number 0,good\na dull film number 1,bad\n",
    );
    let assert_used = |adapter: &str, file: &str, used: Option<&str>| {
        let said = workspace.lora_works(&["eval", adapter, "--data", file, "--json"]);
        let is_told = said.stderr.contains("so their scores");
        assert_eq!(is_told, used.is_some(), "{file}: {}", said.stderr);
        let scores: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(scores["used_in_training_as"].as_str(), used, "{file}");
        let in_part = (used == Some("training_in_part")).then_some(2);
        assert_eq!(scores["rows_in_training"].as_u64(), in_part, "{file}");
    };
    for (adapter, file, used) in [
        ("out", "train.csv", Some("training")),
        ("out", "copy.csv", Some("training")),
        ("out/last", "dev.csv", Some("validation")),
        ("out", "mixed.csv", Some("training_in_part")),
        ("out", "new.csv", None),
    ] {
        assert_used(adapter, file, used);
    }
    let said = workspace.lora_works(&["eval", "out", "--data", "mixed.csv"]);
    assert!(
        said.stderr.contains("(2 of 3 have such a text)"),
        "{}",
        said.stderr
    );
    // Another folder, and another file at the path of the training rows.
    fs::rename(workspace.path("out"), workspace.path("moved")).unwrap();
    workspace.write("train.csv", workspace.read("new.csv"));
    assert_used("moved", "copy.csv", Some("training"));
    assert_used("moved", "train.csv", None);
}

#[test]
fn the_test_rows_of_a_file_that_was_split_are_no_rows_of_the_training() {
    let workspace = Workspace::new();
    let rows = (0..40).map(|row| format!("text {row},{}\n", ["bad", "good"][row % 2]));
    let rows: Vec<String> = rows.collect();
    workspace.write("data.csv", format!("text,label\n{}", rows.concat()));
    let one_file = [
        ("train_file", ""),
        ("validation_file", ""),
        ("data_file", "data.csv"),
        ("validation_fraction", "0.2"),
        ("test_fraction", "0.3"),
        ("max_steps", "2"),
    ];
    workspace.write("one.yaml", recipe(&one_file));
    workspace.lora_works(&["train", "--config", "one.yaml", "--quiet"]);
    // A row twice makes it another file.
    let other = [&rows[..], &rows[..1]].concat().concat();
    workspace.write("other.csv", format!("text,label\n{other}"));
    let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
    let trained = run["rows"]["train"].as_u64().unwrap();
    let said = workspace.lora_works(&["eval", "out", "--data", "other.csv"]);
    let told = [trained, trained + 1].map(|rows| {
        format!(
            "({rows} of 41 {} such a text)",
            if rows == 1 { "has" } else { "have" }
        )
    });
    assert!(
        trained < 30 && told.iter().any(|told| said.stderr.contains(told)),
        "{}",
        said.stderr
    );
}
