//! Ctrl-C and SIGTERM: exit code 130, and a folder that says what it holds. SIGKILL: the folder says so all the same.
#![cfg(unix)] // elsewhere a signal cannot be sent to one process without unsafe code

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

/// Sends a signal, by its name for `kill`.
pub fn send(signal: &str, child: &Child) {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Starts a training, sends it a signal after so many of its evaluations, and gives its code and what it said.
pub fn stopped(mut training: Command, signal: &str, evaluations: usize) -> (Option<i32>, String) {
    let mut child = training
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut said, mut seen) = (String::new(), 0);
    while seen < evaluations && stderr.read_line(&mut said).unwrap() > 0 {
        seen = said.matches("validation loss").count();
    }
    send(signal, &child);
    stderr.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// How often a training that can end is begun again, where it came to its end before the signal: a machine may be busy.
pub const TRIES: usize = 5;

/// Asks a training with the output `out` to end after so many of its evaluations, and begins it again if that came too late.
pub fn stopped_in_time(workspace: &Workspace, training: &dyn Fn() -> Command, evaluations: usize) {
    for _ in 0..TRIES {
        let (code, said) = stopped(training(), "-TERM", evaluations);
        if code == Some(130) {
            return;
        }
        assert_eq!(code, Some(0), "{said}");
        std::fs::remove_dir_all(workspace.path("out")).unwrap();
    }
    panic!("the training was too short to be interrupted");
}

/// A training without an end, after its second evaluation: the adapter of the first one is written.
fn endless_training(workspace: &Workspace) -> (Child, BufReader<ChildStderr>) {
    let endless = [
        ("max_steps", "100000000"),
        ("eval_strategy", "steps"),
        ("eval_steps", "2"),
    ];
    workspace.write("run.yaml", recipe(&endless));
    let mut child = workspace
        .command(&["train", "--config", "run.yaml"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut evaluations = 0;
    while evaluations < 2 {
        let mut line = String::new();
        let read = stderr.read_line(&mut line).unwrap();
        assert_ne!(read, 0, "the training ended by itself");
        evaluations += usize::from(line.contains("validation loss"));
    }
    (child, stderr)
}

#[test]
fn a_training_that_is_interrupted_keeps_its_best_adapter_and_says_so() {
    for signal in ["-INT", "-TERM"] {
        let workspace = Workspace::new();
        let (mut child, mut stderr) = endless_training(&workspace);
        send(signal, &child);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}: {rest}");
        let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
        let step = run["interrupted"]["step"].as_u64().unwrap();
        // It was wanted, and is no error.
        let expected = format!("interrupted at step {step}; out holds the best adapter so far");
        assert!(
            rest.lines().any(|line| line.starts_with(&expected)),
            "{signal}: {rest}"
        );

        for adapter in ["out", "out/last"] {
            let said = workspace.lora_works(&["eval", "--adapter", adapter, "--data", "train.csv"]);
            let expected = format!("the training of `{adapter}` was interrupted at step {step}");
            assert!(said.stderr.contains(&expected), "{signal}: {}", said.stderr);
            let best = run["interrupted"]["adapter_step"].as_u64().unwrap();
            let of_best = format!("this is the adapter of step {best}");
            assert_eq!(
                said.stderr.contains(&of_best),
                adapter == "out",
                "{}",
                said.stderr
            );
        }
    }
}

#[test]
fn whoever_reads_what_a_killed_training_left_is_told_of_which_step_it_is() {
    let workspace = Workspace::new();
    let (mut child, _stderr) = endless_training(&workspace);
    send("-KILL", &child);
    assert!(!child.wait().unwrap().success());
    let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
    let step = run["unfinished"]["step"].as_u64().unwrap();
    assert!(
        step >= 2 && step.is_multiple_of(2),
        "evaluations are at every second step, not at {step}"
    );
    let expected = format!("the training of `out` has not finished: this is the adapter of step {step}");
    for arguments in [
        &["eval", "--adapter", "out", "--data", "train.csv"][..],
        &["predict", "--adapter", "out", "a gripping film"],
        &["merge", "--adapter", "out", "--output", "merged"],
        &["inspect", "out"],
    ] {
        let said = workspace.lora_works(arguments);
        assert!(said.stderr.contains(&expected), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn a_training_that_ends_before_its_first_evaluation_leaves_its_run_and_its_events_and_says_how_to_go_on() {
    let workspace = Workspace::new();
    let endless = [
        ("report_to", "json"),
        ("max_steps", "100000000"),
        ("eval_strategy", "no"),
        ("save_strategy", "steps"),
        ("save_steps", "2"),
        ("save_total_limit", "1"),
    ];
    workspace.write("run.yaml", recipe(&endless));
    let mut child = workspace
        .command(&["train", "--config", "run.yaml", "--quiet"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_checkpoint = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().join("trainer_state.json").is_file())
    };
    while !std::fs::read_dir(workspace.path("out")).is_ok_and(|mut entries| entries.any(is_checkpoint)) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the training ended by itself"
        );
        std::thread::yield_now();
    }
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
    let step = run["interrupted"]["step"].as_u64().unwrap();
    assert!(step >= 2 && run["interrupted"]["adapter_step"].is_null(), "{run}");
    assert!(run["config"].is_object(), "{run}");
    let events = String::from_utf8(workspace.read("out/events.jsonl")).unwrap();
    let steps = events.matches(r#""event":"stepped""#).count() as u64;
    assert_eq!(steps, step, "{events}");
    for arguments in [
        &["predict", "--adapter", "out", "a gripping film"][..],
        &["eval", "out", "--data", "train.csv"],
        &["merge", "out", "--output", "merged"],
    ] {
        let said = workspace.lora(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.stderr);
        for part in [
            "before its first evaluation",
            "lora train --config run.yaml --quiet --resume",
        ] {
            assert!(said.stderr.contains(part), "{arguments:?}: {}", said.stderr);
        }
    }
}
