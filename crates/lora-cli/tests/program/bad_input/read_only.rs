//! A folder that nothing can be written to, as a user with all rights finds it too: one that is mounted for reading only.
#![cfg(target_os = "linux")]

use super::check_said;
use crate::workspace::{Workspace, recipe};

/// What cannot be written, the exit code, the command, and what the message must name.
type Case = (
    &'static str,
    i32,
    &'static [&'static str],
    &'static [&'static str],
);

const SWEEP: &str = "\
base: {model_name_or_path: model, max_seq_length: 24, learning_rate: 2e-2, max_steps: 2, per_device_train_batch_size: 8}
tasks: [{name: films, data: {train_file: train.csv, test_file: dev.csv}, rows: [12]}]
methods: [{name: lora, predictions: [mean]}]
seeds: [1]
validation_rows: 8
";

const CASES: &[Case] = &[
    (
        "a training",
        2,
        &["train", "--config", "run.yaml", "--output-dir", "locked/new"],
        &["output_dir `locked/new` cannot be written to", "may write to"],
    ),
    (
        "a training in the place of an earlier one",
        2,
        &[
            "train",
            "--config",
            "run.yaml",
            "--output-dir",
            "locked/out",
            "--overwrite",
        ],
        &["output_dir `locked/out` cannot be written to", "may write to"],
    ),
    (
        "a merged model",
        1,
        &["merge", "--adapter", "locked/out", "--output", "locked/merged"],
        &["cannot write locked/merged", "is writable"],
    ),
    (
        "an exported adapter",
        1,
        &["export", "--adapter", "locked/out", "--output", "locked/exported"],
        &["cannot write locked/exported", "is writable"],
    ),
    (
        "predictions",
        2,
        &[
            "predict",
            "--adapter",
            "locked/out",
            "--data",
            "train.csv",
            "--output",
            "locked/labels.csv",
        ],
        &["cannot write locked/labels.csv", "is writable"],
    ),
    (
        "a page",
        2,
        &[
            "eval",
            "--adapter",
            "locked/out",
            "--data",
            "train.csv",
            "--report",
            "locked/page.html",
        ],
        &["cannot write locked/page.html", "is writable"],
    ),
    (
        "results of a sweep",
        2,
        &["sweep", "--config", "sweep.yaml", "--results", "locked/r.jsonl"],
        &["cannot use the results file `locked/r.jsonl`", "check the path"],
    ),
    (
        "results of a worker",
        1,
        &["sweep", "--config", "sweep.yaml", "--shared", "locked/shared"],
        &["cannot write locked/shared/worker-1.results.jsonl", "is writable"],
    ),
];

#[test]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn a_folder_for_reading_only_is_one_sentence_and_stays_as_it_was() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace.write("run.yaml", recipe(&[("max_steps", "2")]));
    workspace.write("sweep.yaml", SWEEP);
    std::fs::create_dir(workspace.path("locked")).unwrap();
    std::fs::rename(workspace.path("out"), workspace.path("locked/out")).unwrap();
    if !workspace.can_mount("locked") {
        println!("skipped: this system mounts nothing for this user");
        return;
    }
    // What is there is read as ever.
    let read = workspace.lora_with_read_only(
        "locked",
        &["eval", "--adapter", "locked/out", "--data", "train.csv"],
    );
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    for (what, code, arguments, message) in CASES {
        let before = workspace.everything();
        let arguments = [arguments, &["--quiet"][..]].concat();
        let said = workspace.lora_with_read_only("locked", &arguments);
        check_said(what, &workspace, &before, &said, *code, message);
    }
}
