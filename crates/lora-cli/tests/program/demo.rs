//! The demo on its embedded model and data, as `lora demo --fast` runs it.

use serde_json::Value;

use crate::workspace::Workspace;

#[test]
fn the_demo_trains_and_scores_every_method() {
    let workspace = Workspace::new();
    let said = workspace.lora_works(&["demo", "--fast", "--output", "demo", "--json"]);
    let results: Value = serde_json::from_str(&said.stdout).unwrap();
    let runs = results["runs"].as_array().unwrap();
    let methods: Vec<&str> = runs.iter().map(|run| run["method"].as_str().unwrap()).collect();
    assert_eq!(
        methods,
        ["lora", "input_dropout", "dropout_mean", "dropout_ensemble"]
    );
    for run in runs {
        let loss = |scores: &Value| scores["nll"].as_f64().unwrap();
        let (train, test) = (loss(&run["train"]), loss(&run["test"]["plain"]));
        // Three classes: one that has learned nothing loses ln 3 on every row.
        assert!(
            train < test && test < 3.0_f64.ln(),
            "{}: {train}, {test}",
            run["method"]
        );
        assert!(loss(&run["shifted"]["plain"]).is_finite());
    }
    assert!(workspace.read("demo/report.html").starts_with(b"<!doctype html>"));
}
