//! `calibration.json`: what validation rows say about the probabilities of a trained classifier, beside the temperature of `task.json`.

mod calibrators;
mod promise;
mod sets;

use std::path::Path;

use lora_core::peft::EnsembleSettings;
use lora_data::{LabelNames, Targets, Task};
use lora_eval::conformal::{ConformalScores, ConformityScore};
use lora_eval::{Average, ClassProbabilities, ModelOutputs};
use serde::{Deserialize, Serialize};

use crate::bail;
use crate::data::encoded::{Detail, EncodedSplit, RowDetail};
use crate::error::{Context, Result};
use crate::inference::{MethodOutputs, SplitOutputs};
use crate::saved::task_file::FittedValues;
pub use calibrators::{
    CalibratorName, FittedCalibrator, ScoredCalibrator, calibrator_of, calibrator_section, calibrator_table,
    score_calibrators,
};
pub use promise::CoveragePromise;
pub use sets::{ScoredSets, SetRequest, score_sets, set_section, set_tables};

/// Name of the file.
pub const CALIBRATION_FILE: &str = "calibration.json";

/// The content of `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationFile {
    /// Version of this file's layout.
    format: u32,
    /// Of the mean pass.
    mean: MethodCalibration,
    /// Of the ensemble that was calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ensemble: Option<OfEnsemble>,
}

/// What validation rows say about one way to predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodCalibration {
    /// The scores behind prediction sets: LAC, APS and RAPS.
    conformal: Vec<ConformalScores>,
    /// Calibrators with more than one number, fitted on the probabilities without temperature.
    #[serde(default)]
    calibrators: Vec<FittedCalibrator>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEnsemble {
    /// How many members.
    members: u64,
    /// What is averaged over them.
    average: Average,
    calibration: MethodCalibration,
}

impl MethodCalibration {
    /// `plain`: without temperature.
    fn of(probabilities: &ClassProbabilities, plain: &ClassProbabilities, labels: &[usize]) -> Result<Self> {
        let scores = [ConformityScore::Lac, ConformityScore::Aps, ConformityScore::RAPS];
        let conformal = scores.map(|score| ConformalScores::of(probabilities, labels, score, None));
        Ok(Self {
            conformal: conformal.into_iter().collect::<Result<_, _>>()?,
            calibrators: calibrators::fit_all(plain, labels)?,
        })
    }
}

impl CalibrationFile {
    /// From outputs for validation rows; none where rows have no class, or several.
    ///
    /// # Errors
    ///
    /// If the model has diverged.
    pub fn of(
        outputs: &SplitOutputs,
        split: &EncodedSplit,
        temperatures: FittedValues,
    ) -> Result<Option<Self>> {
        let (SplitOutputs::Rows(outputs), Detail::Rows(RowDetail::Texts), Targets::Classes(labels)) =
            (outputs, &split.detail, split.truth())
        else {
            return Ok(None);
        };
        let of = |outputs: &ModelOutputs, average, temperature| {
            let plain = class_probabilities(outputs, average, None)?;
            MethodCalibration::of(
                &class_probabilities(outputs, average, temperature)?,
                &plain,
                &labels,
            )
        };
        let mean = of(&outputs.mean, Average::default(), temperatures.mean)?;
        let ensemble = outputs.ensemble.as_ref().map(|(settings, outputs)| {
            Ok::<_, crate::Error>(OfEnsemble {
                members: settings.members,
                average: settings.average,
                calibration: of(outputs, settings.average, temperatures.ensemble)?,
            })
        });
        Ok(Some(Self {
            format: 1,
            mean,
            ensemble: ensemble.transpose()?,
        }))
    }

    /// Reads the file of an adapter folder; none where it has none.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be used.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(CALIBRATION_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{shown}`"))?;
        let file = serde_json::from_slice::<Self>(&bytes);
        let file = file.with_context(|| {
            format!("`{shown}` is damaged; train again, or remove it and do without prediction sets")
        })?;
        if file.format != 1 {
            bail!(
                "`{shown}` has format {}, this program reads format 1; use the program that wrote it",
                file.format
            );
        }
        Ok(Some(file))
    }

    /// As text, in one line: nobody reads thousands of scores.
    ///
    /// # Errors
    ///
    /// Never: it is JSON.
    pub fn text(&self) -> Result<String> {
        Ok(serde_json::to_string(self).context("the calibration is no JSON")? + "\n")
    }

    /// How many rows prediction sets rest on.
    pub fn validation_rows(&self) -> Option<usize> {
        self.mean.conformal.first().map(ConformalScores::rows)
    }

    /// What was found for a way to predict: for another number of members or another average than those of the validation rows, nothing.
    pub fn of_way(&self, ensemble: Option<EnsembleSettings>) -> Option<&MethodCalibration> {
        let Some(settings) = ensemble else {
            return Some(&self.mean);
        };
        let of_ensemble = self.ensemble.as_ref()?;
        let is_same = (of_ensemble.members, of_ensemble.average) == (settings.members, settings.average);
        is_same.then_some(&of_ensemble.calibration)
    }
}

/// The class probabilities of outputs, as they are predicted.
///
/// # Errors
///
/// If the model has diverged.
pub fn class_probabilities(
    outputs: &ModelOutputs,
    average: Average,
    temperature: Option<f64>,
) -> Result<ClassProbabilities> {
    let predictions = outputs
        .clone()
        .into_predictions()?
        .with_temperature(temperature.unwrap_or(1.0))?;
    Ok(predictions.average(average))
}

/// What an adapter predicts, and what validation rows said about its probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Calibrated<'a> {
    /// What it predicts.
    pub task: &'a Task,
    /// `calibration.json`; none for a folder without.
    pub file: Option<&'a CalibrationFile>,
}

impl<'a> Calibrated<'a> {
    /// The classes, for what a flag asks.
    fn labels(self, flag: &str) -> Result<&'a LabelNames> {
        match self.task {
            Task::Classification { labels } => Ok(labels),
            other => bail!(
                "{flag} is about the classes of texts, but the adapter is for {}; leave {flag} out",
                other.problem_type().name()
            ),
        }
    }
}

/// A way to predict: what it is called, its ensemble, its outputs and its temperature.
type Way<'a> = (String, Option<EnsembleSettings>, &'a ModelOutputs, Option<f64>);

/// The mean pass, and the ensemble if there is one.
fn ways(outputs: &MethodOutputs, temperatures: FittedValues) -> Vec<Way<'_>> {
    let mut ways = vec![("mean pass".to_owned(), None, &outputs.mean, temperatures.mean)];
    if let Some((settings, outputs)) = &outputs.ensemble {
        let name = format!("ensemble of {}", settings.members);
        ways.push((name, Some(*settings), outputs, temperatures.ensemble));
    }
    ways
}
