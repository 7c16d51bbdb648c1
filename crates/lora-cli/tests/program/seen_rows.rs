//! `lora eval` on rows that the training has seen.

use std::fs;

use serde_json::Value;

use crate::workspace::Workspace;

#[test]
fn scores_on_rows_of_the_training_come_with_a_warning() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    workspace.write("copy.csv", workspace.read("train.csv"));
    workspace.write(
        "new.csv",
        "text,label\na dull evening,bad\na gripping hour,good\n",
    );
    let assert_used = |adapter: &str, file: &str, used: Option<&str>| {
        let said = workspace.lora_works(&["eval", adapter, "--data", file, "--json"]);
        let is_told = said.stderr.contains("so their scores");
        assert_eq!(is_told, used.is_some(), "{file}: {}", said.stderr);
        let scores: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(scores["used_in_training_as"].as_str(), used, "{file}");
    };
    for (adapter, file, used) in [
        ("out", "train.csv", Some("training")),
        ("out", "copy.csv", Some("training")),
        ("out/last", "dev.csv", Some("validation")),
        ("out", "new.csv", None),
    ] {
        assert_used(adapter, file, used);
    }
    // Another folder, and another file at the path of the training rows.
    fs::rename(workspace.path("out"), workspace.path("moved")).unwrap();
    workspace.write("train.csv", workspace.read("new.csv"));
    assert_used("moved", "copy.csv", Some("training"));
    assert_used("moved", "train.csv", None);
}
