//! Questions with choices, answered by letter.

use serde_json::{Value, json};

use super::{eval_agrees_with_training, json, rows};
use crate::language_model::{WORDS_OF_QUESTIONS, write_tiny_llama_that_knows};
use crate::workspace::Workspace;

/// The letter follows from a word of the question; some questions have three choices.
fn questions(rows: usize) -> String {
    let line = |row: usize| {
        let (asked, answer) = [("sky", "A"), ("grass", "B")][row % 2];
        let choices: Vec<&str> = ["one", "two", "three"][..2 + row % 3 / 2].to_vec();
        json!({"question": asked, "choices": choices, "answer": answer}).to_string()
    };
    (0..rows).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_language_model_learns_letters_and_is_scored_by_their_likelihood() {
    let workspace = Workspace::new();
    write_tiny_llama_that_knows(&workspace.path("llama"), &WORDS_OF_QUESTIONS, 64);
    for (file, rows) in [("train.jsonl", 24), ("dev.jsonl", 6), ("test.jsonl", 9)] {
        workspace.write(file, questions(rows));
    }
    let untrained = ["eval", "--adapter", "llama", "--data", "test.jsonl", "--json"];
    let untrained = json(workspace.lora_works(&untrained).stdout);
    let nll = |document: &Value| document["methods"][0]["scores"]["nll"].as_f64().unwrap();
    assert_eq!(untrained["methods"][0]["scores"]["n"], 9);
    assert_eq!(untrained["methods"][0]["scores"]["classes"], 3);

    workspace.lora_works(&[
        "train",
        "--problem-type",
        "multiple_choice",
        "--model-name-or-path",
        "llama",
        "--train-file",
        "train.jsonl",
        "--validation-file",
        "dev.jsonl",
        "--test-file",
        "test.jsonl",
        "--output-dir",
        "out",
        "--learning-rate",
        "0.02",
        "--max-steps",
        "300",
        "--per-device-train-batch-size",
        "8",
        "--r",
        "3",
        "--lora-alpha",
        "12",
        "--max-seq-length",
        "48",
        "--target-modules",
        "all-linear",
        "--mask-probability",
        "0.1",
        "--mask-rescale",
        "rescaled",
        "--ensemble-members",
        "3",
        "--eval-strategy",
        "epoch",
    ]);
    let trained = eval_agrees_with_training(&workspace, &["--data", "test.jsonl", "--max-seq-length", "48"]);
    for method in trained["methods"].as_array().unwrap() {
        assert_eq!(method["scores"]["accuracy"], 1.0, "{}", method["method"]);
    }
    assert!(
        nll(&trained) < 0.5 * nll(&untrained),
        "{} {}",
        nll(&trained),
        nll(&untrained)
    );

    let said = workspace.lora(&["eval", "--adapter", "out", "--data", "-"]);
    assert!(
        said.code != Some(0)
            && said
                .stderr
                .contains("not from the standard input; give --data FILE"),
        "{}",
        said.stderr
    );

    let said = workspace.lora_works(&["predict", "--adapter", "out", "--data", "test.jsonl", "--json"]);
    let predicted = rows(&said);
    assert_eq!(
        (predicted.len(), &predicted[1]["answer"], &predicted[1]["choice"]),
        (9, &json!("B"), &json!("two"))
    );
    let probabilities = predicted[2]["probabilities"].as_object().unwrap();
    let sum: f64 = probabilities
        .values()
        .map(|number| number.as_f64().unwrap())
        .sum();
    assert!(
        probabilities.len() == 3 && (sum - 1.0).abs() < 1e-9,
        "{probabilities:?}"
    );
}

#[test]
fn questions_without_a_question_or_choices_are_answered_with_null() {
    let workspace = Workspace::new();
    write_tiny_llama_that_knows(&workspace.path("llama"), &WORDS_OF_QUESTIONS, 64);
    let table = "question,A,B\nsky,one,two\n,one,two\ngrass,,\ngrass,one,two\n";
    workspace.write("holes.csv", table);
    let holes = [
        "predict",
        "--adapter",
        "llama",
        "--task-name",
        "choices",
        "--data",
        "holes.csv",
        "--json",
    ];
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
    assert!(said.stderr.contains("line 3"), "{}", said.stderr);
}

#[test]
fn mmlu_is_asked_after_solved_questions_of_the_subject() {
    let workspace = Workspace::new();
    write_tiny_llama_that_knows(
        &workspace.path("llama"),
        &[&WORDS_OF_QUESTIONS[..], &["D"]].concat(),
        200,
    );
    workspace.write(
        "mmlu/dev/anatomy_dev.csv",
        "sky?,one,two,three,four,A\ngrass?,one,two,three,four,B\n",
    );
    workspace.write(
        "mmlu/test/anatomy_test.csv",
        "sky?,one,two,three,four,C\nsky?,one,two,three,four,A\ngrass?,1,2,3,4,D\n",
    );
    let eval = [
        "eval",
        "--adapter",
        "llama",
        "--task-name",
        "mmlu",
        "--data-dir",
        "mmlu",
        "--json",
    ];
    let scores = |shots: &str| {
        let said = workspace.lora_works(&[&eval[..], &["--shots", shots]].concat());
        json(said.stdout)["methods"][0]["scores"].clone()
    };
    let (none, two) = (scores("0"), scores("2"));
    assert_eq!((&none["n"], &none["classes"]), (&json!(3), &json!(4)));
    assert_ne!(none["nll"], two["nll"], "the solved questions are read");
    let said = workspace.lora(&[&eval[..], &["--shots", "3"]].concat());
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("subject `anatomy` has 2 questions"),
        "{}",
        said.stderr
    );
}
