//! A training that is interrupted or killed goes on with `--resume`, and ends with the bits of one that is not.
#![cfg(unix)] // elsewhere a signal cannot be sent to one process without unsafe code

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::interrupted::{TRIES, send, stopped, stopped_in_time};
use crate::language_model::write_tiny_llama;
use crate::workspace::{Workspace, recipe};

/// Every file of a run but its checkpoints. Times are taken out, and what follows from them.
pub fn results(workspace: &Workspace, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = workspace.path(folder);
    let files = workspace.everything().into_iter();
    let mut files: BTreeMap<PathBuf, Vec<u8>> = files
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&root).ok()?.to_owned(), bytes)))
        .collect();
    // Both hold times.
    files.remove(Path::new("report.html"));
    files.retain(|path, _| !path.to_string_lossy().starts_with("checkpoint-"));
    for name in ["results.json", "run.json"] {
        let Some(bytes) = files.get_mut(&PathBuf::from(name)) else {
            continue;
        };
        let mut document: Value = serde_json::from_slice(bytes).unwrap();
        let times = ["seconds", "tokens_per_second"];
        let object = document.as_object_mut().unwrap();
        object.retain(|key, _| !times.contains(&key.as_str()));
        let run = if name == "run.json" {
            &mut document
        } else {
            &mut document["run"]
        };
        run["command"] = Value::Null;
        for key in [
            "output_dir",
            "overwrite_output_dir",
            "save_strategy",
            "save_steps",
        ] {
            run["config"][key] = Value::Null;
        }
        *bytes = document.to_string().into_bytes();
    }
    files
}

/// Whether the same files are there, with the same content.
pub fn assert_same_files(
    found: &BTreeMap<PathBuf, Vec<u8>>,
    expected: &BTreeMap<PathBuf, Vec<u8>>,
    what: &str,
) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (path, bytes) in expected {
        assert!(found[path] == *bytes, "{what}: {} differs", path.display());
    }
}

const SAVED: [&str; 4] = ["--save-strategy", "steps", "--save-steps", "4"];

/// Where nothing is interrupted. Its last name is that of the other folder: the model card holds it.
const WHOLE: &str = "whole/out";

/// Trains without interruption into [`WHOLE`], and into `out` with a signal after some of the evaluations of each call.
fn assert_resumes(workspace: &Workspace, what: &str, signal: &str, saved: &[&str]) {
    let whole = ["train", "--config", "run.yaml", "--output", WHOLE, "--overwrite"];
    workspace.lora_works(&whole);
    let expected = results(workspace, WHOLE);
    let mut arguments = vec!["train", "--config", "run.yaml"];
    arguments.extend(saved);
    arguments.push("--resume");
    let is_interrupted = (0..TRIES).any(|_| {
        let interruptions = run_to_its_end(workspace, &arguments, what, signal);
        assert_same_files(&results(workspace, "out"), &expected, what);
        std::fs::remove_dir_all(workspace.path("out")).unwrap();
        interruptions > 1
    });
    assert!(
        is_interrupted,
        "{what}: the training was too short to be interrupted"
    );
}

/// Runs a training that goes on until it comes to its end, and gives how often it was interrupted.
fn run_to_its_end(workspace: &Workspace, arguments: &[&str], what: &str, signal: &str) -> usize {
    let mut interruptions = 0;
    loop {
        let (code, said) = stopped(workspace.command(arguments), signal, 2 + interruptions % 2);
        match code {
            Some(0) => return interruptions,
            Some(130) => {
                assert!(
                    said.contains("to go on: lora train --config run.yaml"),
                    "{what}: {said}"
                );
            }
            None => assert_eq!(signal, "-KILL", "{what}: {said}"),
            Some(_) => panic!("{what}: {said}"),
        }
        interruptions += 1;
    }
}

/// Long enough to be interrupted, with evaluations between the ends of epochs.
const LONG: [(&str, &str); 4] = [
    ("max_steps", "120"),
    ("eval_strategy", "steps"),
    ("eval_steps", "10"),
    ("data_file", ""),
];

fn long(changes: &[(&'static str, &'static str)]) -> String {
    recipe(&[&LONG, changes].concat())
}

#[test]
fn a_training_that_is_asked_to_end_goes_on_to_the_same_bits() {
    let workspace = Workspace::new();
    for (what, changes) in [
        (
            "LoRA Dropout",
            &[("masks_per_step", "2"), ("mask_grouping", "example")][..],
        ),
        (
            "a p that is found",
            &[("mask_probability", "auto"), ("mask_grouping", "example")],
        ),
        (
            "SWAG",
            &[
                ("mask_probability", "0"),
                ("ensemble_members", ""),
                ("swag", "{start: 0.3, every: 4, columns: 3}"),
            ],
        ),
    ] {
        workspace.write("run.yaml", long(changes));
        assert_resumes(&workspace, what, "-TERM", &[]);
    }
}

#[test]
fn a_training_that_is_killed_goes_on_to_the_same_bits() {
    let workspace = Workspace::new();
    let adalora = [
        ("peft_type", "ADALORA"),
        ("r", ""),
        ("init_r", "4"),
        ("target_r", "2"),
        ("tinit", "20"),
        ("tfinal", "30"),
        ("deltaT", "5"),
    ];
    for (what, changes) in [
        ("AdaLoRA", &adalora[..]),
        (
            "BLoB",
            &[
                ("mask_probability", "0"),
                ("ensemble_members", ""),
                ("blob", "{}"),
                ("gradient_accumulation_steps", "2"),
            ],
        ),
    ] {
        workspace.write("run.yaml", long(changes));
        assert_resumes(&workspace, what, "-KILL", &SAVED);
    }
}

#[test]
fn a_language_model_that_is_interrupted_goes_on_to_the_same_bits() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    let rows: Vec<String> = (0..24)
        .map(|row| format!("a film number {row},{}", ["good", "dull"][row % 2]))
        .collect();
    workspace.write("pairs.csv", format!("prompt,completion\n{}\n", rows.join("\n")));
    let changes = [
        ("model_name_or_path", "llama"),
        ("train_file", "pairs.csv"),
        ("validation_file", "pairs.csv"),
        ("problem_type", "causal_lm"),
        ("target_modules", "[q_proj, v_proj]"),
        ("ensemble_members", ""),
        ("max_steps", "60"),
        ("max_seq_length", "16"),
    ];
    workspace.write("run.yaml", long(&changes));
    assert_resumes(&workspace, "a language model", "-TERM", &[]);
}

/// After a training was interrupted: the workspace, and what `lora train --resume` says with these flags.
fn refusal(workspace: &Workspace, flags: &[&str]) -> String {
    let arguments = [&["train", "--config", "run.yaml", "--resume"], flags].concat();
    let said = workspace.lora(&arguments);
    assert_eq!(said.code, Some(2), "{flags:?}: {}", said.stderr);
    said.stderr
}

#[test]
fn another_training_is_refused_by_the_name_of_what_differs() {
    let workspace = Workspace::new();
    workspace.write("run.yaml", long(&[("data_file", "")]));
    let training = || workspace.command(&["train", "--config", "run.yaml"]);
    stopped_in_time(&workspace, &training, 1);
    let before = workspace.everything();
    let said = refusal(&workspace, &["--per-device-train-batch-size", "4"]);
    for part in [
        "flag --per-device-train-batch-size",
        "per_device_train_batch_size changed",
        "8 when the training began, 4 now",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = refusal(&workspace, &["--lora-alpha", "8"]);
    assert!(said.contains("lora_alpha changed: 4.0"), "{said}");
    workspace.write(
        "other.csv",
        String::from_utf8(workspace.read("train.csv"))
            .unwrap()
            .replace("number 3", "number 4"),
    );
    let said = refusal(&workspace, &["--train-file", "other.csv"]);
    assert!(said.contains("the training rows changed"), "{said}");
    // One number of one frozen weight.
    let model = workspace.read("model/model.safetensors");
    let mut other = model.clone();
    let place = other.len() - 4;
    other[place] ^= 1;
    workspace.write("model/model.safetensors", &other);
    let said = refusal(&workspace, &[]);
    assert!(said.contains("the base model changed"), "{said}");
    workspace.write("model/model.safetensors", &model);
    // Nothing of the run has changed, and it goes on; a file that was moved is the same file.
    workspace.write("moved.csv", workspace.read("train.csv"));
    std::fs::remove_file(workspace.path("other.csv")).unwrap();
    std::fs::remove_file(workspace.path("moved.csv")).unwrap();
    assert!(workspace.everything() == before);
    std::fs::rename(workspace.path("train.csv"), workspace.path("moved.csv")).unwrap();
    workspace.lora_works(&[
        "train",
        "--config",
        "run.yaml",
        "--resume",
        "--train-file",
        "moved.csv",
    ]);
}

#[test]
fn an_interruption_before_the_first_evaluation_goes_on_to_the_same_files_and_hides_no_earlier_run() {
    let workspace = Workspace::new();
    let late = [("eval_steps", "100"), ("max_steps", "200")];
    workspace.write("run.yaml", long(&late));
    workspace.lora_works(&["train", "--config", "run.yaml", "--output", WHOLE]);
    let expected = results(&workspace, WHOLE);
    let arguments = [&["train", "--config", "run.yaml", "--resume"][..], &SAVED].concat();
    // Whether it was stopped, or came to its end before anybody looked.
    let stop_early = |arguments: &[&str], signal: &str| {
        let mut child = workspace
            .command(arguments)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut is_over = false;
        while !is_over && !workspace.path("out/checkpoint-4").is_dir() {
            is_over = child.try_wait().unwrap().is_some();
            std::thread::yield_now();
        }
        if !is_over {
            send(signal, &child);
        }
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 130) | None), "{code:?}");
        code != Some(0)
    };
    let is_stopped = (0..TRIES).any(|_| {
        let is_stopped = stop_early(&arguments, "-KILL");
        workspace.lora_works(&arguments);
        assert_same_files(&results(&workspace, "out"), &expected, "after an early end");
        std::fs::remove_dir_all(workspace.path("out")).unwrap();
        is_stopped
    });
    assert!(is_stopped, "the training was too short to be stopped");
    // Another training in its place, which ends as early, takes nothing of it.
    workspace.lora_works(&["train", "--config", "run.yaml"]);
    let before = results(&workspace, "out");
    let other = [
        "train",
        "--config",
        "run.yaml",
        "--overwrite",
        "--max-steps",
        "100000000",
        "--eval-strategy",
        "no",
    ];
    assert!(stop_early(&[&other[..], &SAVED].concat(), "-TERM"));
    assert_same_files(&results(&workspace, "out"), &before, "an earlier run");
}

#[test]
fn there_may_be_nothing_to_resume() {
    let workspace = Workspace::new();
    let arguments = ["train", "--config", "run.yaml", "--resume"];
    let said = workspace.lora_works(&arguments);
    assert!(
        said.stderr.contains("no checkpoint to resume from yet"),
        "{}",
        said.stderr
    );
    let finished = workspace.everything();
    let said = workspace.lora_works(&arguments);
    assert!(
        said.stderr.contains("is finished; there is nothing to resume"),
        "{}",
        said.stderr
    );
    assert!(workspace.everything() == finished);
    let said = workspace.lora(&["train", "--config", "run.yaml", "--resume", "nowhere"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("`nowhere` holds no checkpoint"),
        "{}",
        said.stderr
    );
    // Not the same training: an earlier run is not written over.
    let other = ["train", "--config", "run.yaml", "--resume", "--seed", "12"];
    let said = workspace.lora(&other);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("holds an earlier run"), "{}", said.stderr);
    assert!(workspace.everything() == finished);
}

#[test]
fn checkpoints_that_are_asked_for_stay_and_are_adapters() {
    let workspace = Workspace::new();
    let arguments = [
        "train",
        "--config",
        "run.yaml",
        "--save-strategy",
        "epoch",
        "--save-total-limit",
        "2",
    ];
    workspace.lora_works(&arguments);
    let folders = std::fs::read_dir(workspace.path("out")).unwrap();
    let mut names: Vec<String> = folders
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("checkpoint-"))
        .collect();
    names.sort();
    // 24 rows are 3 steps an epoch, of 30.
    assert_eq!(names, ["checkpoint-27", "checkpoint-30"]);
    workspace.lora_works(&["eval", "--adapter", "out/checkpoint-27", "--data", "train.csv"]);
}

#[test]
fn two_processes_never_write_one_output_folder() {
    let workspace = Workspace::new();
    workspace.write("run.yaml", long(&[("max_steps", "100000000")]));
    let mut first = workspace
        .command(&["train", "--config", "run.yaml"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(first.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("validation loss") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    for flags in [&["--overwrite"][..], &["--resume"], &[]] {
        let second = workspace.lora(&[&["train", "--config", "run.yaml"], flags].concat());
        assert_eq!(second.code, Some(2), "{}", second.stderr);
        assert!(
            second.stderr.contains("is being written by another process"),
            "{}",
            second.stderr
        );
    }
    // The lock dies with its process.
    send("-KILL", &first);
    first.wait().unwrap();
    workspace.lora_works(&["train", "--config", "run.yaml", "--overwrite", "--max-steps", "3"]);
}
