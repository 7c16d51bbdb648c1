//! Labels any number of which may hold.

use serde_json::json;

use super::{eval_agrees_with_training, json, rows};
use crate::workspace::{Workspace, recipe};

/// Two labels, each said by words of its own: none, one or both of them hold.
fn table(rows: usize) -> String {
    let mut lines = vec!["text,toxic,spam".to_owned()];
    for row in 0..rows {
        let (toxic, spam) = (row % 2, row / 2 % 2);
        let insult = ["have a lovely day", "you stupid ugly fool"][toxic];
        let offer = ["see you at the meeting", "buy cheap pills now for free"][spam];
        lines.push(format!("{insult} {offer} {row},{toxic},{spam}"));
    }
    lines.join("\n")
}

#[test]
fn labels_have_sigmoids_of_their_own_from_training_to_the_merged_model() {
    let workspace = Workspace::new();
    for (file, rows) in [("train.csv", 48), ("dev.csv", 24), ("test.csv", 24)] {
        workspace.write(file, table(rows));
    }
    let changes = [
        ("train_file", "train.csv"),
        ("validation_file", "dev.csv"),
        ("test_file", "test.csv"),
        ("problem_type", "multi_label_classification"),
        ("label_columns", "[toxic, spam]"),
        ("class_weights", "balanced"),
        ("max_steps", "60"),
        ("target_modules", "all-linear"),
        ("mask_rescale", "rescaled"),
    ];
    workspace.write("labels.yaml", recipe(&changes));
    let said = workspace.lora_works(&["train", "--config", "labels.yaml"]);
    assert!(said.stdout.contains("F1 micro"), "{}", said.stdout);
    let task = json(workspace.read("out/task.json"));
    assert_eq!(task["problem_type"], "multi_label_classification");
    assert_eq!(task["label_columns"], json!(["toxic", "spam"]));

    let evaluated = eval_agrees_with_training(&workspace, &["--data", "test.csv"]);
    let scores = &evaluated["methods"][0]["scores"];
    assert_eq!(scores["n"], 24);
    assert!(scores["f1_micro"].as_f64() > Some(0.4), "{scores}");
    assert_eq!(scores["labels"][1]["positives"], 12);

    let texts = [
        "you stupid ugly fool buy cheap pills now for free",
        "have a lovely day see you at the meeting",
    ];
    // The sum of a text's probabilities: of a softmax it would be 1.
    let sums = |folder: &str| -> Vec<f64> {
        let asked = ["predict", "--adapter", folder, "--json", "-q", texts[0], texts[1]];
        let said = workspace.lora_works(&asked);
        let of_text = |row: &serde_json::Value| {
            let probabilities = row["probabilities"].as_object().unwrap().clone();
            assert_eq!(probabilities.len(), 2);
            let held = probabilities.iter().filter(|(_, p)| p.as_f64() > Some(0.5));
            assert_eq!(
                row["labels"],
                held.map(|(label, _)| json!(label)).collect::<serde_json::Value>()
            );
            probabilities.values().filter_map(serde_json::Value::as_f64).sum()
        };
        rows(&said).iter().map(of_text).collect()
    };
    let of_adapter = sums("out");
    assert!(
        (of_adapter[0] - 1.0).abs() + (of_adapter[1] - 1.0).abs() > 1e-3,
        "{of_adapter:?}"
    );
    workspace.lora_works(&[
        "merge",
        "--adapter",
        "out",
        "--base",
        "model",
        "--output",
        "merged",
    ]);
    let config = json(workspace.read("merged/config.json"));
    assert_eq!(config["problem_type"], "multi_label_classification");
    // Without task.json the field of config.json tells.
    std::fs::remove_file(workspace.path("merged/task.json")).ok();
    let of_model = sums("merged");
    assert!(
        (of_model[0] - 1.0).abs() + (of_model[1] - 1.0).abs() > 1e-3,
        "{of_model:?}"
    );

    // Two numbers are no regression here, and the softmax of them would be made up.
    let mut config = config;
    config["problem_type"] = json!("regression");
    workspace.write("merged/config.json", config.to_string());
    let refused = workspace.lora(&["predict", "--adapter", "merged", texts[0]]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let told = "the 2 outputs are numbers, but a regression has one here";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
}
