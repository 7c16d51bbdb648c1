//! What a run's folder holds for other people and programs: the model card, events, adapters and models for llama.cpp, what is pushed.

use std::net::TcpListener;

use serde_json::Value;

use crate::workspace::Workspace;

const TRAIN: [&str; 4] = ["train", "--config", "run.yaml", "--quiet"];

fn text(workspace: &Workspace, name: &str) -> String {
    String::from_utf8(workspace.read(name)).unwrap()
}

#[test]
fn events_have_the_numbers_of_the_results_in_their_order() {
    let workspace = Workspace::new();
    workspace.lora_works(&[&TRAIN[..], &["--report-to", "json"]].concat());
    let lines = text(&workspace, "out/events.jsonl");
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let history = &serde_json::from_str::<Value>(&text(&workspace, "out/results.json")).unwrap()["history"];
    for (kind, rows, keys) in [
        ("stepped", "steps", ["step", "loss", "grad_norm", "learning_rate"]),
        ("evaluated", "evaluations", ["step", "loss", "ece", "is_best"]),
    ] {
        let found: Vec<&Value> = events.iter().filter(|event| event["event"] == kind).collect();
        let expected = history[rows].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{kind}");
        for (found, expected) in found.iter().zip(expected) {
            for key in keys {
                assert_eq!(found[key], expected[key], "{kind}, {key}");
                assert!(!found[key].is_null(), "{kind}, {key}");
            }
        }
    }
    assert_eq!(events.first().unwrap()["event"], "started");
    assert_eq!(events.last().unwrap()["event"], "finished");
    // The next training here, without events, leaves none that could be taken for its own.
    workspace.lora_works(&[&TRAIN[..], &["--overwrite"]].concat());
    assert!(!workspace.path("out/events.jsonl").exists());
}

#[test]
fn a_training_writes_its_card_anew_but_never_over_a_readme_of_the_users() {
    let workspace = Workspace::new();
    workspace.lora_works(&TRAIN);
    let card = text(&workspace, "out/README.md");
    assert!(card.starts_with("---\nlibrary_name: peft\n"), "{card}");
    // The base lies in a folder here, which means nothing to others.
    assert!(
        !card.contains("base_model:") && card.contains("`model`"),
        "{card}"
    );
    assert!(
        card.contains("24 training, 7 validation and 0 test rows"),
        "{card}"
    );

    let again = [&TRAIN[..], &["--overwrite", "--seed", "12"]].concat();
    workspace.lora_works(&again);
    let newer = text(&workspace, "out/README.md");
    assert!(newer != card && newer.contains("seed 12"), "{newer}");

    workspace.write("out/README.md", "# Mine\n");
    workspace.lora_works(&again);
    assert_eq!(text(&workspace, "out/README.md"), "# Mine\n");
}

#[test]
fn an_encoders_adapter_is_refused_for_llama_cpp_and_a_format_must_fit_its_output() {
    let workspace = Workspace::new();
    workspace.lora_works(&TRAIN);
    let before = workspace.everything();
    for (arguments, expected) in [
        (&["--format", "gguf", "--output", "a.gguf"], "bert"),
        (&["--format", "gguf", "--output", "folder"], "ends in .gguf"),
        (&["--format", "peft", "--output", "a.gguf"], "--format gguf"),
    ] {
        let said = workspace.lora(&[&["export", "--adapter", "out"][..], arguments].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    assert_eq!(workspace.everything(), before, "nothing is written");
}

#[test]
fn an_mlflow_server_that_is_not_there_costs_a_warning_and_nothing_else() {
    let workspace = Workspace::new();
    // A port that nobody listens at any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{gone}");
    let mut command = workspace.command(&["train", "--config", "run.yaml", "--report-to", "mlflow"]);
    let output = command.env("MLFLOW_TRACKING_URI", &address).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let warnings: Vec<&str> = stderr.lines().filter(|line| line.contains("MLflow")).collect();
    assert_eq!(
        warnings.len(),
        2,
        "one when it is noticed, one at the end: {stderr}"
    );
    assert!(
        warnings
            .iter()
            .all(|line| line.contains(&address) && line.contains("out/events.jsonl")),
        "{warnings:?}"
    );
    let events = text(&workspace, "out/events.jsonl");
    assert_eq!(
        events.lines().filter(|line| line.contains("\"stepped\"")).count(),
        30
    );
    // What the variable gave is a setting like others.
    let run: Value = serde_json::from_str(&text(&workspace, "out/run.json")).unwrap();
    assert_eq!(run["config"]["mlflow_tracking_uri"], address.as_str());
}

#[test]
fn a_merged_file_for_llama_cpp_must_be_called_and_asked_for_as_one() {
    let workspace = Workspace::new();
    workspace.lora_works(&TRAIN);
    let before = workspace.everything();
    for (arguments, expected) in [
        (&["--format", "gguf", "--output", "m.gguf"][..], "bert"),
        // Another name would not help.
        (
            &["--format", "gguf", "--output", "folder"],
            "a model of type `bert`",
        ),
        (&["--output", "m.gguf"], "--format gguf"),
        (
            &["--outtype", "q8_0", "--output", "folder"],
            "--outtype is of gguf files",
        ),
    ] {
        let said = workspace.lora(&[&["merge", "--adapter", "out"][..], arguments].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    assert_eq!(workspace.everything(), before, "nothing is written");
}

#[test]
fn what_is_pushed_is_the_adapter_and_nothing_else_of_its_folder() {
    let workspace = Workspace::new();
    workspace.lora_works(&[&TRAIN[..], &["--report-to", "json", "--save-strategy", "epoch"]].concat());
    workspace.write("out/secret.txt", "mine");
    let said = workspace.lora_works(&["push", "out", "jane/reviews", "--dry-run", "--json"]);
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    let files = document["plan"]["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
    let expected = [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "lora_dropout.json",
        "task.json",
        "calibration.json",
    ];
    assert_eq!(names, expected);
    for file in files {
        let length = workspace
            .read(&format!("out/{}", file["name"].as_str().unwrap()))
            .len();
        assert_eq!(file["bytes"], length);
    }
    // Its base model is a folder of this machine.
    assert_eq!(document["plan"]["local_base"], "model");
    assert!(
        said.stderr.contains("the base model is `model` of this machine"),
        "{}",
        said.stderr
    );
    // Without a token, and offline.
    for (offline, expected) in [("1", "unset HF_HUB_OFFLINE"), ("", "log in with `hf auth login`")] {
        let mut command = workspace.command(&["push", "out", "jane/reviews"]);
        command
            .env("HF_HUB_OFFLINE", offline)
            .env_remove("HF_TOKEN")
            .env_remove("HF_TOKEN_PATH");
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}
