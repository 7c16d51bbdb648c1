//! A training whose settings are the program's own.

use crate::workspace::Workspace;

#[test]
fn a_file_of_rows_is_all_that_a_training_needs() {
    let workspace = Workspace::new();
    let train = [
        "train",
        "--data",
        "train.csv",
        "--model",
        "model",
        "--max-seq-length",
        "40",
    ];
    let said = workspace.lora_works(&train);
    assert!(
        said.stderr.contains("training with model, LoRA Dropout p 0.5") && said.stderr.contains("runs/train"),
        "{}",
        said.stderr
    );
    assert!(workspace.path("runs/train/adapter_model.safetensors").is_file());
    // The settings that it shows are a file of settings.
    let shown = workspace.lora_works(&[&train[..], &["--dry-run"]].concat());
    workspace.write("shown.yaml", &shown.stdout);
    let again = workspace.lora_works(&["train", "--config", "shown.yaml", "--dry-run"]);
    assert_eq!(settings(&again.stdout), settings(&shown.stdout));
    assert!(!again.stderr.contains("the program's own"), "{}", again.stderr);
}

/// What a dry run shows without what it measured.
fn settings(shown: &str) -> Vec<&str> {
    shown.lines().filter(|line| !line.starts_with('#')).collect()
}
