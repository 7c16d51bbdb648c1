//! Answers in a context.

use serde_json::{Value, json};

use super::{eval_agrees_with_training, json, rows};
use crate::workspace::{Workspace, recipe};

/// Questions in SQuAD's form: of six names and places, some asked for what the text does not say.
fn squad(first: usize, contexts: usize) -> String {
    let (names, places) = (["ada", "ben", "cleo", "dan"], ["london", "paris", "rome"]);
    let paragraph = |number: usize| {
        let (name, place) = (names[number % 4], places[number % 3]);
        let context = format!("in the year {number} {name} lived in a house in {place} by the river");
        let start = context.find(place).unwrap();
        json!({"context": context, "qas": [
            {"id": format!("q{number}"), "question": "where was the house ?", "is_impossible": false,
                "answers": [{"text": place, "answer_start": start}]},
            {"id": format!("n{number}"), "question": "what did it cost ?", "is_impossible": true, "answers": []},
        ]})
    };
    let paragraphs: Vec<Value> = (first..first + contexts).map(paragraph).collect();
    json!({"version": "v2.0", "data": [{"title": "houses", "paragraphs": paragraphs}]}).to_string()
}

#[test]
fn answers_are_learned_scored_and_given_with_their_probability() {
    let workspace = Workspace::new();
    workspace.write("squad/train-v2.0.json", squad(0, 15));
    workspace.write("squad/dev-v2.0.json", squad(20, 4));
    workspace.write(
        "squad.yaml",
        recipe(&[
            ("train_file", ""),
            ("validation_file", ""),
            ("task_name", "squad-v2"),
            ("data_dir", "squad"),
            // Contexts are longer than a window.
            ("max_seq_length", "20"),
            ("doc_stride", "4"),
            ("max_answer_length", "3"),
            ("validation_fraction", "0.2"),
            ("target_modules", "all-linear"),
        ]),
    );
    let said = workspace.lora_works(&["train", "--config", "squad.yaml"]);
    assert!(said.stderr.contains("training rows read in"));
    assert!(said.stdout.contains("exact match"));
    let task = json(workspace.read("out/task.json"));
    assert_eq!(task["problem_type"], "question_answering");
    assert!(task["no_answer_threshold"]["mean"].is_f64(), "{task}");
    assert!(task["no_answer_threshold"]["ensemble"].is_f64(), "{task}");
    let results = json(workspace.read("out/results.json"));
    // All questions about a context are in one part.
    assert_eq!(
        results["run"]["rows"],
        json!({"train": 24, "validation": 6, "test": 8})
    );

    let evaluated =
        eval_agrees_with_training(&workspace, &["--task-name", "squad-v2", "--data-dir", "squad"]);
    let scores = &evaluated["methods"][0]["scores"];
    assert_eq!(
        (
            scores["squad"]["all"]["total"].as_u64(),
            scores["squad"]["with_answer"]["total"].as_u64()
        ),
        (Some(8), Some(4))
    );
    assert_eq!(
        evaluated["metric"]["scores"][0]["score"]["score"],
        scores["squad"]["all"]["f1"]
    );

    let predict = ["predict", "--adapter", "out", "--data", "squad/dev-v2.0.json"];
    let said = workspace.lora_works(&[&predict[..], &["--json"]].concat());
    let predicted = rows(&said);
    assert_eq!(predicted.len(), 8);
    for row in &predicted {
        let probability = row["probability"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&probability), "{row}");
        let number = &row["id"].as_str().unwrap()[1..];
        let context = squad(number.parse().unwrap(), 1);
        let context = json(context)["data"][0]["paragraphs"][0]["context"]
            .as_str()
            .unwrap()
            .to_owned();
        let answer = row["answer"].as_str().unwrap();
        match row["start"].as_u64() {
            Some(start) => assert!(context[start as usize..].starts_with(answer), "{row} {context}"),
            None => assert_eq!(answer, ""),
        }
    }
    workspace.lora_works(&[&predict[..], &["--output", "predictions.json"]].concat());
    let official = json(workspace.read("predictions.json"));
    assert_eq!(official.as_object().unwrap().len(), 8);
    assert!(
        predicted
            .iter()
            .all(|row| official[row["id"].as_str().unwrap()] == row["answer"])
    );

    // Rows without a question or a context are answered with null.
    let lines = [
        json!({"question": "where was the house ?", "context": "ada lived in rome"}),
        json!({"question": " ", "context": "ada lived in rome"}),
        json!({"question": "where was the house ?", "context": null}),
        json!({"question": "where ?", "context": "ben lived in paris"}),
    ];
    workspace.write("holes.jsonl", lines.map(|line| line.to_string()).join("\n"));
    let holes = ["predict", "--adapter", "out", "--data", "holes.jsonl", "--json"];
    let said = workspace.lora_works(&holes);
    let answers: Vec<bool> = rows(&said).iter().map(|row| row["answer"].is_string()).collect();
    assert_eq!(answers, [true, false, false, true]);
    assert!(
        said.stderr.contains("2 of 4 rows have no text"),
        "{}",
        said.stderr
    );
    let said = workspace.lora(&[&holes[..], &["--strict"]].concat());
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("line 2"), "{}", said.stderr);

    let said = workspace.lora_works(&[
        "predict",
        "--adapter",
        "out",
        "--context",
        "ada lived in rome",
        "where was the house ?",
    ]);
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
}

#[test]
fn one_s_own_questions_are_read_from_a_table() {
    let workspace = Workspace::new();
    let lines: Vec<String> = (0..8)
        .map(|number| {
            let place = ["london", "rome"][number % 2];
            let context = format!("house {number} stood in {place}");
            json!({"question": "where ?", "context": context, "answer": place}).to_string()
        })
        .collect();
    workspace.write("own.jsonl", lines.join("\n"));
    let train = [
        "train",
        "--config",
        "run.yaml",
        "--problem-type",
        "question_answering",
        "--train-file",
        "own.jsonl",
    ];
    let said = workspace.lora_works(&[&train[..], &["--validation-file", "own.jsonl", "--dry-run"]].concat());
    assert!(
        said.stderr.contains("training: 8 rows from own.jsonl"),
        "{}",
        said.stderr
    );
    assert!(!workspace.path("out").exists());
}
