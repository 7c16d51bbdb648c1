//! Calibrators and errors of calibration: equal to torch-uncertainty, scikit-learn, `SciPy`, relplot and torchmetrics.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_eval::calibration::{AdaptiveCalibration, Binning, ClasswiseCalibration};
use lora_eval::calibrators::{CalibratorKind, DirichletPenalty, VectorPrior, judge_calibrator};
use lora_eval::{ClassProbabilities, Scores};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    errors: Vec<Errors>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(flatten)]
    errors: Errors,
    test: Vec<f64>,
    vector: Vec<f64>,
    vector_with_prior: Vec<f64>,
    dirichlet: Vec<Dirichlet>,
    isotonic: Vec<f64>,
}

#[derive(Deserialize)]
struct Errors {
    name: String,
    classes: usize,
    fit: Vec<f64>,
    labels: Vec<usize>,
    smooth_ece: f64,
    classwise_ece: f64,
}

#[derive(Deserialize)]
struct Dirichlet {
    off_diagonal: f64,
    bias: f64,
    test: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/calibrators.json")).unwrap()
}

fn rows(classes: usize, values: &[f64]) -> ClassProbabilities {
    ClassProbabilities::new(values.len() / classes, classes, values.to_vec()).unwrap()
}

impl Errors {
    fn rows(&self) -> ClassProbabilities {
        rows(self.classes, &self.fit)
    }
}

#[test]
fn calibrated_probabilities_are_those_of_the_references() {
    let golden = golden();
    assert_eq!(golden.cases.len(), 3);
    for case in &golden.cases {
        let Errors {
            name,
            labels,
            classes,
            ..
        } = &case.errors;
        let dirichlet = case.dirichlet.iter().map(|expected| {
            let penalty = DirichletPenalty {
                off_diagonal: expected.off_diagonal,
                bias: expected.bias,
            };
            // Two searches end where the slope is small, not at the same bit.
            (CalibratorKind::Dirichlet(penalty), &expected.test, 1e-6)
        });
        let others = [
            (CalibratorKind::Vector(VectorPrior::NONE), &case.vector, 1e-6),
            (
                CalibratorKind::Vector(VectorPrior::default()),
                &case.vector_with_prior,
                1e-6,
            ),
            (CalibratorKind::Isotonic, &case.isotonic, 1e-9),
        ];
        for (kind, expected, tolerance) in others.into_iter().chain(dirichlet) {
            let fitted = kind.fit(&case.errors.rows(), labels).unwrap();
            let found = fitted.apply(&rows(*classes, &case.test)).unwrap();
            for (place, (found, expected)) in found.values().iter().zip(expected).enumerate() {
                assert!(
                    (found - expected).abs() < tolerance,
                    "{name}, {kind:?}, {place}: {found}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn errors_are_those_of_relplot_and_torchmetrics() {
    let golden = golden();
    let cases = golden.cases.iter().map(|case| &case.errors).chain(&golden.errors);
    assert_eq!(cases.clone().count(), 6);
    for case in cases {
        let probabilities = case.rows();
        let mut smooth = AdaptiveCalibration::new();
        let mut classwise = ClasswiseCalibration::new(case.classes, Binning::torchmetrics(15)).unwrap();
        let tops = probabilities.top_classes();
        for ((row, top), label) in probabilities.rows().zip(tops).zip(&case.labels) {
            smooth.update(row[top], top == *label).unwrap();
            classwise.update(row, *label).unwrap();
        }
        let found = smooth.smooth_ece().unwrap();
        // relplot adds 1e-4 to the density, which is as large as the number of rows.
        assert!(
            (found - case.smooth_ece).abs() < 1e-5,
            "{}: smooth {found}, not {}",
            case.name,
            case.smooth_ece
        );
        let found = classwise.ece().unwrap();
        // torchmetrics computes in single precision.
        assert!(
            (found - case.classwise_ece).abs() < 1e-6,
            "{}: class-wise {found}, not {}",
            case.name,
            case.classwise_ece
        );
        let scores = Scores::of(&probabilities, &case.labels, Binning::torchmetrics(15)).unwrap();
        assert_eq!(
            (scores.smooth_ece, scores.classwise_ece),
            (smooth.smooth_ece().ok(), Some(found))
        );
    }
}

#[test]
fn what_a_calibrator_brings_is_scored_on_rows_that_it_was_not_fitted_on() {
    let golden = golden();
    let case = &golden.cases[1].errors;
    let (probabilities, labels) = (case.rows(), &case.labels);
    for kind in [
        CalibratorKind::Vector(VectorPrior::default()),
        CalibratorKind::Dirichlet(DirichletPenalty::for_rows(labels.len(), 3)),
        CalibratorKind::Isotonic,
    ] {
        let judged = judge_calibrator(kind, &probabilities, labels, 3).unwrap();
        assert_eq!(judged.calibrator, kind.fit(&probabilities, labels).unwrap());
        let nll = |rows: &ClassProbabilities| Scores::of(rows, labels, Binning::default()).unwrap().nll;
        let (before, fitted) = (
            nll(&probabilities),
            nll(&judged.calibrator.apply(&probabilities).unwrap()),
        );
        let crossed = judged.row_losses.iter().sum::<f64>() / labels.len() as f64;
        assert!((judged.gain - (before - crossed)).abs() < 1e-9, "{kind:?}");
        // On the rows of the fit it looks better than it is.
        assert!(
            fitted < crossed,
            "{kind:?}: {fitted} on its own rows, {crossed} on others"
        );
        let json = serde_json::to_string(&judged.calibrator).unwrap();
        let read: lora_eval::calibrators::Calibrator = serde_json::from_str(&json).unwrap();
        let (one, other) = (
            read.apply(&probabilities).unwrap(),
            judged.calibrator.apply(&probabilities).unwrap(),
        );
        assert!(
            one.values()
                .iter()
                .zip(other.values())
                .all(|(one, other)| (one - other).abs() < 1e-12)
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let two = rows(2, &[0.25, 0.75, 0.5, 0.5]);
    let kind = CalibratorKind::Vector(VectorPrior { deviation: Some(0.0) });
    assert!(kind.fit(&two, &[0, 1]).is_err());
    let kind = CalibratorKind::Dirichlet(DirichletPenalty {
        bias: -1.0,
        ..DirichletPenalty::NONE
    });
    assert!(kind.fit(&two, &[0, 1]).is_err());
    let fitted = CalibratorKind::Isotonic.fit(&two, &[0, 1]).unwrap();
    assert!(fitted.apply(&rows(3, &[0.25, 0.25, 0.5])).is_err());
    assert!(
        judge_calibrator(CalibratorKind::Isotonic, &two, &[0, 1], 0).is_err(),
        "two rows are no ten parts"
    );
}
