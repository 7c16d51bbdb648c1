//! Merging, exporting and combining adapters that the program trained.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

fn json(workspace: &Workspace, name: &str) -> Value {
    serde_json::from_slice(&workspace.read(name)).unwrap()
}

/// Probabilities of two texts by the mean pass of an adapter on the base model of its training.
fn probabilities(workspace: &Workspace, adapter: &str) -> Vec<f64> {
    probabilities_on(workspace, adapter, "model")
}

fn probabilities_on(workspace: &Workspace, adapter: &str, base: &str) -> Vec<f64> {
    let predict = [
        "predict",
        "--adapter",
        adapter,
        "--base",
        base,
        "--members",
        "0",
        "--json",
        "--quiet",
    ];
    let said = workspace.lora_works(&[&predict[..], &["a fine film", "dull"]].concat());
    let numbers = said.probabilities();
    assert_eq!(numbers.len(), 4);
    numbers
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
    }
}

#[test]
fn an_adalora_run_is_exported_merged_and_combined() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[
            ("peft_type", "ADALORA"),
            ("init_r", "4"),
            ("target_r", "2"),
            ("tfinal", "1"),
            ("mask_probability", "0.2"),
            ("temperature_scaling", "false"),
        ]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    let settings = json(&workspace, "out/adapter_config.json");
    assert_eq!(settings["peft_type"], "ADALORA");
    let trained = probabilities(&workspace, "out");

    workspace.lora_works(&["export", "--adapter", "out", "--output", "plain"]);
    assert_eq!(json(&workspace, "plain/adapter_config.json")["peft_type"], "LORA");

    workspace.lora_works(&[
        "merge",
        "--adapter",
        "out",
        "--base",
        "model",
        "--output",
        "merged",
    ]);
    let names = json(&workspace, "merged/config.json")["id2label"].clone();
    assert_eq!(names, json(&workspace, "out/task.json")["id2label"]);
    // What was exported knows its task and its base; nobody has to name them again.
    let said = workspace.lora_works(&["predict", "--adapter", "plain", "--json", "-q", "a fine film"]);
    let label = serde_json::from_str::<Value>(&said.stdout).unwrap()["label"].clone();
    assert!(label == "good" || label == "bad", "{label}");
    workspace.lora_works(&["predict", "--adapter", "out/last", "-q", "a fine film"]);

    // With nothing added the merged model computes what the adapter did.
    workspace.lora_works(&["combine", "out", "--weights", "0", "--output", "nothing"]);
    assert_near(&probabilities_on(&workspace, "nothing", "merged"), &trained);

    // Half of it twice is the whole.
    workspace.lora_works(&[
        "combine",
        "out",
        "out",
        "--weights",
        "0.5,0.5",
        "--method",
        "cat",
        "--output",
        "twice",
    ]);
    assert_near(&probabilities(&workspace, "twice"), &trained);

    let again = workspace.lora(&["export", "--adapter", "out", "--output", "plain"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn of_two_heads_the_result_gets_the_one_that_was_chosen() {
    let workspace = Workspace::new();
    // A temperature is not combined: without one, probabilities are comparable.
    workspace.write("run.yaml", recipe(&[("temperature_scaling", "false")]));
    for (output, seed) in [("one", "1"), ("two", "2")] {
        workspace.lora_works(&[
            "train",
            "--config",
            "run.yaml",
            "-q",
            "--output-dir",
            output,
            "--seed",
            seed,
        ]);
    }
    let combine = ["combine", "one", "two", "--weights", "0,1", "--output"];
    let refused = workspace.lora(&[&combine[..], &["both"]].concat());
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--head-from one"), "{}", refused.stderr);
    // Nothing of the first and all of the second, head included, is the second.
    workspace.lora_works(&[&combine[..], &["second", "--head-from", "two"]].concat());
    assert_near(
        &probabilities(&workspace, "second"),
        &probabilities(&workspace, "two"),
    );
    workspace.lora_works(&[&combine[..], &["mixed", "--head-from", "one"]].concat());
    assert_ne!(
        probabilities(&workspace, "mixed"),
        probabilities(&workspace, "two")
    );
}

#[test]
fn keys_of_another_form_are_refused_with_the_remedy() {
    let workspace = Workspace::new();
    let said = workspace.lora(&["train", "--config", "run.yaml", "--init-r", "4"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("--init-r") && said.stderr.contains("set peft_type to ADALORA"),
        "{}",
        said.stderr
    );
    let said = workspace.lora(&["combine", "out", "--method", "average", "--output", "x"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("ties_svd"), "{}", said.stderr);
}

#[test]
fn the_side_file_recommends_the_ensemble_where_there_is_no_task_file() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[("ensemble_average", "logits"), ("max_steps", "2")]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    std::fs::remove_file(workspace.path("out/task.json")).unwrap();
    let eval = [
        "eval",
        "--adapter",
        "out",
        "--base",
        "model",
        "--labels",
        "bad,good",
        "--data",
        "dev.csv",
        "--max-seq-length",
        "24",
        "--json",
    ];
    let said = workspace.lora_works(&eval);
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    let expected = serde_json::json!({"members": 3, "seed": 11, "average": "logits"});
    assert_eq!(document["ensemble"], expected);
}

#[cfg(unix)]
#[test]
fn files_have_the_rights_that_the_user_gives_to_new_files() {
    use std::os::unix::fs::PermissionsExt;
    let workspace = Workspace::new();
    workspace.write("run.yaml", recipe(&[("max_steps", "2")]));
    let said = workspace.lora_with_umask("027", &["train", "--config", "run.yaml", "--quiet"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for file in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "task.json",
        "run.json",
    ] {
        let mode = std::fs::metadata(workspace.path("out").join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640, "{file}: {mode:o}");
    }
}
