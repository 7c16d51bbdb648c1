//! `--adaptive`: each row gets members until its class is settled.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

const EVAL: [&str; 7] = [
    "eval",
    "--adapter",
    "out",
    "--data",
    "train.csv",
    "--members",
    "16",
];

fn trained() -> Workspace {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace
}

#[test]
fn eval_sets_the_adaptive_ensemble_beside_the_whole_one() {
    let workspace = trained();
    let said = workspace.lora_works(&[&EVAL[..], &["--adaptive=0.8", "--json"]].concat());
    let scores: Value = serde_json::from_str(&said.stdout).unwrap();
    let methods = scores["methods"].as_array().unwrap();
    let adaptive: Vec<&Value> = methods
        .iter()
        .filter(|method| method["mean_members"].is_number())
        .collect();
    assert!(!adaptive.is_empty());
    for method in adaptive {
        let mean = method["mean_members"].as_f64().unwrap();
        assert!(
            (3.0..=16.0).contains(&mean) && method["members"] == 16,
            "{method}"
        );
    }
    let table = workspace
        .lora_works(&[&EVAL[..], &["--adaptive"]].concat())
        .stdout;
    assert!(
        table.contains("adaptive ensemble of") && table.contains("of 16 members a row"),
        "{table}"
    );
}

#[test]
fn predict_asks_fewer_members_and_says_how_many() {
    let workspace = trained();
    let predict = [
        "predict",
        "--adapter",
        "out",
        "--data",
        "train.csv",
        "--json",
        "--members",
        "16",
    ];
    let whole = workspace.lora_works(&predict);
    let adaptive = workspace.lora_works(&[&predict[..], &["--adaptive=0.6"]].concat());
    assert!(
        adaptive.stderr.contains("of 16 members a row on average"),
        "{}",
        adaptive.stderr
    );
    let (whole, adaptive) = (whole.probabilities(), adaptive.probabilities());
    assert_eq!(whole.len(), adaptive.len());
    assert_ne!(whole, adaptive, "no row stopped early");
}

#[test]
fn what_cannot_be_settled_is_refused() {
    let workspace = trained();
    for (flag, expected) in [
        ("--adaptive=0.5", "above 0.5 and below 1"),
        ("--adaptive=1", "above 0.5 and below 1"),
        ("--adaptive=much", "above 0.5 and below 1"),
    ] {
        let said = workspace.lora(&[&EVAL[..], &[flag]].concat());
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    let plain = recipe(&[
        ("mask_probability", ""),
        ("ensemble_members", ""),
        ("output_dir", "plain"),
    ]);
    workspace.write("run.yaml", plain);
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    let said = workspace.lora(&["predict", "--adapter", "plain", "--adaptive", "a gripping film"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("--adaptive needs an ensemble"),
        "{}",
        said.stderr
    );
}
