//! `mask_probability: auto`: what a training tells of the p that it found, and what predicts with it.

use serde_json::{Value, json};

use crate::workspace::{Workspace, recipe};

/// The labels of the validation rows contradict those of the training rows, so that what is learned makes their loss rise.
fn contradicting() -> Workspace {
    let workspace = Workspace::new();
    let train = String::from_utf8(workspace.read("train.csv")).unwrap();
    let swapped = train
        .replace(",good", ",GOOD")
        .replace(",bad", ",good")
        .replace(",GOOD", ",bad");
    workspace.write("dev.csv", swapped);
    workspace
}

fn json_of(workspace: &Workspace, name: &str) -> Value {
    serde_json::from_slice(&workspace.read(name)).unwrap()
}

#[test]
fn a_training_that_goes_back_tells_p_by_step_and_predicts_with_the_last() {
    let workspace = contradicting();
    let changes = [
        ("mask_probability", "auto"),
        ("mask_grouping", "example"),
        ("target_modules", "all-linear"),
        ("max_steps", "240"),
        ("eval_strategy", "steps"),
        ("eval_steps", "6"),
        ("report_to", "json"),
    ];
    workspace.write("run.yaml", recipe(&changes));
    let said = workspace.lora_works(&["train", "--config", "run.yaml"]);
    for part in ["masks: p 0.3 at first", "masks: p 0.3 → 0.5: goes on at step "] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    assert!(said.stderr.contains("stopped early"), "{}", said.stderr);

    let run = json_of(&workspace, "out/run.json");
    assert_eq!(run["config"]["mask_probability"], "auto");
    assert_eq!(run["config"]["mask_rescale"], "rescaled");
    let by_step = run["mask_probability"]["by_step"].as_array().unwrap();
    let tried: Vec<&Value> = by_step.iter().map(|change| &change["probability"]).collect();
    assert_eq!(by_step[0], json!({"step": 0, "probability": 0.3}));
    assert_eq!(tried[1..3], [&json!(0.5), &json!(0.7)], "{by_step:?}");
    assert!(
        by_step[1..]
            .iter()
            .all(|change| change["back_to"].as_u64() < change["step"].as_u64())
    );
    // The same in the results, in the events and in words on the page.
    assert_eq!(
        json_of(&workspace, "out/results.json")["history"]["mask_changes"],
        json!(by_step)
    );
    let events = String::from_utf8(workspace.read("out/events.jsonl")).unwrap();
    assert_eq!(events.matches("masks_changed").count(), by_step.len());
    let page = String::from_utf8(workspace.read("out/report.html")).unwrap();
    assert!(page.contains("p was found while training") && page.contains("p 0.3 → 0.5: goes on at step"));
    // Which state is the adapter: on the page, on the card, and at the end.
    let best_step = &json_of(&workspace, "out/results.json")["best_step"];
    let kept = format!(
        "the adapter is that of step {best_step}, with p {}",
        by_step.last().unwrap()["probability"]
    );
    let card = String::from_utf8(workspace.read("out/README.md")).unwrap();
    assert!(page.contains(&kept) && card.contains(&kept), "{kept}");
    assert!(
        said.stdout.contains("masks: p 0.3 → 0.5 → 0.7; ") && said.stdout.contains(&kept),
        "{}",
        said.stdout
    );

    // The p of the last change is that of both adapters, and members are drawn with it.
    let found = &by_step.last().unwrap()["probability"];
    assert_eq!(run["mask_probability"]["of_the_adapter"], *found);
    let side = json_of(&workspace, "out/lora_dropout.json");
    assert_eq!(side["probability"], *found);
    assert_eq!(
        json_of(&workspace, "out/last/lora_dropout.json")["probability"],
        *found
    );
    let predict = || {
        let arguments = [
            "predict",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--inference",
            "ensemble",
            "--members",
            "3",
            "--json",
        ];
        workspace.lora_works(&arguments).probabilities()
    };
    let (once, again) = (predict(), predict());
    assert_eq!(once, again);
    let mut other = side;
    other["probability"] = json!(0.9);
    workspace.write("out/lora_dropout.json", other.to_string());
    assert_ne!(predict(), once);
}

#[test]
fn a_sweep_sets_auto_beside_a_grid_and_has_one_model_of_it() {
    let workspace = contradicting();
    workspace.write(
        "sweep.yaml",
        "\
base:
  model_name_or_path: model
  learning_rate: 2e-2
  num_train_epochs: 40
  per_device_train_batch_size: 8
  max_seq_length: 24
  r: 2
tasks:
  - name: films
    data: {train_file: train.csv, validation_file: dev.csv, test_file: dev.csv}
    rows: [24]
methods:
  - name: fixed
    train: {mask_rescale: rescaled}
    grid: {mask_probability: [0.3, 0.5]}
    predictions: [mean, {ensemble: {members: 3}}]
  - name: auto
    train: {mask_probability: auto}
    predictions: [mean, {ensemble: {members: 3}}]
seeds: [1, 2]
validation_rows: 24
stopping: [never, early]
",
    );
    workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--results", "results.jsonl"]);
    let text = String::from_utf8(workspace.read("results.jsonl")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_auto = |kind: &str| {
        let own = lines.iter().map(|line| &line[kind]);
        own.filter(|line| line["method"] == "auto").collect::<Vec<_>>()
    };
    let trainings = of_auto("training");
    assert_eq!(trainings.len(), 2);
    assert_eq!(
        trainings[0]["mask_changes"][0],
        json!({"step": 0, "probability": 0.3})
    );
    // With and without early stopping it is the model that the training itself came to.
    let scores = |is_early: bool| -> Vec<Value> {
        let cells = of_auto("cell").into_iter();
        let cells = cells.filter(|cell| cell["stopping"].is_null() == is_early);
        cells
            .map(|cell| cell["outcome"]["done"]["test"].clone())
            .collect()
    };
    assert_eq!((scores(true).len(), scores(true)), (4, scores(false)));
    workspace.lora_works(&["report", "results.jsonl", "--csv", "trials.csv"]);
    // After the settings the p that a trial of auto found, and of no other.
    let table = String::from_utf8(workspace.read("trials.csv")).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].contains(",settings,found_mask_probability,"),
        "{}",
        rows[0]
    );
    for row in &rows[1..] {
        let is_auto = row.contains(",auto,");
        let (found, none) = (row.contains("}\",0."), row.contains("}\",,"));
        assert_eq!((found, none), (is_auto, !is_auto), "{row}");
    }
}

#[test]
fn swag_of_a_training_that_goes_back_is_refused() {
    let workspace = Workspace::new();
    workspace.write(
        "sweep.yaml",
        "\
base: {model_name_or_path: model, learning_rate: 2e-2, max_steps: 6, per_device_train_batch_size: 8}
tasks: [{name: films, data: {train_file: train.csv, test_file: dev.csv}, rows: [12]}]
methods:
  - name: auto
    train: {mask_probability: auto}
    predictions: [{swag: {members: 3, collect: {start: 0.5, every: 1}}}]
seeds: [1]
validation_rows: 8
",
    );
    let said = workspace.lora(&["sweep", "--config", "sweep.yaml", "--results", "results.jsonl"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("SWAG collects"), "{}", said.stderr);
}
