//! Scores of labels any number of which may hold: equal to scikit-learn and torchmetrics.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_eval::calibration::Binning;
use lora_eval::{Average, ModelOutputs, MultiLabelScores};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    bins: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    shape: [usize; 2],
    logits: Vec<f32>,
    truth: Vec<Vec<usize>>,
    f1_micro: f64,
    f1_macro: f64,
    exact_match: f64,
    label_accuracy: f64,
    nll: f64,
    brier: f64,
    ece: f64,
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    precision: f64,
    recall: f64,
    f1: f64,
    nll: f64,
    ece: f64,
}

#[test]
fn scores_of_labels_are_those_of_scikit_learn_and_torchmetrics() {
    let golden: Golden = serde_json::from_str(include_str!("golden/multi_label.json")).unwrap();
    assert_eq!(golden.cases.len(), 5);
    for case in golden.cases {
        let outputs = ModelOutputs {
            members: 1,
            examples: case.shape[0],
            outputs: case.shape[1],
            values: case.logits,
        };
        let probabilities = outputs
            .into_label_predictions()
            .unwrap()
            .average(Average::Probabilities);
        let binning = Binning::torchmetrics(golden.bins);
        let found = MultiLabelScores::of(&probabilities, &case.truth, binning).unwrap();
        let close = |what: &str, found: f64, expected: f64| {
            assert!(
                (found - expected).abs() < 1e-6,
                "{}: {what} is {found}, not {expected}",
                case.name
            );
        };
        close("f1_micro", found.f1_micro, case.f1_micro);
        close("f1_macro", found.f1_macro, case.f1_macro);
        close("exact_match", found.exact_match, case.exact_match);
        close("label_accuracy", found.label_accuracy, case.label_accuracy);
        close("nll", found.nll, case.nll);
        close("brier", found.brier, case.brier);
        close("ece", found.ece, case.ece);
        assert_eq!(found.labels.len(), case.labels.len());
        for (found, expected) in found.labels.iter().zip(&case.labels) {
            close("precision", found.precision, expected.precision);
            close("recall", found.recall, expected.recall);
            close("f1", found.f1, expected.f1);
            close("nll of a label", found.nll, expected.nll);
            close("ece of a label", found.ece, expected.ece);
        }
    }
}
