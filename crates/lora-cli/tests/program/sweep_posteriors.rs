//! `lora sweep` with predictions drawn from distributions over weights: what they say, and that nothing else changes.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::workspace::Workspace;

/// `METHODS` stands for the methods.
const SWEEP: &str = "\
base:
  model_name_or_path: model
  learning_rate: 2e-2
  max_steps: 6
  per_device_train_batch_size: 8
  max_seq_length: 24
  r: 2
tasks:
  - name: films
    data: {train_file: train.csv, test_file: dev.csv}
    rows: [12]
methods:
METHODS
seeds: [1]
validation_rows: 8
";

fn run(workspace: &Workspace, methods: &str) -> String {
    workspace.write("sweep.yaml", SWEEP.replace("METHODS", methods));
    workspace
        .lora_works(&["sweep", "--config", "sweep.yaml", "--results", "r.jsonl"])
        .stderr
}

/// The cells of the results file in their order.
fn cells(workspace: &Workspace) -> Vec<Value> {
    let text = String::from_utf8(workspace.read("r.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|mut line| Some(line.get_mut("cell")?.take()))
        .collect()
}

fn done(cell: &Value) -> &Value {
    let done = &cell["outcome"]["done"];
    assert!(done.is_object(), "{}", cell["outcome"]);
    done
}

/// What the results file says of each test row.
fn test_rows(cell: &Value) -> (Vec<i64>, Vec<i64>, &Value) {
    let rows = &done(cell)["test_rows"]["plain"];
    let numbers = |key: &str| {
        let values = rows[key].as_array().unwrap().iter();
        values.map(|value| value.as_i64().unwrap()).collect()
    };
    (numbers("losses"), numbers("confidence"), &rows["correct"])
}

fn are_near(left: &[i64], right: &[i64], most: i64) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| (left - right).abs() <= most)
}

#[test]
fn laplace_approximations_are_predictions_beside_cells_that_keep_their_keys() {
    let workspace = Workspace::new();
    run(&workspace, "  - {name: lora, predictions: [mean]}");
    let before = workspace.read("r.jsonl");
    let mean = cells(&workspace).remove(0);
    // What a cell is known by: a hash of this text, which no later version may change.
    let training = mean["trainings"][0].as_str().unwrap();
    let text = format!(r#"{{"trainings":["{training}"],"prediction":"mean"}}"#);
    assert_eq!(mean["key"], format!("{:016x}", xxh3_64(text.as_bytes())));

    let said = run(
        &workspace,
        "  - name: lora
    predictions:
      - mean
      - laplace: {of: last_layer, prior: [evidence, {fixed: 1e+8}]}
      - laplace: {of: last_layer, structure: full, prior: validation, members: [2, 3]}
      - laplace: {of: adapters, structure: diagonal, prior: {fixed: 1e+8}, members: 2}
      - laplace: {of: trained, members: 2}",
    );
    assert!(said.contains("1 of 7 trials are done and skipped"), "{said}");
    let after = workspace.read("r.jsonl");
    assert_eq!(after[..before.len()], before);
    let all = cells(&workspace);
    assert_eq!(all.len(), 7);
    assert!(all.iter().all(|cell| cell["trainings"] == mean["trainings"]));

    // Two classes have one variance, so the closed form changes no decision; it only takes confidence away.
    let (losses, confidence, correct) = test_rows(&mean);
    let (_, of_probit, also_correct) = test_rows(&all[1]);
    assert_eq!(correct, also_correct);
    assert!(
        of_probit
            .iter()
            .zip(&confidence)
            .all(|(probit, mean)| probit <= mean)
    );
    assert_ne!(of_probit, confidence);
    // With nearly no variance every approximation is the mean pass.
    for cell in [&all[2], &all[5]] {
        let (of_fixed, _, _) = test_rows(cell);
        assert!(are_near(&of_fixed, &losses, 2), "{of_fixed:?} {losses:?}");
    }
    assert_eq!(all[3]["prediction"]["laplace"]["members"], json!(2));
    assert!(done(&all[3])["uncertainty"].is_object() && done(&all[1])["uncertainty"].is_null());
    let seconds = |cell: &Value, key: &str| done(cell)[key].as_f64().unwrap();
    // The passes below the last layer are shared, those of all trained parameters are not.
    assert_eq!(
        seconds(&all[3], "predicting_seconds").to_bits(),
        seconds(&all[4], "predicting_seconds").to_bits()
    );
    workspace.lora_works(&["report", "r.jsonl"]);
}

#[test]
fn a_prediction_that_its_training_cannot_make_fails_alone_or_is_refused_before() {
    let workspace = Workspace::new();
    let text = SWEEP.replace(
        "METHODS",
        "  - name: bitfit
    train: {tuning: bitfit}
    predictions: [mean, {laplace: {of: last_layer}}, {laplace: {of: adapters, members: 2}}]",
    );
    workspace.write("sweep.yaml", text.replace("  r: 2\n", ""));
    let said = workspace.lora(&["sweep", "--config", "sweep.yaml"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("which its trainings do not have"),
        "{}",
        said.stderr
    );

    // More numbers than a full matrix may have are known only when the model is there.
    let text = SWEEP.replace(
        "METHODS",
        "  - name: lora
    train: {r: 64, target_modules: all-linear}
    predictions: [mean, {laplace: {of: adapters, structure: full, members: 2}}]",
    );
    workspace.write("sweep.yaml", text);
    let said = workspace.lora(&["sweep", "--config", "sweep.yaml", "--results", "r.jsonl"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let all = cells(&workspace);
    done(&all[0]);
    let reason = all[1]["outcome"]["failed"].as_str().unwrap();
    assert!(reason.contains("too large"), "{reason}");
}

/// The mutual information of each test row.
fn disagreement(cell: &Value) -> Vec<u64> {
    let values = done(cell)["uncertainty"]["mutual_information"]
        .as_array()
        .unwrap();
    values.iter().map(|value| value.as_u64().unwrap()).collect()
}

#[test]
fn swag_collects_from_a_training_that_stays_the_same() {
    let workspace = Workspace::new();
    let methods = "  - name: lora\n    train: {lr_scheduler_type: constant}\n    predictions: [mean]";
    run(&workspace, methods);
    let alone = cells(&workspace).remove(0);
    std::fs::remove_file(workspace.path("r.jsonl")).unwrap();
    run(
        &workspace,
        &methods.replace(
            "[mean]",
            "
      - mean
      - swag: {members: [2, 3], scale: [0, 1000], collect: {start: 0.3, every: 1}}
      - swag: {members: 2, collect: {start: 0, every: 2, part: head}}",
        ),
    );
    let all = cells(&workspace);
    assert_eq!(all.len(), 6);
    assert_eq!(
        (&all[0]["key"], &all[0]["trainings"]),
        (&alone["key"], &alone["trainings"])
    );
    for part in ["train", "validation", "test", "test_rows", "temperature"] {
        assert_eq!(done(&all[0])[part], done(&alone)[part], "{part}");
    }
    // Without covariance all members are the mean of what was collected; with much of it they differ, after six steps too.
    assert!(disagreement(&all[1]).iter().all(|value| *value == 0));
    assert_eq!(test_rows(&all[1]), test_rows(&all[2]));
    assert!(
        disagreement(&all[4]).iter().any(|value| *value > 0),
        "{:?}",
        all[4]["outcome"]
    );
    assert_ne!(test_rows(&all[0]), test_rows(&all[1]));

    let once = "  - name: lora\n    predictions: [{swag: {members: 2, collect: {start: 0.9, every: 1}}}]";
    workspace.write("sweep.yaml", SWEEP.replace("METHODS", once));
    let said = workspace.lora(&["sweep", "--config", "sweep.yaml"]);
    let expected = "methods lora, task films, 6 steps: SWAG collected the parameters 1 times";
    assert!(
        said.code == Some(2) && said.stderr.contains(expected),
        "{}",
        said.stderr
    );
}

#[test]
fn blob_is_a_training_whose_ensemble_draws_factors() {
    let workspace = Workspace::new();
    run(
        &workspace,
        "  - name: spread
    train: {blob: {start: 0.5}, mask_grouping: example}
    predictions: [mean, {ensemble: {members: 3}}, {laplace: {of: last_layer}}]
  - name: narrow
    train: {blob: {start: 1e-6, learning_rate: 1e-12}}
    predictions: [mean, {ensemble: {members: 3}}]",
    );
    let all = cells(&workspace);
    assert_eq!(all.len(), 5);
    assert!(
        disagreement(&all[1]).iter().any(|value| *value > 0),
        "{}",
        all[1]["outcome"]
    );
    // Spreads of 1e-12 at most: every member is the mean.
    assert!(are_near(&test_rows(&all[3]).0, &test_rows(&all[4]).0, 1));

    let blob = |extra: &[&str]| {
        let train = [
            "train",
            "--config",
            "run.yaml",
            "--blob",
            "kl_weight=steps",
            "--max-steps",
            "2",
        ];
        workspace.lora(
            &[
                &train[..],
                &["--mask-probability", "0", "--ensemble-members", "0"],
                extra,
            ]
            .concat(),
        )
    };
    let said = blob(&["--use-dora"]);
    assert!(
        said.code == Some(2) && said.stderr.contains("which DoRA and AdaLoRA do not have"),
        "{}",
        said.stderr
    );
    let said = blob(&[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    workspace.lora_works(&["eval", "--adapter", "out", "--data", "dev.csv"]);
}

#[test]
fn tfb_puts_as_much_noise_on_a_trained_adapter_as_validation_rows_allow() {
    let workspace = Workspace::new();
    run(
        &workspace,
        "  - name: lora
    predictions:
      - mean
      - tfb: {members: 8, tolerance: [0.01, 0.5]}
      - tfb: {members: 3, tolerance: 0.5}",
    );
    let all = cells(&workspace);
    assert_eq!(all.len(), 4);
    let loss = |cell: &Value| done(cell)["validation"]["plain"]["nll"].as_f64().unwrap();
    let without = loss(&all[0]);
    for (cell, tolerance) in [(&all[1], 0.01), (&all[2], 0.5)] {
        assert!(
            loss(cell) <= without * (1.0 + tolerance) + 1e-9,
            "{} {without}",
            loss(cell)
        );
        assert!(disagreement(cell).iter().any(|value| *value > 0));
    }
    // A larger tolerance allows more noise, or as much.
    let sum = |cell: &Value| disagreement(cell).iter().sum::<u64>();
    assert!(sum(&all[1]) <= sum(&all[2]));

    let dora = "  - {name: dora, train: {use_dora: true}, predictions: [{tfb: {members: 2}}]}";
    workspace.write("sweep.yaml", SWEEP.replace("METHODS", dora));
    let said = workspace.lora(&["sweep", "--config", "sweep.yaml"]);
    assert!(
        said.code == Some(2) && said.stderr.contains("TFB puts noise on LoRA's factors"),
        "{}",
        said.stderr
    );
}

#[test]
fn sets_promise_what_validation_rows_allow() {
    let workspace = Workspace::new();
    run(&workspace, "  - {name: lora, predictions: [mean]}");
    // Eight rows are too few for nine in ten.
    assert!(done(&cells(&workspace)[0]).get("sets").is_none());

    workspace.write(
        "sweep.yaml",
        SWEEP
            .replace("METHODS", "  - {name: lora, predictions: [mean]}")
            .replace("validation_rows: 8", "validation_rows: 10")
            .replace("rows: [12]", "rows: [10]"),
    );
    workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--results", "s.jsonl"]);
    let text = String::from_utf8(workspace.read("s.jsonl")).unwrap();
    let cell = text
        .lines()
        .find_map(|line| {
            serde_json::from_str::<Value>(line)
                .unwrap()
                .get_mut("cell")
                .map(Value::take)
        })
        .unwrap();
    for kind in ["plain", "scaled"] {
        let sets = &done(&cell)["sets"][kind];
        let (coverage, size) = (
            sets["coverage"].as_f64().unwrap(),
            sets["mean_size"].as_f64().unwrap(),
        );
        // Of ten rows the threshold is the largest score, so a set has a class at least where the model is no less sure than there.
        assert!(
            (0.0..=1.0).contains(&coverage) && coverage <= size && size <= 2.0,
            "{sets}"
        );
    }
    workspace.lora_works(&["report", "s.jsonl", "--markdown", "s.md"]);
    let page = String::from_utf8(workspace.read("s.md")).unwrap();
    assert!(
        page.contains("promise to hold the label in 90 % of the rows"),
        "{page}"
    );
}
