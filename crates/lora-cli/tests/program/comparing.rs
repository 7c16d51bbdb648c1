//! `lora compare`: what it says of its recipe, and that its command trains what it advises.

use serde_json::Value;

use crate::workspace::Workspace;

/// Two classes, told by one of six words beside a number that says nothing.
fn texts(rows: usize) -> String {
    let words = [
        ("gripping", "good"),
        ("dull", "bad"),
        ("warm", "good"),
        ("boring", "bad"),
        ("wonderful", "good"),
        ("flat", "bad"),
    ];
    let line = |row: usize| {
        let (word, label) = words[row % words.len()];
        format!("a {word} film number {row},{label}\n")
    };
    let lines: String = (0..rows).map(line).collect();
    format!("text,label\n{lines}")
}

#[test]
fn the_command_that_is_printed_trains_the_very_setting_and_again() {
    let workspace = Workspace::new();
    workspace.write("films.csv", texts(120));
    let compare = [
        "compare",
        "films.csv",
        "--seeds",
        "1",
        "--output",
        "cmp",
        "--json",
    ];
    let said = workspace.lora_works(&compare);
    let outcome: Value = serde_json::from_str(&said.stdout).unwrap();
    let command = outcome["command"].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(words[0], "train");

    // The cell that it comes from.
    let value = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        Some(words[at + 1])
    };
    let is_ensemble = value("--members").is_some_and(|members| members != "0");
    let results = String::from_utf8(workspace.read("cmp/results.jsonl")).unwrap();
    let lines = results
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut cells = lines.filter_map(|mut line| Some(line.get_mut("cell")?.take()));
    let cell = cells.find(|cell| {
        let probability = cell["settings"].get("mask_probability").map(Value::to_string);
        let prediction = if is_ensemble {
            cell["prediction"].is_object()
        } else {
            cell["prediction"] == "mean"
        };
        probability.as_deref() == value("--mask-probability") && prediction
    });
    let expected = cell.unwrap()["outcome"]["done"]["test"]["plain"]["nll"]
        .as_f64()
        .unwrap();

    for _ in 0..2 {
        workspace.lora_works(&words);
        let trained: Value = serde_json::from_slice(&workspace.read("cmp/chosen/results.json")).unwrap();
        let methods = trained["scores"]["test"].as_array().unwrap();
        let plain = methods
            .iter()
            .find(|method| method["is_scaled"] == false && (method["members"] != 1) == is_ensemble);
        let found = plain.unwrap()["scores"]["nll"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-6, "{found}, compared: {expected}");
    }
}

#[test]
fn kinds_of_task_that_are_not_compared_are_named() {
    let workspace = Workspace::new();
    workspace.write("films.csv", texts(120));
    for (kind, part) in [
        (
            "multi_label_classification",
            "lora compare takes single_label_classification and regression",
        ),
        ("sentiment", "--problem-type `sentiment` is unknown"),
    ] {
        let said = workspace.lora(&["compare", "films.csv", "--problem-type", kind]);
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}
