//! A training that diverges: exit code 1, and a folder that says what it holds.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

const HUGE: (&str, &str) = ("learning_rate", "3e38");

#[test]
fn a_training_that_diverges_before_its_first_checkpoint_writes_nothing() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace.write("diverging.yaml", recipe(&[HUGE]));
    let before = workspace.everything();
    for output in [&["--output-dir", "new/run"][..], &["--overwrite"]] {
        let said = workspace.lora(&[&["train", "--config", "diverging.yaml"], output].concat());
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        assert!(
            said.stderr.contains("training diverged in step"),
            "{}",
            said.stderr
        );
        assert!(workspace.everything() == before, "something was written");
    }
}

#[test]
fn a_model_far_worse_than_guessing_is_a_failure() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[
            ("learning_rate", "1e9"),
            ("mask_probability", ""),
            ("ensemble_members", ""),
        ]),
    );
    let said = workspace.lora(&["train", "--config", "run.yaml"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    // ln(2) is 0.6931.
    assert!(
        said.stderr.contains("guessing among 2 classes has 0.6931"),
        "{}",
        said.stderr
    );
    let said = workspace.lora_works(&["predict", "--adapter", "out", "a film"]);
    assert!(
        said.stderr.contains("the training of `out` failed"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_training_that_diverges_later_keeps_its_checkpoint_and_says_that_it_failed() {
    let workspace = Workspace::new();
    // The first step has a learning rate of 0, the second a huge one.
    let changes = [
        HUGE,
        ("warmup_steps", "2"),
        ("eval_strategy", "steps"),
        ("eval_steps", "1"),
    ];
    workspace.write("run.yaml", recipe(&changes));
    let said = workspace.lora(&["train", "--config", "run.yaml"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("out keeps the best adapter from before the failure"),
        "{}",
        said.stderr
    );
    let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
    let failure = run["failed"].as_str().unwrap();
    assert!(said.stderr.contains(failure), "{failure}: {}", said.stderr);
    assert!(!workspace.path("out/results.json").exists());
    workspace.lora_works(&["eval", "--adapter", "out", "--data", "train.csv"]);
}
