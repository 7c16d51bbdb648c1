//! The scores of tasks equal what scikit-learn, scipy, torchmetrics and Python's own rules give for the same cases.
//!
//! `golden/task_scores.json` is made by `golden/make_task_scores.py`, which also writes the versions it used.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;

use lora_eval::calibration::Binning;
use lora_eval::choices::letter_predictions;
use lora_eval::classification::ConfusionMatrix;
use lora_eval::detection::Detection;
use lora_eval::glue::GlueMetric;
use lora_eval::permutation::Permutation;
use lora_eval::rank_table::{Direction, RankTable};
use lora_eval::selective::RiskCoverage;
use lora_eval::squad::{AnswerScores, BestThreshold, SquadAccumulator, SquadVersion, normalize};
use lora_eval::{Average, Scores};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    detection: Vec<DetectionCase>,
    selective: Vec<SelectiveCase>,
    permutation: Vec<PermutationCase>,
    ranks: RanksCase,
    glue: GlueCase,
    squad_v1: SquadV1Case,
    squad_v2: Vec<SquadV2Case>,
    choices: ChoicesCase,
}

#[derive(Deserialize)]
struct DetectionCase {
    name: String,
    in_scope: Vec<f64>,
    out_of_scope: Vec<f64>,
    auroc: f64,
    false_positive_rates: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct SelectiveCase {
    name: String,
    doubts: Vec<f64>,
    losses: Vec<f64>,
    aurc: f64,
    excess: f64,
    risk_at_half: f64,
}

#[derive(Deserialize)]
struct PermutationCase {
    name: String,
    first: Vec<f64>,
    second: Vec<f64>,
    difference: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct RanksCase {
    scores: Vec<Vec<f64>>,
    larger: Vec<bool>,
    ranks: Vec<Vec<f64>>,
    mean: Vec<f64>,
}

#[derive(Deserialize)]
struct GlueCase {
    labels: Vec<usize>,
    predicted: Vec<usize>,
    accuracy: f64,
    f1: f64,
    accuracy_and_f1: f64,
    matthews: f64,
    three_labels: Vec<usize>,
    three_predicted: Vec<usize>,
    three_accuracy: f64,
    values: Vec<f64>,
    targets: Vec<f64>,
    pearson: f64,
    spearman: f64,
    pearson_and_spearman: f64,
}

#[derive(Deserialize)]
struct Question {
    answers: Vec<String>,
    prediction: String,
    no_answer: Option<f64>,
}

#[derive(Deserialize)]
struct SquadV1Case {
    questions: Vec<Question>,
    exact: f64,
    f1: f64,
    normalized: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct SquadV2Case {
    name: String,
    questions: Vec<Question>,
    all: AnswerScores,
    with_answer: AnswerScores,
    without_answer: AnswerScores,
    at_zero: AnswerScores,
    best_exact: BestThreshold,
    best_f1: BestThreshold,
}

#[derive(Deserialize)]
struct ChoicesCase {
    members: usize,
    choices: Vec<usize>,
    labels: Vec<usize>,
    scores: Vec<f32>,
    #[serde(rename = "at_1.0")]
    plain: ChoiceScores,
    #[serde(rename = "at_2.5")]
    softened: ChoiceScores,
}

#[derive(Deserialize)]
struct ChoiceScores {
    accuracy: f64,
    nll: f64,
    ece: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/task_scores.json")).unwrap()
}

#[track_caller]
fn near(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-10 * expected.abs().max(1.0),
        "{what}: {found} instead of {expected}"
    );
}

#[test]
fn detection_scores_equal_scikit_learn() {
    for case in golden().detection {
        let detection = Detection::of(&case.in_scope, &case.out_of_scope).unwrap();
        near(&case.name, detection.auroc().unwrap(), case.auroc);
        assert_eq!(case.false_positive_rates.len(), 4);
        for (share, expected) in &case.false_positive_rates {
            let found = detection.false_positive_rate_at(share.parse().unwrap()).unwrap();
            near(&format!("{} at {share}", case.name), found, *expected);
        }
    }
}

#[test]
fn risks_equal_the_mean_over_all_orders_of_ties() {
    for case in golden().selective {
        let mut selective = RiskCoverage::new();
        for (doubt, loss) in case.doubts.iter().zip(&case.losses) {
            selective.update(*doubt, *loss).unwrap();
        }
        near(&case.name, selective.aurc().unwrap(), case.aurc);
        near(&case.name, selective.excess_aurc().unwrap(), case.excess);
        near(&case.name, selective.risk_at(0.5).unwrap(), case.risk_at_half);
    }
}

#[test]
fn exact_permutation_tests_equal_scipy() {
    for case in golden().permutation {
        let test = Permutation::default()
            .paired_means(&case.first, &case.second)
            .unwrap();
        assert!(test.exact, "{}", case.name);
        near(&case.name, test.difference, case.difference);
        near(&case.name, test.p_value, case.p_value);
    }
}

#[test]
fn ranks_equal_scipy() {
    let case = golden().ranks;
    let better: Vec<Direction> = case
        .larger
        .iter()
        .map(|larger| {
            if *larger {
                Direction::Maximize
            } else {
                Direction::Minimize
            }
        })
        .collect();
    let table = RankTable::of(&case.scores, &better).unwrap();
    assert_eq!(table.ranks, case.ranks);
    table
        .mean
        .iter()
        .zip(&case.mean)
        .for_each(|(found, expected)| near("mean rank", *found, *expected));
}

#[test]
fn glue_scores_equal_scikit_learn_and_scipy() {
    let case = golden().glue;
    let confusion = |classes, labels: &[usize], predicted: &[usize]| {
        let mut confusion = ConfusionMatrix::new(classes);
        for (label, predicted) in labels.iter().zip(predicted) {
            confusion.update(*label, *predicted).unwrap();
        }
        confusion
    };
    let two = confusion(2, &case.labels, &case.predicted);
    let score = GlueMetric::AccuracyAndF1.of_classes(&two).unwrap();
    near("accuracy", score.parts[0].1, case.accuracy);
    near("F1", score.parts[1].1, case.f1);
    near("accuracy and F1", score.score, case.accuracy_and_f1);
    near(
        "Matthews",
        GlueMetric::Matthews.of_classes(&two).unwrap().score,
        case.matthews,
    );
    let three = confusion(3, &case.three_labels, &case.three_predicted);
    near(
        "accuracy of three",
        GlueMetric::Accuracy.of_classes(&three).unwrap().score,
        case.three_accuracy,
    );
    let score = GlueMetric::PearsonAndSpearman
        .of_values(&case.values, &case.targets)
        .unwrap();
    near("Pearson", score.parts[0].1, case.pearson);
    near("Spearman", score.parts[1].1, case.spearman);
    near("Pearson and Spearman", score.score, case.pearson_and_spearman);
}

fn squad(version: SquadVersion, questions: &[Question]) -> SquadAccumulator {
    let mut squad = SquadAccumulator::new(version);
    for question in questions {
        squad
            .update(&question.answers, &question.prediction, question.no_answer)
            .unwrap();
    }
    squad
}

#[test]
fn squad_1_1_equals_torchmetrics() {
    let case = golden().squad_v1;
    assert!(case.questions.len() > 100);
    for (text, normalized) in &case.normalized {
        assert_eq!(&normalize(text), normalized, "{text:?}");
    }
    let scores = squad(SquadVersion::V1, &case.questions).scores().unwrap().all;
    // torchmetrics sums in single precision.
    assert!(
        (scores.exact - case.exact).abs() < 1e-6,
        "{} instead of {}",
        scores.exact,
        case.exact
    );
    assert!(
        (scores.f1 - case.f1).abs() < 1e-6,
        "{} instead of {}",
        scores.f1,
        case.f1
    );
}

#[test]
fn squad_2_0_equals_the_rules_written_in_python() {
    for case in golden().squad_v2 {
        let name = &case.name;
        let squad = squad(SquadVersion::V2, &case.questions);
        let scores = squad.scores().unwrap();
        let same = |found: AnswerScores, expected: AnswerScores| {
            assert_eq!(found.total, expected.total, "{name}");
            near(name, found.exact, expected.exact);
            near(name, found.f1, expected.f1);
        };
        same(scores.all, case.all);
        same(scores.with_answer.unwrap(), case.with_answer);
        same(scores.without_answer.unwrap(), case.without_answer);
        same(squad.scores_at(0.0).unwrap().all, case.at_zero);
        let best = squad.best_thresholds().unwrap();
        for (found, expected) in [(best.exact, case.best_exact), (best.f1, case.best_f1)] {
            near(name, found.score, expected.score);
            assert_eq!(found.threshold, expected.threshold, "{name}");
        }
    }
}

#[test]
fn letter_scores_equal_torch_row_by_row() {
    let case = golden().choices;
    let predictions = letter_predictions(case.members, &case.choices, &case.scores).unwrap();
    for (temperature, expected) in [(1.0, case.plain), (2.5, case.softened)] {
        let softened = predictions.clone().with_temperature(temperature).unwrap();
        let average = softened.average(Average::Probabilities);
        let scores = Scores::of(&average, &case.labels, Binning::default()).unwrap();
        near("accuracy", scores.accuracy, expected.accuracy);
        near("NLL", scores.nll, expected.nll);
        near("ECE", scores.ece, expected.ece);
    }
}
