//! From labelled text to predictions, on a tiny random model.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

const TRAIN: [&str; 4] = ["train", "--config", "run.yaml", "--quiet"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn an_adapter_is_shown(workspace: &Workspace) {
    let shown = json(&workspace.lora_works(&["inspect", "out", "--json"]).stdout);
    assert_eq!(shown["adapters"].as_array().unwrap().len(), 4);
    // Query and value of two layers, r = 2, plus the head.
    assert_eq!(shown["trainable_params"], 4 * 2 * (16 + 16) + 16 * 2 + 2);
    let shown = workspace.lora_works(&["inspect", "out"]).stdout;
    for part in [
        "LoRA Dropout: probability 0.5, plain masks",
        "\ntrained in full: classifier\n",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

fn a_page_is_replaced_only_when_asked(workspace: &Workspace, eval: &[&str]) {
    let page = workspace.read("page.html");
    let text = String::from_utf8_lossy(&page);
    for part in ["Accuracy ", "not sure enough"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let again = [eval, &["--report", "page.html"]].concat();
    let said = workspace.lora(&again);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("--report `page.html` exists already") && said.stderr.contains("--overwrite"),
        "{}",
        said.stderr
    );
    assert!(workspace.read("page.html") == page);
    workspace.lora_works(&[&again[..], &["--overwrite", "--members", "0"]].concat());
    assert!(workspace.read("page.html") != page);
}

#[test]
fn an_adapter_is_trained_scored_used_and_shown() {
    let workspace = Workspace::new();
    let said = workspace.lora_works(&["train", "--config", "run.yaml", "--json"]);
    let results = json(&said.stdout);
    assert_eq!(results["steps"], 30);
    assert_eq!(
        results["run"]["rows"],
        serde_json::json!({"train": 24, "validation": 7, "test": null})
    );
    // Mean pass and ensemble, without a temperature: seven rows are too few for one.
    assert_eq!(results["scores"]["validation"].as_array().unwrap().len(), 2);
    assert!(said.stderr.contains("7 rows are too few"), "{}", said.stderr);
    assert!(results["train_test_gap"].is_number());
    assert!(said.stderr.contains("trainable params: "), "{}", said.stderr);
    for file in [
        "adapter_config.json",
        "adapter_model.safetensors",
        "lora_dropout.json",
        "task.json",
        "run.json",
    ] {
        assert!(workspace.path("out").join(file).is_file(), "{file}");
    }
    assert!(workspace.path("out/last/adapter_model.safetensors").is_file());
    let run = json(std::str::from_utf8(&workspace.read("out/run.json")).unwrap());
    assert_eq!(
        (&run["finished"], &run["unfinished"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert_eq!(
        json(std::str::from_utf8(&workspace.read("out/results.json")).unwrap()),
        results
    );
    let page = String::from_utf8(workspace.read("out/report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    for part in ["Scores on training rows", "lora predict uses", "Accuracy "] {
        assert!(page.contains(part), "{part}: {page}");
    }

    let eval = ["eval", "--adapter", "out", "--data", "train.csv"];
    let scores = json(
        &workspace
            .lora_works(&[&eval[..], &["--json", "--report", "page.html"]].concat())
            .stdout,
    );
    let methods = scores["methods"].as_array().unwrap();
    assert_eq!(
        methods
            .iter()
            .map(|method| &method["members"])
            .collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(scores["ensemble"]["seed"], 11);
    a_page_is_replaced_only_when_asked(&workspace, &eval);
    let table = workspace.lora_works(&eval).stdout;
    let by_place = workspace
        .lora_works(&["eval", "out", "--data", "train.csv"])
        .stdout;
    assert_eq!(by_place, table);
    assert!(
        table.contains("15 bins") && table.contains("ensemble of 3"),
        "{table}"
    );

    let fewer = json(
        &workspace
            .lora_works(&[&eval[..], &["--json", "--members", "2"]].concat())
            .stdout,
    );
    assert_eq!(fewer["methods"].as_array().unwrap().len(), 2);

    let predict = [
        "predict",
        "--adapter",
        "out",
        "--inference",
        "ensemble",
        "--quiet",
    ];
    let lines = workspace
        .lora_works(&[&predict[..], &["--json", "a gripping film", "dull"]].concat())
        .stdout;
    let predictions: Vec<Value> = lines.lines().map(json).collect();
    assert_eq!(predictions.len(), 2);
    assert_eq!(predictions[1]["text"], "dull");
    let sum: f64 = predictions[0]["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .map(|p| p.as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert!(predictions[0]["mutual_information"].is_number());
    workspace.lora_works(&[&predict[..], &["--data", "train.csv", "--output", "labelled.csv"]].concat());
    let labelled = String::from_utf8(workspace.read("labelled.csv")).unwrap();
    assert!(
        labelled.starts_with(
            "text,label,predicted_label,probability,p_bad,p_good,predictive_entropy,mutual_information\na gripping film number 0,good,"
        ),
        "{labelled}"
    );
    assert_eq!(labelled.lines().count(), 25);

    an_adapter_is_shown(&workspace);
}

#[test]
fn texts_are_predicted_by_what_was_better_on_validation_rows_unless_told_otherwise() {
    let workspace = Workspace::new();
    let said = workspace.lora_works(&["train", "--config", "run.yaml"]);
    let results = json(&String::from_utf8(workspace.read("out/results.json")).unwrap());
    let methods = results["scores"]["validation"].as_array().unwrap();
    // No temperature: seven rows are too few.
    assert_eq!(methods.len(), 2, "{methods:?}");
    let loss = |method: usize| methods[method]["scores"]["nll"].as_f64().unwrap();
    let (better, other, is_ensemble) = if loss(1) < loss(0) {
        ("ensemble", "mean", true)
    } else {
        ("mean", "ensemble", false)
    };
    let task = json(&String::from_utf8(workspace.read("out/task.json")).unwrap());
    assert_eq!(task["inference"], better);
    assert!(
        said.stderr
            .contains(&format!("--inference {other} uses the other")),
        "{}",
        said.stderr
    );

    let predict = |flags: &[&str]| {
        let words = ["predict", "--adapter", "out", "--json", "a gripping film"];
        let said = workspace.lora_works(&[&words[..], flags].concat());
        let is_ensemble = json(&said.stdout)["mutual_information"].is_number();
        (is_ensemble, said.stderr)
    };
    let (by_itself, notes) = predict(&[]);
    assert_eq!(by_itself, is_ensemble);
    let why = if task["not_told_apart_on"].is_null() {
        assert!(
            !said.stderr.contains("no difference beyond chance"),
            "{}",
            said.stderr
        );
        "was lower than that of the"
    } else {
        assert!(
            said.stderr.contains("no difference beyond chance"),
            "{}",
            said.stderr
        );
        assert_eq!(task["not_told_apart_on"], results["run"]["rows"]["validation"]);
        "not told apart from the"
    };
    assert!(notes.contains(why), "{notes}");
    assert!(predict(&["--inference", "ensemble"]).0);
    assert!(predict(&["--members", "2"]).0);
    assert!(!predict(&["--inference", "mean"]).0);
    assert!(!predict(&["--members", "0"]).0);
    let clash = [
        "predict",
        "--adapter",
        "out",
        "--inference",
        "mean",
        "--members",
        "2",
        "x",
    ];
    let said = workspace.lora(&clash);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("--inference mean is one pass"),
        "{}",
        said.stderr
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let workspace = Workspace::new();
    for (output, seed) in [("first", "3"), ("second", "3"), ("third", "4")] {
        workspace.lora_works(&[&TRAIN[..], &["--output-dir", output, "--seed", seed]].concat());
    }
    let adapter = |output: &str| workspace.read(&format!("{output}/adapter_model.safetensors"));
    assert_eq!(adapter("first"), adapter("second"));
    assert_ne!(adapter("first"), adapter("third"));
}

#[test]
fn a_dry_run_shows_the_settings_runs_a_batch_and_writes_nothing() {
    let workspace = Workspace::new();
    let before = workspace.everything();
    let said = workspace.lora_works(&[&TRAIN[..], &["--dry-run", "--lora-alpha", "6"]].concat());
    assert!(
        said.stdout.contains("trainable params: 290 || all params: "),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("one batch of 8 rows: loss "),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains(" of memory: "), "{}", said.stdout);
    assert!(workspace.everything() == before);
    // What was printed is itself a configuration.
    workspace.write("resolved.yaml", &said.stdout);
    let json_form = workspace
        .lora_works(&["train", "--config", "resolved.yaml", "--dry-run", "--json", "-q"])
        .stdout;
    let document = json(&json_form);
    assert_eq!(document["config"]["lora_alpha"], 6.0);
    assert_eq!(document["config"]["mask_rescale"], "plain");
    assert!(
        document["config"]["problem_type"].is_null(),
        "an empty list of label_columns is none"
    );
    assert!(document["dry_run"]["loss"].as_f64().unwrap() > 0.0);
    // Gradient and two moments of 290 parameters.
    assert_eq!(document["dry_run"]["memory_bytes"]["optimizer"], 290 * 12);
}

#[test]
fn an_earlier_run_is_written_over_when_asked_to() {
    let workspace = Workspace::new();
    workspace.lora_works(&TRAIN);
    let masked = workspace.read("out/adapter_model.safetensors");
    workspace.write(
        "run.yaml",
        recipe(&[("mask_probability", ""), ("ensemble_members", "")]),
    );
    workspace.lora_works(&[&TRAIN[..], &["--overwrite"]].concat());
    assert_ne!(workspace.read("out/adapter_model.safetensors"), masked);
    assert!(!workspace.path("out/lora_dropout.json").exists());
    let scores = json(
        &workspace
            .lora_works(&["eval", "--adapter", "out", "--data", "train.csv", "--json"])
            .stdout,
    );
    assert_eq!(scores["methods"].as_array().unwrap().len(), 1);
    let refused = workspace.lora(&[
        "eval",
        "--adapter",
        "out",
        "--data",
        "train.csv",
        "--members",
        "4",
    ]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("without LoRA Dropout"),
        "{}",
        refused.stderr
    );
}

#[test]
fn one_file_is_split_into_three_parts() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[
            ("train_file", ""),
            ("validation_file", ""),
            ("data_file", "train.csv"),
            ("test_fraction", "0.25"),
        ]),
    );
    let results = json(&workspace.lora_works(&[&TRAIN[..], &["--json"]].concat()).stdout);
    assert_eq!(
        results["run"]["rows"],
        serde_json::json!({"train": 16, "validation": 2, "test": 6})
    );
    let methods = results["scores"]["test"].as_array().unwrap();
    assert!(methods.iter().any(|method| method["members"] == 3), "{methods:?}");
}

#[test]
fn decimal_labels_are_a_regression_on_pairs() {
    let workspace = Workspace::new();
    let rows: Vec<String> = (0..20)
        .map(|row| format!("a film {row}	a movie {row}	{}.5", row % 4))
        .collect();
    let rows = rows.join(
        "
",
    );
    workspace.write("pairs.tsv", format!("sentence1\tsentence2\tscore\n{rows}"));
    workspace.write(
        "run.yaml",
        recipe(&[
            ("train_file", "pairs.tsv"),
            ("validation_file", ""),
            ("metric_for_best_model", "spearman"),
        ]),
    );
    workspace.lora_works(&TRAIN);
    let scores = json(
        &workspace
            .lora_works(&["eval", "--adapter", "out", "--data", "pairs.tsv", "--json"])
            .stdout,
    );
    assert!(scores["methods"][0]["scores"]["mse"].is_number());
    let lines = workspace
        .lora_works(&[
            "predict",
            "--adapter",
            "out",
            "--inference",
            "ensemble",
            "--json",
            "-q",
            "one film\tanother",
        ])
        .stdout;
    assert!(json(&lines)["value"].is_number() && json(&lines)["deviation"].is_number());
}

#[test]
fn the_embedded_model_is_shown_without_any_file() {
    let workspace = Workspace::new();
    let shown = json(&workspace.lora_works(&["inspect", "minilm-l6", "--json"]).stdout);
    assert_eq!(shown["family"], "bert");
    assert_eq!(shown["linears"].as_array().unwrap().len(), 6 * 6 + 1);
    assert_eq!(shown["parameters"], 22_713_216);
}

#[test]
fn completions_know_the_flags_of_every_key() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = workspace.lora_works(&["completions", shell]).stdout;
        assert!(script.contains("mask-probability"), "{shell}");
    }
}
