//! Calibrators with more than one number of a trained classifier: fitted on validation rows, beside the temperature.

use std::fmt;

use lora_core::peft::EnsembleSettings;
use lora_data::Targets;
use lora_eval::calibration::Binning;
use lora_eval::calibrators::{
    Calibrator, CalibratorKind, DirichletPenalty, JudgedCalibrator, VectorPrior, judge_calibrator,
};
use lora_eval::{ClassProbabilities, ModelOutputs, Scores};
use lora_report::{Better, Block, Cell, Column, Section, Table};
use serde::{Deserialize, Serialize};

use super::{CALIBRATION_FILE, Calibrated, class_probabilities, ways};
use crate::bail;
use crate::data::encoded::EncodedSplit;
use crate::error::Result;
use crate::inference::SplitOutputs;
use crate::saved::task_file::FittedValues;
use crate::score::JUDGING_SEED;

/// Rows below which no calibrator is fitted: as for a temperature.
const FEWEST_ROWS: usize = 20;

/// A calibrator by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibratorName {
    /// A factor and a summand a class.
    Vector,
    /// A matrix and a summand a class.
    Dirichlet,
    /// A step function a class.
    Isotonic,
}

impl CalibratorName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vector, Self::Dirichlet, Self::Isotonic];

    /// How it is fitted on so many rows.
    fn kind(self, rows: usize, classes: usize) -> CalibratorKind {
        match self {
            Self::Vector => CalibratorKind::Vector(VectorPrior::default()),
            Self::Dirichlet => CalibratorKind::Dirichlet(DirichletPenalty::for_rows(rows, classes)),
            Self::Isotonic => CalibratorKind::Isotonic,
        }
    }
}

impl fmt::Display for CalibratorName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind(1, 2).name())
    }
}

/// A calibrator of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedCalibrator {
    /// Which one.
    pub name: CalibratorName,
    /// What was fitted, and what it brings on rows that it was not fitted on.
    pub judged: JudgedCalibrator,
}

/// Fits all calibrators for which there are enough rows: as many as parameters, and one that is wrong.
pub(super) fn fit_all(probabilities: &ClassProbabilities, labels: &[usize]) -> Result<Vec<FittedCalibrator>> {
    let (rows, classes) = (labels.len(), probabilities.classes());
    let all_right = probabilities.top_classes() == labels;
    if rows < FEWEST_ROWS || all_right {
        return Ok(Vec::new());
    }
    let mut fitted = Vec::new();
    for name in CalibratorName::ALL {
        let kind = name.kind(rows, classes);
        if kind
            .parameters(classes)
            .is_none_or(|parameters| parameters <= rows)
        {
            let judged = judge_calibrator(kind, probabilities, labels, JUDGING_SEED)?;
            fitted.push(FittedCalibrator { name, judged });
        }
    }
    Ok(fitted)
}

/// The calibrator of an adapter folder for a way to predict.
///
/// # Errors
///
/// If the adapter predicts no class, or its folder has no such calibrator for this way to predict.
pub fn calibrator_of(
    name: CalibratorName,
    calibrated: Calibrated<'_>,
    ensemble: Option<EnsembleSettings>,
) -> Result<Calibrator> {
    calibrated.labels("--calibrator")?;
    let of_way = calibrated.file.and_then(|file| file.of_way(ensemble));
    let found =
        of_way.and_then(|calibration| calibration.calibrators.iter().find(|fitted| fitted.name == name));
    match found {
        Some(fitted) => Ok(fitted.judged.calibrator.clone()),
        None => bail!(
            "the adapter folder has no {name} calibrator for {}: {CALIBRATION_FILE} holds those that a training could fit, which needs at \
             least {FEWEST_ROWS} validation rows, as many as the calibrator has numbers, and one that is wrong",
            ensemble.map_or_else(
                || "the mean pass".to_owned(),
                |settings| format!("an ensemble of {}", settings.members)
            ),
        ),
    }
}

/// One way to predict with one calibrator, scored on labelled rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredCalibrator {
    /// The way to predict, in words.
    pub method: String,
    /// The calibrator, in words; none without.
    pub calibrator: Option<String>,
    /// On the rows.
    pub scores: Scores,
    /// What it brought on validation rows that it was not fitted on, in nats, with its standard error.
    pub validation_gain: Option<[f64; 2]>,
}

/// Scores mean pass and ensemble without a calibrator, with a temperature, and with each calibrator of the folder.
///
/// # Errors
///
/// If the adapter predicts no class, or the rows have none.
pub fn score_calibrators(
    calibrated: Calibrated<'_>,
    outputs: &SplitOutputs,
    split: &EncodedSplit,
    temperatures: FittedValues,
) -> Result<Vec<ScoredCalibrator>> {
    calibrated.labels("--compare-calibrators")?;
    let (SplitOutputs::Rows(outputs), Targets::Classes(labels)) = (outputs, split.truth()) else {
        bail!("--compare-calibrators: there are no labels to score against; give a file with a label column");
    };
    let mut scored = Vec::new();
    for (method, ensemble, outputs, temperature) in ways(outputs, temperatures) {
        let average = ensemble.map_or_else(Default::default, |settings| settings.average);
        let at = |outputs: &ModelOutputs, temperature| class_probabilities(outputs, average, temperature);
        let mut add = |calibrator: Option<String>, probabilities: &ClassProbabilities, gain| -> Result<()> {
            scored.push(ScoredCalibrator {
                method: method.clone(),
                calibrator,
                scores: Scores::of(probabilities, &labels, Binning::default())?,
                validation_gain: gain,
            });
            Ok(())
        };
        let plain = at(outputs, None)?;
        add(None, &plain, None)?;
        if let Some(temperature) = temperature {
            let name = format!("T = {temperature:.3}");
            add(Some(name), &at(outputs, Some(temperature))?, None)?;
        }
        let of_way = calibrated.file.and_then(|file| file.of_way(ensemble));
        for FittedCalibrator { name, judged } in
            of_way.iter().flat_map(|calibration| &calibration.calibrators)
        {
            let gain = Some([judged.gain, judged.gain_error]);
            add(Some(name.to_string()), &judged.calibrator.apply(&plain)?, gain)?;
        }
    }
    Ok(scored)
}

/// The table for a page; none without any.
pub fn calibrator_section(table: Option<Table>) -> Option<Section> {
    table.map(|table| Section::new("Calibrators").with_block(Block::Table(table)))
}

/// The calibrators side by side; none without any.
pub fn calibrator_table(scored: &[ScoredCalibrator]) -> Option<Table> {
    let columns = vec![
        Column::new("accuracy", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3),
        Column::new("Brier", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
        Column::new("smooth ECE", Better::Lower, 3),
        Column::new("class-wise ECE", Better::Lower, 3),
        Column::new("gain on validation rows", Better::Higher, 3).with_unit("nats"),
    ];
    let mut table = Table::new("Calibrators", "method", columns);
    for ScoredCalibrator {
        method,
        calibrator,
        scores,
        validation_gain,
    } in scored
    {
        let label = match calibrator {
            Some(calibrator) => format!("{method}, {calibrator}"),
            None => method.clone(),
        };
        let optional = |value: Option<f64>| value.map_or(Cell::Empty, Cell::value);
        let cells = vec![
            Cell::value(scores.accuracy),
            Cell::value(scores.nll),
            Cell::value(scores.brier),
            Cell::value(scores.ece),
            optional(scores.smooth_ece),
            optional(scores.classwise_ece),
            validation_gain.map_or(Cell::Empty, |[gain, error]| Cell::with_deviation(gain, error)),
        ];
        table.push(label, cells);
    }
    let note = "Gain: on validation rows that the calibrator was not fitted on, with its standard error; below zero it harms.";
    (!scored.is_empty()).then(|| table.without_marks().with_note(note))
}
