//! The shape of `metrics.json`, which `make_metrics.py` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Golden {
    pub classification: Vec<ClassificationCase>,
    pub ensembles: Vec<EnsembleCase>,
    pub regression: Vec<RegressionCase>,
}

#[derive(Deserialize)]
pub struct ClassificationCase {
    pub name: String,
    pub classes: usize,
    pub labels: Vec<usize>,
    /// `[examples, classes]`
    pub probabilities: Vec<f64>,
    pub expected: ExpectedScores,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedScores {
    pub accuracy: f64,
    pub balanced_accuracy: f64,
    pub f1_macro: f64,
    pub f1_micro: f64,
    pub f1_weighted: f64,
    pub f1_of_class: Vec<f64>,
    /// `[labels][predicted classes]`
    pub confusion: Vec<Vec<u64>>,
    /// Precision, recall and F1; null where they divide by 0.
    pub by_class: Vec<[Option<f64>; 3]>,
    pub matthews: f64,
    pub nll: f64,
    pub brier: f64,
    pub brier_sklearn_binary: Option<f64>,
    pub calibration: Vec<ExpectedCalibration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCalibration {
    pub bins: usize,
    pub left_open: ExpectedErrors,
    pub left_closed: ExpectedErrors,
    pub torchmetrics: ExpectedErrors,
    pub adaptive_ece: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedErrors {
    pub ece: f64,
    pub mce: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleCase {
    pub name: String,
    pub members: usize,
    pub examples: usize,
    pub classes: usize,
    /// `[members, examples, classes]`
    pub logits: Vec<f32>,
    pub labels: Vec<usize>,
    pub averages: BTreeMap<String, ExpectedAverage>,
    /// `[examples, classes]`
    pub soft_labels: Option<Vec<f64>>,
    pub uncertainty: ExpectedUncertainty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAverage {
    /// `[examples, classes]`
    pub probabilities: Vec<f64>,
    /// `[classes]` of the first example
    #[serde(rename = "at_temperature_2.5")]
    pub softened: Vec<f64>,
    pub scores: ExpectedScores,
    pub temperature: ExpectedTemperature,
    pub cross_entropy: Option<f64>,
    pub soft_brier: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedTemperature {
    pub temperature: f64,
    pub nll_before: f64,
    pub nll_after: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedUncertainty {
    pub predictive_entropy: Vec<f64>,
    pub expected_entropy: Vec<f64>,
    pub mutual_information: Vec<f64>,
    pub disagreement: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionCase {
    pub name: String,
    pub predictions: Vec<f64>,
    pub targets: Vec<f64>,
    pub expected: ExpectedRegression,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRegression {
    pub pearson: f64,
    pub spearman: f64,
    pub mse: f64,
    pub mae: f64,
}
