//! Prediction sets: equal to those of MAPIE, class by class, with its own uniform numbers.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_eval::ClassProbabilities;
use lora_eval::conformal::{ConformalScores, ConformalThresholds, ConformityScore, PredictionSets};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    fit: Vec<f64>,
    labels: Vec<usize>,
    test: Vec<f64>,
    uniforms_fit: Vec<f64>,
    uniforms_test: Vec<f64>,
    lac: Vec<Expected>,
    lac_by_class: Vec<ByClass>,
    aps: Vec<Expected>,
    raps: Vec<ExpectedRaps>,
}

#[derive(Deserialize)]
struct Expected {
    coverage: f64,
    quantile: f64,
    sets: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct ByClass {
    coverage: f64,
    quantiles: Vec<f64>,
    sets: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct ExpectedRaps {
    coverage: f64,
    quantile: f64,
    sets: Vec<Option<Vec<usize>>>,
    penalty: f64,
    free: usize,
    /// The rows that it was fitted on.
    rows: Vec<usize>,
    uniforms: Vec<f64>,
}

impl Case {
    fn probabilities(&self, values: &[f64]) -> ClassProbabilities {
        ClassProbabilities::new(values.len() / self.classes, self.classes, values.to_vec()).unwrap()
    }

    fn fitted(&self, score: ConformityScore) -> ConformalScores {
        let fit = self.probabilities(&self.fit);
        ConformalScores::with_draws(&fit, &self.labels, score, &self.uniforms_fit).unwrap()
    }

    fn sets(&self, thresholds: &ConformalThresholds) -> PredictionSets {
        let test = self.probabilities(&self.test);
        thresholds.sets_with_draws(&test, &self.uniforms_test).unwrap()
    }

    fn check(&self, what: &str, thresholds: &ConformalThresholds, quantiles: &[f64], sets: &[Vec<usize>]) {
        for (found, expected) in thresholds.thresholds.iter().zip(quantiles) {
            // Sums of at most seven numbers below 1.
            assert!(
                (found - expected).abs() < 1e-12,
                "{}, {what}: {found}, not {expected}",
                self.name
            );
        }
        let found = self.sets(thresholds);
        assert_eq!(found.rows().len(), sets.len());
        for (row, (found, expected)) in found.rows().zip(sets).enumerate() {
            assert_eq!(found, expected, "{}, {what}, row {row}", self.name);
        }
    }
}

#[test]
fn quantiles_and_sets_are_those_of_mapie() {
    let golden: Golden = serde_json::from_str(include_str!("golden/conformal.json")).unwrap();
    assert_eq!(golden.cases.len(), 5);
    for case in &golden.cases {
        for (score, all) in [
            (ConformityScore::Lac, &case.lac),
            (ConformityScore::Aps, &case.aps),
        ] {
            for expected in all {
                let thresholds = case.fitted(score).thresholds(expected.coverage, false).unwrap();
                let quantiles = vec![expected.quantile; case.classes];
                let what = format!("{} at {}", score.name(), expected.coverage);
                case.check(&what, &thresholds, &quantiles, &expected.sets);
            }
        }
        for expected in &case.lac_by_class {
            let thresholds = case
                .fitted(ConformityScore::Lac)
                .thresholds(expected.coverage, true)
                .unwrap();
            let what = format!("LAC by class at {}", expected.coverage);
            case.check(&what, &thresholds, &expected.quantiles, &expected.sets);
        }
        assert!(case.aps.len() == case.raps.len() && (case.classes == 2 || case.raps.len() == 3));
        for expected in &case.raps {
            raps(case, expected);
        }
    }
}

fn raps(case: &Case, expected: &ExpectedRaps) {
    let of_rows = |row: &usize| case.fit[row * case.classes..][..case.classes].to_vec();
    let fit: Vec<f64> = expected.rows.iter().flat_map(of_rows).collect();
    let labels: Vec<usize> = expected.rows.iter().map(|row| case.labels[*row]).collect();
    let score = ConformityScore::Raps {
        penalty: expected.penalty,
        free: expected.free,
    };
    let fitted =
        ConformalScores::with_draws(&case.probabilities(&fit), &labels, score, &expected.uniforms).unwrap();
    let thresholds = fitted.thresholds(expected.coverage, false).unwrap();
    let found = thresholds.thresholds[0];
    let what = format!("{}, RAPS at {}", case.name, expected.coverage);
    assert!(
        (found - expected.quantile).abs() < 1e-12,
        "{what}: {found}, not {}",
        expected.quantile
    );
    let sets = case.sets(&thresholds);
    for (row, (found, expected)) in sets.rows().zip(&expected.sets).enumerate() {
        assert!(
            expected.as_ref().is_none_or(|expected| found == expected),
            "{what}, row {row}: {found:?}, not {expected:?}"
        );
    }
}
