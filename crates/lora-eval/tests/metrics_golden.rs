//! Every score equals what scikit-learn, torchmetrics and scipy give for the same numbers.
//!
//! `golden/metrics.json` is made by `golden/make_metrics.py`, which also writes the versions it used.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "golden/metrics.rs"]
mod metrics;

use lora_eval::calibration::{AdaptiveCalibration, Binning, EdgeRule, ReliabilityTable};
use lora_eval::classification::{ConfusionMatrix, F1Average};
use lora_eval::proper::{cross_entropy, soft_brier};
use lora_eval::regression::RegressionScores;
use lora_eval::softmax::top_class;
use lora_eval::{Average, ClassProbabilities, Predictions, Scores, fit_temperature};
use metrics::{ClassificationCase, ExpectedCalibration, ExpectedScores, Golden, RegressionCase};

/// Values that the reference computed in double precision.
const DOUBLE: f64 = 1e-10;
/// Values that torchmetrics computed in single precision.
const SINGLE: f64 = 1e-6;
/// A minimizer that looks at the loss alone finds its place to about the square root of the double's precision.
const MINIMIZER: f64 = 1e-6;

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/metrics.json")).unwrap()
}

#[track_caller]
fn near(case: &str, what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs().max(1.0),
        "{case}, {what}: {found} instead of {expected}"
    );
}

#[track_caller]
fn all_near(case: &str, what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{case}, {what}: length");
    found
        .iter()
        .zip(expected)
        .for_each(|(found, expected)| near(case, what, *found, *expected, DOUBLE));
}

/// Compares everything that follows from class probabilities and labels.
fn check_scores(case: &str, probabilities: &ClassProbabilities, labels: &[usize], expected: &ExpectedScores) {
    let scores = Scores::of(probabilities, labels, Binning::default()).unwrap();
    near(case, "accuracy", scores.accuracy, expected.accuracy, DOUBLE);
    near(
        case,
        "balanced accuracy",
        scores.balanced_accuracy,
        expected.balanced_accuracy,
        DOUBLE,
    );
    near(case, "Matthews", scores.matthews, expected.matthews, DOUBLE);
    near(case, "NLL", scores.nll, expected.nll, DOUBLE);
    near(case, "Brier", scores.brier, expected.brier, DOUBLE);
    if let Some(half) = expected.brier_sklearn_binary {
        near(case, "half of Brier", scores.brier / 2.0, half, DOUBLE);
    }
    let expected_f1 = if probabilities.classes() == 2 {
        expected.f1_of_class[1]
    } else {
        expected.f1_macro
    };
    near(case, "F1", scores.f1, expected_f1, DOUBLE);

    let mut confusion = ConfusionMatrix::new(probabilities.classes());
    for (predicted, label) in probabilities.top_classes().into_iter().zip(labels) {
        confusion.update(*label, predicted).unwrap();
    }
    let f1 = |average| confusion.f1(average).unwrap();
    near(case, "macro F1", f1(F1Average::Macro), expected.f1_macro, DOUBLE);
    near(case, "micro F1", f1(F1Average::Micro), expected.f1_micro, DOUBLE);
    near(
        case,
        "weighted F1",
        f1(F1Average::Weighted),
        expected.f1_weighted,
        DOUBLE,
    );
    for (positive, expected) in expected.f1_of_class.iter().enumerate() {
        near(
            case,
            "F1 of a class",
            f1(F1Average::Binary { positive }),
            *expected,
            DOUBLE,
        );
    }
    assert_eq!(confusion.to_rows(), expected.confusion, "{case}");
    for (class, expected) in expected.by_class.iter().enumerate() {
        let found = confusion.of_class(class);
        for (found, expected) in [found.precision, found.recall, found.f1].iter().zip(expected) {
            assert_eq!(found.is_some(), expected.is_some(), "{case}, class {class}");
            near(
                case,
                "scores of a class",
                found.unwrap_or(0.0),
                expected.unwrap_or(0.0),
                DOUBLE,
            );
        }
    }

    for expected in &expected.calibration {
        check_calibration(case, probabilities, labels, expected);
    }
}

fn check_calibration(
    case: &str,
    probabilities: &ClassProbabilities,
    labels: &[usize],
    expected: &ExpectedCalibration,
) {
    let bins = expected.bins;
    let of_rules = [
        (
            Binning {
                bins,
                edges: EdgeRule::LeftOpen,
            },
            &expected.left_open,
            DOUBLE,
        ),
        (
            Binning {
                bins,
                edges: EdgeRule::LeftClosed,
            },
            &expected.left_closed,
            DOUBLE,
        ),
        (Binning::torchmetrics(bins), &expected.torchmetrics, SINGLE),
    ];
    for (binning, expected, tolerance) in of_rules {
        let mut table = ReliabilityTable::new(binning).unwrap();
        for (row, label) in probabilities.rows().zip(labels) {
            let top = top_class(row);
            table.update(row[top], top == *label).unwrap();
        }
        near(
            case,
            &format!("ECE, {binning}"),
            table.ece().unwrap(),
            expected.ece,
            tolerance,
        );
        near(
            case,
            &format!("MCE, {binning}"),
            table.mce().unwrap(),
            expected.mce,
            tolerance,
        );
    }
    let mut adaptive = AdaptiveCalibration::new();
    for (row, label) in probabilities.rows().zip(labels) {
        let top = top_class(row);
        adaptive.update(row[top], top == *label).unwrap();
    }
    near(
        case,
        &format!("adaptive ECE, {bins}"),
        adaptive.ece(bins).unwrap(),
        expected.adaptive_ece,
        DOUBLE,
    );
}

#[test]
fn classification_scores_equal_the_references() {
    let cases = golden().classification;
    assert!(cases.len() >= 8, "the golden file has lost cases");
    for ClassificationCase {
        name,
        classes,
        labels,
        probabilities,
        expected,
    } in cases
    {
        let probabilities = ClassProbabilities::new(labels.len(), classes, probabilities).unwrap();
        check_scores(&name, &probabilities, &labels, &expected);
    }
}

#[test]
fn ensemble_averages_and_their_scores_equal_the_references() {
    let cases = golden().ensembles;
    assert!(cases.len() >= 6, "the golden file has lost cases");
    for case in cases {
        let name = &case.name;
        let predictions = Predictions::new(case.members, case.examples, case.classes, case.logits).unwrap();
        assert_eq!(case.averages.len(), 2, "{name}: both averages");
        for (rule, expected) in &case.averages {
            let average: Average = serde_json::from_value(rule.as_str().into()).unwrap();
            let averaged = predictions.average(average);
            all_near(name, rule, averaged.values(), &expected.probabilities);
            let softened = predictions
                .clone()
                .with_temperature(2.5)
                .unwrap()
                .average(average);
            all_near(name, "softened", softened.row(0), &expected.softened);

            // From the stored probabilities: a last bit of the softmax must not decide a tie between confidences.
            let stored =
                ClassProbabilities::new(case.examples, case.classes, expected.probabilities.clone()).unwrap();
            check_scores(name, &stored, &case.labels, &expected.scores);
            if let Some(soft) = &case.soft_labels {
                let soft = ClassProbabilities::new(case.examples, case.classes, soft.clone()).unwrap();
                let found = cross_entropy(&averaged, &soft).unwrap();
                near(
                    name,
                    "cross-entropy",
                    found,
                    expected.cross_entropy.unwrap(),
                    DOUBLE,
                );
                near(
                    name,
                    "soft Brier",
                    soft_brier(&averaged, &soft).unwrap(),
                    expected.soft_brier.unwrap(),
                    DOUBLE,
                );
            }
        }
    }
}

#[test]
fn uncertainty_equals_the_reference() {
    for case in golden().ensembles {
        let predictions = Predictions::new(case.members, case.examples, case.classes, case.logits).unwrap();
        let found = predictions.uncertainty();
        let (name, expected) = (&case.name, &case.uncertainty);
        let column = |of: fn(&lora_eval::Uncertainty) -> f64| found.iter().map(of).collect::<Vec<_>>();
        all_near(
            name,
            "predictive entropy",
            &column(|u| u.predictive_entropy),
            &expected.predictive_entropy,
        );
        all_near(
            name,
            "expected entropy",
            &column(|u| u.expected_entropy),
            &expected.expected_entropy,
        );
        all_near(
            name,
            "mutual information",
            &column(|u| u.mutual_information),
            &expected.mutual_information,
        );
        all_near(
            name,
            "disagreement",
            &column(|u| u.disagreement),
            &expected.disagreement,
        );
    }
}

#[test]
fn fitted_temperatures_equal_the_reference() {
    for case in golden().ensembles {
        let predictions = Predictions::new(case.members, case.examples, case.classes, case.logits).unwrap();
        for (rule, average) in &case.averages {
            let (name, expected) = (format!("{}, {rule}", case.name), &average.temperature);
            let average: Average = serde_json::from_value(rule.as_str().into()).unwrap();
            let fit = fit_temperature(&predictions, &case.labels, average).unwrap();
            assert!(fit.has_minimum, "{name}: {fit:?}");
            near(
                &name,
                "temperature",
                fit.temperature,
                expected.temperature,
                MINIMIZER,
            );
            near(&name, "NLL before", fit.nll_before, expected.nll_before, DOUBLE);
            near(&name, "NLL after", fit.nll_after, expected.nll_after, DOUBLE);
        }
    }
}

#[test]
fn regression_scores_equal_the_references() {
    for RegressionCase {
        name,
        predictions,
        targets,
        expected,
    } in golden().regression
    {
        let scores = RegressionScores::of(&predictions, &targets).unwrap();
        near(
            &name,
            "Pearson",
            scores.pearson.unwrap(),
            expected.pearson,
            DOUBLE,
        );
        near(
            &name,
            "Spearman",
            scores.spearman.unwrap(),
            expected.spearman,
            DOUBLE,
        );
        near(&name, "MSE", scores.mse, expected.mse, DOUBLE);
        near(&name, "MAE", scores.mae, expected.mae, DOUBLE);
    }
}
