//! Ctrl-C: exit code 130, and a folder that says what it holds.
#![cfg(unix)] // elsewhere a signal cannot be sent to one process without unsafe code

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

fn interrupt(child: &Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_training_that_is_interrupted_keeps_its_best_adapter_and_says_so() {
    let workspace = Workspace::new();
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
    let mut line = String::new();
    while !line.contains("validation loss") {
        line.clear();
        assert_ne!(
            stderr.read_line(&mut line).unwrap(),
            0,
            "the training ended by itself"
        );
    }
    interrupt(&child);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let run: Value = serde_json::from_slice(&workspace.read("out/run.json")).unwrap();
    let step = run["interrupted"]["step"].as_u64().unwrap();
    let expected = format!("error: interrupted at step {step}; out holds the best adapter so far");
    assert!(rest.contains(&expected), "{rest}");

    for adapter in ["out", "out/last"] {
        let said = workspace.lora_works(&["eval", "--adapter", adapter, "--data", "train.csv"]);
        let expected = format!("the training of `{adapter}` was interrupted at step {step}");
        assert!(said.stderr.contains(&expected), "{}", said.stderr);
    }
}
