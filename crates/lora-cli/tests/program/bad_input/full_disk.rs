//! A disk that fills up: writes fail before the work, or in the middle of a file after it.

use super::check_said;
use crate::workspace::{Workspace, recipe};

/// Less than a run needs to start.
const FULL: u32 = 16;
/// Room for the probe before the work, not for what comes out of it.
const NEARLY_FULL: u32 = 256;

/// What does not fit, the room for a file in blocks, the exit code, the command, and what the message must name.
type Case = (
    &'static str,
    u32,
    i32,
    &'static [&'static str],
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        "nothing fits",
        FULL,
        2,
        &["train", "--config", "run.yaml", "--output-dir", "new"],
        &[
            "output_dir `new` cannot be written to",
            "on a disk with space left",
        ],
    ),
    (
        "the adapter does not fit into a new folder",
        NEARLY_FULL,
        1,
        &[
            "train",
            "--config",
            "large.yaml",
            "--output-dir",
            "new/deep",
            "--quiet",
        ],
        &[
            "cannot write new/deep/adapter_model.safetensors",
            "has space left",
        ],
    ),
    (
        "the adapter does not fit in the place of an earlier one",
        NEARLY_FULL,
        1,
        &["train", "--config", "large.yaml", "--overwrite", "--quiet"],
        &["cannot write out/adapter_model.safetensors", "has space left"],
    ),
    (
        "a page does not fit",
        FULL,
        2,
        &[
            "eval",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--report",
            "page.html",
        ],
        &["cannot write page.html", "has space left"],
    ),
    (
        "predictions do not fit",
        NEARLY_FULL,
        1,
        &[
            "predict",
            "--adapter",
            "out",
            "--data",
            "long.csv",
            "--output",
            "labels.csv",
            "--quiet",
        ],
        &["cannot write labels.csv", "has space left"],
    ),
];

#[test]
fn a_full_disk_is_one_sentence_and_leaves_nothing_half_written() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    // A rank of 1024 makes factors of 64 KiB each: eight of them do not fit.
    workspace.write("large.yaml", recipe(&[("r", "1024"), ("max_steps", "1")]));
    let long = "a gripping film ".repeat(6_000);
    workspace.write("long.csv", ["text", &long, &long, &long, &long].join("\n"));
    for (what, blocks, code, arguments, message) in CASES {
        let before = workspace.everything();
        let said = workspace.lora_with_small_files(*blocks, arguments);
        check_said(what, &workspace, &before, &said, *code, message);
    }
    // The earlier run is not only there, it works.
    workspace.lora_works(&["eval", "--adapter", "out", "--data", "train.csv"]);
}

#[test]
fn a_disk_that_fills_up_after_an_adapter_was_written_leaves_one_that_says_so() {
    let workspace = Workspace::new();
    // The adapter fits; the history of so many steps does not, which is written when the training is over.
    let long = [
        ("max_steps", "1500"),
        ("eval_strategy", "steps"),
        ("eval_steps", "500"),
        // Else a slow machine writes a checkpoint on the way.
        ("save_strategy", "no"),
    ];
    workspace.write("run.yaml", recipe(&long));
    let train = ["train", "--config", "run.yaml", "--quiet"];
    let said = workspace.lora_with_small_files(NEARLY_FULL, &train);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("cannot write out/results.json"),
        "{}",
        said.stderr
    );
    let said = workspace.lora_works(&["predict", "--adapter", "out", "a gripping film"]);
    let expected = "the training of `out` has not finished: this is the adapter of step";
    assert!(said.stderr.contains(expected), "{}", said.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_takes_nothing_is_a_failure_on_the_way() {
    let workspace = Workspace::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = workspace
        .command(&["inspect", "model", "--quiet"])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to the standard output"), "{said}");
}
