//! Bad input: one sentence that names the place and the mend, exit code 2, nothing written.

mod another_model;
#[cfg(unix)] // other systems have no limit on the size of files that could stand for a full disk
mod full_disk;
mod in_training;
mod read_only;
mod with_an_adapter;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::workspace::{Said, Workspace};

pub fn check(what: &str, workspace: &Workspace, arguments: &[&str], message: &[&str]) {
    let before = workspace.everything();
    let said = workspace.lora(arguments);
    check_said(what, workspace, &before, &said, 2, message);
}

/// The program ended with this code, said one sentence with these parts, and the folder is as it was before.
fn check_said(
    what: &str,
    workspace: &Workspace,
    before: &BTreeMap<PathBuf, Vec<u8>>,
    said: &Said,
    code: i32,
    message: &[&str],
) {
    assert_one_sentence(what, said, code);
    for part in message {
        assert!(
            said.stderr.contains(part),
            "{what}: no `{part}` in: {}",
            said.stderr
        );
    }
    assert!(workspace.everything() == *before, "{what}: something was written");
}

fn assert_one_sentence(what: &str, said: &Said, code: i32) {
    assert_eq!(said.code, Some(code), "{what}: {}", said.stderr);
    assert_eq!(said.stdout, "", "{what}");
    let errors: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{what}: {}", said.stderr);
    assert_eq!(
        said.stderr.lines().last(),
        errors.first().copied(),
        "{what}: the sentence is the last line"
    );
    for word in ["panic", "this is a bug", "backtrace", "thread '"] {
        assert!(!said.stderr.contains(word), "{what}: {}", said.stderr);
    }
}

#[test]
fn a_configuration_that_does_not_parse_is_refused_by_file_and_line() {
    let workspace = Workspace::new();
    workspace.write("a.yaml", "r: 4\nseed: [1\n");
    workspace.write("b.toml", "r = 4\nseed = = 1\n");
    workspace.write("c.json", "{\n\"r\": 4,,\n}");
    workspace.write("d.ini", "r = 4\n");
    workspace.write("e.yaml", b"r: \xff\n");
    workspace.write("twice.yaml", "r: 4\nseed: 1\nr: 8\n");
    let files = [
        (
            "twice.yaml",
            "line 3: the key `r` stands twice; remove one of them",
        ),
        ("a.yaml", "not valid YAML"),
        ("b.toml", "line 2: not valid TOML"),
        ("c.json", "line 2: not valid JSON"),
        ("d.ini", "end it in .yaml, .toml or .json"),
        ("e.yaml", "is not UTF-8"),
        ("missing.yaml", "cannot read the configuration file"),
    ];
    for (file, message) in files {
        check(file, &workspace, &["train", "--config", file], &[file, message]);
    }
}

#[test]
fn a_wrong_flag_is_named_as_a_flag() {
    let workspace = Workspace::new();
    let train = ["train", "--config", "run.yaml"];
    for (flag, value, message) in [
        ("--r", "0", "flag --r: rank is 0"),
        (
            "--members",
            "10001",
            "flag --members: an ensemble of 10001 members is too large",
        ),
        (
            "--mask-probability",
            "1",
            "flag --mask-probability: mask_probability is 1",
        ),
        (
            "--rank-pattern",
            "query",
            "flag --rank-pattern: `query` is no list of pairs",
        ),
        (
            "--output-dir",
            "train.csv",
            "flag --output: output_dir is `train.csv`",
        ),
    ] {
        check(
            flag,
            &workspace,
            &[&train[..], &[flag, value]].concat(),
            &[message],
        );
    }
}

#[cfg(unix)] // elsewhere the system has no such arguments
#[test]
fn an_argument_that_is_not_utf8_is_refused_before_any_work() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let workspace = Workspace::new();
    for arguments in [&["predict", "out"][..], &["eval", "out", "--data"], &["lora"]] {
        let mut command = workspace.command(arguments);
        let output = command.arg(OsStr::from_bytes(b"caf\xe9.csv")).output().unwrap();
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{sentence}");
        assert!(
            sentence.starts_with("error: the argument `caf") && sentence.contains("is not UTF-8"),
            "{sentence}"
        );
    }
}

#[test]
fn an_unknown_flag_is_refused_with_a_suggestion() {
    let said = Workspace::new().lora(&["train", "--learning-rte", "1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("--learning-rate"), "{}", said.stderr);
}

#[test]
fn a_comparison_goes_to_no_file() {
    let message = ["--output is `dev.csv`, but `dev.csv` is a file, not a folder"];
    let compare = ["compare", "train.csv", "--output", "dev.csv"];
    check(
        "a file in the place of the folder",
        &Workspace::new(),
        &compare,
        &message,
    );
}

#[test]
fn a_file_without_its_flag_and_a_missing_one_are_refused_with_the_flag() {
    let workspace = Workspace::new();
    for (arguments, flag) in [
        (&["train", "configs/x.yaml"][..], "--config configs/x.yaml"),
        (&["train", "x.csv"], "--data x.csv"),
        (
            &["train", "x.xlsx"],
            "`x.xlsx` is an Excel workbook, which is not read; save the sheet as CSV",
        ),
        (&["eval"], "(lora eval DIR …, or --adapter <DIR>), --data <FILE>"),
        (&["predict"], "(lora predict DIR …, or --adapter <DIR>)"),
        (&["eval", "runs/x", "other.csv"], "--data other.csv"),
    ] {
        let said = workspace.lora(arguments);
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(flag), "{}", said.stderr);
    }
}

#[test]
fn a_negative_number_is_a_value_and_a_flag_may_be_given_again() {
    let workspace = Workspace::new();
    let eval = ["eval", "--adapter", "nowhere", "--data", "train.csv"];
    let said = workspace.lora(&[&eval[..], &["--members", "-1"]].concat());
    assert!(
        said.stderr.contains("expected a whole number of passes"),
        "{}",
        said.stderr
    );
    let said = workspace.lora(&[
        "generate",
        "--model",
        "model",
        "--prompt",
        "x",
        "--temperature",
        "-1",
    ]);
    assert!(said.stderr.contains("temperature"), "{}", said.stderr);
    assert!(!said.stderr.contains("unexpected argument"), "{}", said.stderr);
    let dry = [
        "train",
        "--config",
        "run.yaml",
        "--dry-run",
        "-q",
        "--r",
        "3",
        "--r",
        "4",
    ];
    assert!(workspace.lora_works(&dry).stdout.contains("\nr: 4\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_refused_before_training() {
    // Nobody, not even an administrator, can make a file there.
    let workspace = Workspace::new();
    check(
        "a read-only folder",
        &workspace,
        &["train", "--config", "run.yaml", "--output-dir", "/proc/lora-run"],
        &[
            "output_dir `/proc/lora-run` cannot be written to",
            "choose a folder that you may write to",
        ],
    );
}
