//! Kinds of task beside texts in files: benchmarks by name, answers in a context, tagged words, questions with choices, any number of labels.

mod benchmarks;
mod choices;
mod labels;
mod mistakes;
mod questions;
mod words;

use serde_json::Value;

use crate::workspace::{Said, Workspace};

fn json(bytes: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(bytes.as_ref()).unwrap()
}

/// What `predict --json` says, row by row.
fn rows(said: &Said) -> Vec<Value> {
    said.stdout.lines().map(json).collect()
}

/// The scores that a training wrote for its test rows, and those of `lora eval` on the same rows, must be the same.
fn eval_agrees_with_training(workspace: &Workspace, eval: &[&str]) -> Value {
    let eval = [&["eval", "--adapter", "out", "--json"], eval].concat();
    let evaluated = json(workspace.lora_works(&eval).stdout);
    let trained = json(workspace.read("out/results.json"));
    assert_eq!(trained["scores"]["test"], evaluated["methods"]);
    assert_eq!(trained["metric"]["parts"]["test"], evaluated["metric"]["scores"]);
    evaluated
}
