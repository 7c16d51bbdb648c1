//! Tags of words.

use serde_json::json;

use super::{eval_agrees_with_training, json, rows};
use crate::workspace::{Workspace, recipe};

/// Sentences in columns; names are tagged, one of them over two words.
fn columns(sentences: usize) -> String {
    let mut lines = vec!["-DOCSTART- -X- O".to_owned(), String::new()];
    for number in 0..sentences {
        let words: &[(&str, &str)] = if number % 2 == 0 {
            &[("ada", "B-PER"), ("lives", "O"), ("in", "O"), ("london", "B-LOC")]
        } else {
            &[
                ("the", "O"),
                ("new", "B-LOC"),
                ("york", "I-LOC"),
                ("of", "O"),
                ("ben", "B-PER"),
            ]
        };
        lines.extend(words.iter().map(|(word, tag)| format!("{word} NN {tag}")));
        lines.push(String::new());
    }
    lines.join("\n")
}

#[test]
fn tags_are_learned_scored_and_given_with_their_probability() {
    let workspace = Workspace::new();
    for (file, sentences) in [("train.conll", 24), ("dev.conll", 6), ("test.conll", 8)] {
        workspace.write(file, columns(sentences));
    }
    let changes = [
        ("train_file", "train.conll"),
        ("validation_file", "dev.conll"),
        ("test_file", "test.conll"),
        ("problem_type", "token_classification"),
        ("max_steps", "40"),
        ("target_modules", "all-linear"),
        ("mask_rescale", "rescaled"),
    ];
    workspace.write("words.yaml", recipe(&changes));
    let said = workspace.lora_works(&["train", "--config", "words.yaml"]);
    assert!(said.stdout.contains("entities"), "{}", said.stdout);
    let task = json(workspace.read("out/task.json"));
    let names = json!({"0": "O", "1": "B-LOC", "2": "B-PER", "3": "I-LOC"});
    assert_eq!(
        (&task["problem_type"], &task["id2label"]),
        (&json!("token_classification"), &names)
    );
    let config = json(workspace.read("out/adapter_config.json"));
    assert_eq!(config["task_type"], "TOKEN_CLS");

    let evaluated = eval_agrees_with_training(&workspace, &["--data", "test.conll"]);
    let scores = &evaluated["methods"][0]["scores"];
    // Two entities a sentence; four words, and five.
    assert_eq!(scores["entities"]["entities"], 16);
    assert_eq!(scores["words"]["n"], 36);
    assert_eq!(
        scores["entities"]["f1"], 1.0,
        "the tags follow from the words: {scores}"
    );

    let said = workspace.lora_works(&[
        "predict",
        "--adapter",
        "out",
        "--json",
        "ben lives in new york",
        "ada",
    ]);
    let predicted = rows(&said);
    assert_eq!(predicted.len(), 2);
    assert_eq!(predicted[0]["tokens"].as_array().unwrap().len(), 5);
    let probabilities = predicted[0]["probabilities"].as_array().unwrap();
    assert!(
        probabilities
            .iter()
            .all(|number| (0.25..=1.0).contains(&number.as_f64().unwrap()))
    );
    // The columns of words have names of their own, so nobody would read others.
    for flag in [["--text-column", "words"], ["--data-format", "tsv"]] {
        let predict = ["predict", "--adapter", "out", "--data", "test.conll"];
        let said = workspace.lora(&[&predict[..], &flag].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        let sentence = format!("{} would change nothing: the columns of sentences", flag[0]);
        assert!(said.stderr.contains(&sentence), "{}", said.stderr);
    }
    // A column of words alone is enough, and long sentences lose no word.
    let long = "ada\n".repeat(50);
    workspace.write("unseen.conll", format!("ada\n\nthe\nnew\n\n{long}"));
    let said = workspace.lora_works(&["predict", "--adapter", "out", "--data", "unseen.conll", "--json"]);
    let lengths: Vec<usize> = rows(&said)
        .iter()
        .map(|row| row["tags"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [1, 2, 50]);
    assert!(
        rows(&said)[2]["tags"]
            .as_array()
            .unwrap()
            .iter()
            .all(serde_json::Value::is_string)
    );
}
