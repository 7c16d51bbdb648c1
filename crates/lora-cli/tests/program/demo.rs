//! The demo on its embedded model and data, as `lora demo --fast` runs it.

use serde_json::{Value, json};

use crate::scored_alike::{assert_alike, lines_of};
use crate::workspace::Workspace;

#[test]
fn the_demo_trains_and_scores_every_method() {
    let workspace = Workspace::new();
    let demo = ["demo", "--fast", "--output", "demo", "--json"];
    let said = workspace.lora_works(&demo);
    let told = "3 trainings; about a minute on two cores\n";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    let results: Value = serde_json::from_str(&said.stdout).unwrap();
    let scores = results["scores"].as_array().unwrap();
    let arms: Vec<(&str, bool)> = scores
        .iter()
        .map(|score| {
            let method = score["method"].as_str().unwrap();
            (method, score["early_stopping"].as_bool().unwrap())
        })
        .collect();
    let methods = ["LoRA", "input dropout", "LoRA Dropout", "LoRA Dropout, ensemble"];
    let expected: Vec<(&str, bool)> = [false, true]
        .into_iter()
        .flat_map(|stopped| methods.map(|method| (method, stopped)))
        .collect();
    assert_eq!(arms, expected);
    for score in scores {
        let of = |name: &str| score[name].as_f64().unwrap();
        let (train, test) = (of("train_nll"), of("nll"));
        // Three classes: one that has learned nothing loses ln 3 on every row.
        assert!(train < test && test < 3.0_f64.ln(), "{score}");
        for name in ["accuracy", "ece", "brier", "nll_with_temperature"] {
            assert!(of(name).is_finite(), "{score}");
        }
    }
    // One seed on little data says nothing about the methods.
    assert!(results["careful"].is_null());
    assert!(!said.stderr.contains("95 %"), "{}", said.stderr);
    // The picture stands in what people see, and on the page.
    for method in methods {
        assert!(said.stderr.contains(method), "{}", said.stderr);
    }
    let page = String::from_utf8(workspace.read("demo/report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("Loss by epoch"));
    assert!(workspace.read("demo/loss-by-epoch.svg").starts_with(b"<svg"));
    // What is done is not done again.
    let again = workspace.lora_works(&demo);
    assert!(again.stderr.contains("are done and skipped"), "{}", again.stderr);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["scores"], results["scores"]);
    a_sweep_scores_alike(&workspace);
}

/// One arm of the demo, computed again by `lora sweep` from the recipe in the demo's results.
fn a_sweep_scores_alike(workspace: &Workspace) {
    let run = lines_of(workspace, "demo/results.jsonl", "run").remove(0);
    let mut sweep = run["sweep"].clone();
    let methods = sweep["methods"].as_array_mut().unwrap();
    methods.retain(|method| method["name"] == "LoRA");
    sweep["stopping"] = json!(["never"]);
    sweep.as_object_mut().unwrap().remove("curve");
    workspace.write("arm.json", sweep.to_string());
    workspace.lora_works(&["sweep", "--config", "arm.json", "--results", "arm.jsonl"]);
    let own = lines_of(workspace, "arm.jsonl", "cell");
    let of_demo = lines_of(workspace, "demo/results.jsonl", "cell");
    for own in own {
        let same = |trial: &&Value| {
            ["method", "stopping", "seed"]
                .iter()
                .all(|key| trial.get(key) == own.get(key))
        };
        let expected = of_demo.iter().find(same).unwrap();
        let scores = |trial: &Value| trial["outcome"]["done"]["test"].clone();
        assert_alike(&scores(&own), &scores(expected), "the demo's LoRA");
    }
}
