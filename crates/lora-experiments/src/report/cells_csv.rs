//! Every cell as a row of CSV, for whoever computes on.

use lora_eval::detection::Doubt;
use lora_pipeline::error::{Context, Result};
use serde_json::json;

use super::measure::Measure;
use super::results::Experiment;
use crate::sweep::record::Outcome;

/// Columns of numbers: name, measure, with or without temperature.
const COLUMNS: [(&str, Measure, bool); 33] = [
    ("score", Measure::Metric, false),
    ("accuracy", Measure::Accuracy, false),
    ("loss", Measure::Loss, false),
    ("brier", Measure::Brier, false),
    ("ece", Measure::Ece, false),
    ("adaptive_ece", Measure::AdaptiveEce, false),
    ("aurc", Measure::Aurc, false),
    ("pearson", Measure::Pearson, false),
    ("spearman", Measure::Spearman, false),
    ("loss_gap", Measure::LossGap, false),
    ("accuracy_gap", Measure::AccuracyGap, false),
    ("validation_loss", Measure::ValidationLoss, false),
    ("temperature", Measure::Temperature, true),
    ("scaled_loss", Measure::Loss, true),
    ("scaled_brier", Measure::Brier, true),
    ("scaled_ece", Measure::Ece, true),
    ("scaled_adaptive_ece", Measure::AdaptiveEce, true),
    ("scaled_aurc", Measure::Aurc, true),
    ("scaled_validation_loss", Measure::ValidationLoss, true),
    ("shifted_accuracy", Measure::ShiftedAccuracy, false),
    ("shifted_loss", Measure::ShiftedLoss, false),
    ("shifted_ece", Measure::ShiftedEce, false),
    ("auroc_confidence", Measure::Auroc(Doubt::Confidence), false),
    ("auroc_entropy", Measure::Auroc(Doubt::PredictiveEntropy), false),
    (
        "auroc_mutual_information",
        Measure::Auroc(Doubt::MutualInformation),
        false,
    ),
    ("fpr95_confidence", Measure::Fpr95(Doubt::Confidence), false),
    ("fpr95_entropy", Measure::Fpr95(Doubt::PredictiveEntropy), false),
    (
        "fpr95_mutual_information",
        Measure::Fpr95(Doubt::MutualInformation),
        false,
    ),
    ("scaled_shifted_loss", Measure::ShiftedLoss, true),
    ("scaled_shifted_ece", Measure::ShiftedEce, true),
    ("training_seconds", Measure::TrainingSeconds, false),
    ("predicting_seconds", Measure::PredictingSeconds, false),
    ("peak_memory_bytes", Measure::PeakMemory, false),
];

/// One line a cell, numbers unrounded; what a cell does not have is empty.
///
/// # Errors
///
/// If memory does not take it.
pub fn to_csv(experiments: &[Experiment]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let words = [
        "experiment",
        "key",
        "task",
        "rows",
        "method",
        "prediction",
        "members",
        "stopping",
        "seed",
        "settings",
    ];
    writer.write_record(words.into_iter().chain(COLUMNS.map(|(name, ..)| name)))?;
    let cells = experiments.iter().flat_map(|experiment| {
        let cells = experiment.results.cells.iter();
        cells.map(|cell| (&experiment.name, cell))
    });
    for (experiment, cell) in cells {
        let Outcome::Done(result) = &cell.outcome else {
            continue;
        };
        let words = [
            experiment.clone(),
            cell.key.clone(),
            cell.task.clone(),
            cell.rows.to_string(),
            cell.method.clone(),
            cell.prediction.label(),
            cell.prediction.members().to_string(),
            if cell.stopping.is_early() {
                "early"
            } else {
                "never"
            }
            .to_owned(),
            cell.seed.to_string(),
            json!(cell.settings).to_string(),
        ];
        let numbers = COLUMNS.map(|(_, measure, is_scaled)| {
            let value = measure.of(result, is_scaled);
            value.map(|value| value.to_string()).unwrap_or_default()
        });
        writer.write_record(words.into_iter().chain(numbers))?;
    }
    let bytes = writer.into_inner().context("the CSV")?;
    Ok(String::from_utf8(bytes)?)
}
