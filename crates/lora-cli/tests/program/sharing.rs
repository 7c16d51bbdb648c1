//! What a run's folder holds for other people and programs: the model card, events, adapters for llama.cpp.

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
