//! Every trial as a row of CSV, for whoever computes on.

use lora_eval::detection::Doubt;
use lora_pipeline::error::{Context, Result};
use serde_json::json;

use super::measure::Measure;
use super::results::{Experiment, Trainings};
use crate::sweep::record::{TrialOutcome, TrialRecord};

/// Columns of numbers: name, measure, with or without temperature.
const COLUMNS: [(&str, Measure, bool); 37] = [
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
    ("set_coverage", Measure::SetCoverage, false),
    ("set_size", Measure::SetSize, false),
    ("scaled_set_coverage", Measure::SetCoverage, true),
    ("scaled_set_size", Measure::SetSize, true),
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

/// One line a trial, numbers unrounded; what a trial does not have is empty.
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
        "found_mask_probability",
    ];
    writer.write_record(words.into_iter().chain(COLUMNS.map(|(name, ..)| name)))?;
    let trials = experiments.iter().flat_map(|experiment| {
        let trials = experiment.results.trials.iter();
        trials.map(move |trial| (experiment, trial))
    });
    for (experiment, trial) in trials {
        let TrialOutcome::Done(result) = &trial.outcome else {
            continue;
        };
        let words = [
            experiment.name.clone(),
            trial.key.clone(),
            trial.task.clone(),
            trial.rows.to_string(),
            trial.method.clone(),
            trial.prediction.label(),
            trial.prediction.members().to_string(),
            if trial.stopping.is_early() {
                "early"
            } else {
                "never"
            }
            .to_owned(),
            trial.seed.to_string(),
            json!(trial.settings).to_string(),
            found_masks(&experiment.results.trainings, trial),
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

/// The p of masks that the trainings of a trial found, one after the other; empty where it was given.
fn found_masks(trainings: &Trainings, trial: &TrialRecord) -> String {
    let trainings = trial.trainings.iter().filter_map(|key| trainings.get(key));
    let last = trainings.filter_map(|training| training.mask_changes.last());
    let found: Vec<String> = last.map(|change| change.probability.to_string()).collect();
    found.join(" ")
}
