//! Entities and their scores equal seqeval's in its strict mode for IOB2.
//!
//! `golden/entities.json` is made by `golden/make_entities.py`, which also writes the versions it used.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_eval::entities::{EntityCounts, entities};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    truth: Vec<Vec<String>>,
    predicted: Vec<Vec<String>>,
    entities: Vec<Vec<(String, usize, usize)>>,
    precision: f64,
    recall: f64,
    f1: f64,
}

#[test]
fn entities_and_scores_are_those_of_seqeval_for_any_split_into_batches() {
    let golden: Golden = serde_json::from_str(include_str!("golden/entities.json")).unwrap();
    assert_eq!(golden.cases.len(), 4);
    for case in golden.cases {
        let mut parts = [EntityCounts::default(), EntityCounts::default()];
        for (number, (truth, predicted)) in case.truth.iter().zip(&case.predicted).enumerate() {
            let (truth, predicted) = (words(truth), words(predicted));
            let found = entities(&truth);
            let found: Vec<(String, usize, usize)> = found
                .iter()
                .map(|entity| (entity.kind.to_owned(), entity.start, entity.end))
                .collect();
            assert_eq!(found, case.entities[number], "{truth:?}");
            parts[number % 2].update(&truth, &predicted).unwrap();
        }
        let [mut counts, other] = parts;
        counts.merge(other);
        let scores = counts.scores();
        for (found, expected) in [
            (scores.precision, case.precision),
            (scores.recall, case.recall),
            (scores.f1, case.f1),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}

fn words(tags: &[String]) -> Vec<&str> {
    tags.iter().map(String::as_str).collect()
}
