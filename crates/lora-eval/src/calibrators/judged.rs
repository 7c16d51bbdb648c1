//! What a calibrator brings on rows that it was not fitted on.

use serde::{Deserialize, Serialize};

use super::{Calibrator, CalibratorKind};
use crate::checks::at_least;
use crate::student::{mean, variance_of_mean};
use crate::temperature::{FOLDS, parts};
use crate::{ClassProbabilities, EvalError};

/// A calibrator, and what it brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedCalibrator {
    /// Fitted on all rows.
    pub calibrator: Calibrator,
    /// Mean loss of the rows without it, minus that with one that was fitted without the row, in nats.
    pub gain: f64,
    /// Standard error of the gain over rows.
    pub gain_error: f64,
    /// `[examples]`: negative log-likelihood of each row under a calibrator fitted without it.
    #[serde(skip)]
    pub row_losses: Vec<f64>,
}

/// Fits a calibrator on validation `probabilities` `[examples, classes]` and their `labels` `[examples]`, and scores it on each tenth of
/// the rows as fitted on the others. `seed` decides which rows are in a part together.
///
/// # Errors
/// As [`CalibratorKind::fit`]; also [`EvalError::AxisTooShort`] for fewer rows than parts.
pub fn judge_calibrator(
    kind: CalibratorKind,
    probabilities: &ClassProbabilities,
    labels: &[usize],
    seed: u64,
) -> Result<JudgedCalibrator, EvalError> {
    let calibrator = kind.fit(probabilities, labels)?;
    let rows = labels.len();
    at_least("examples", rows, FOLDS)?;
    let parts = parts(rows, seed);
    let mut row_losses = vec![0.0; rows];
    for part in 0..FOLDS {
        let (held_out, others): (Vec<usize>, Vec<usize>) = (0..rows).partition(|row| parts[*row] == part);
        let of = |rows: &[usize]| -> Result<_, EvalError> {
            let values = rows
                .iter()
                .flat_map(|row| probabilities.row(*row).to_vec())
                .collect();
            let labels: Vec<usize> = rows.iter().map(|row| labels[*row]).collect();
            Ok((
                ClassProbabilities::new(rows.len(), probabilities.classes(), values)?,
                labels,
            ))
        };
        let (fitted_on, its_labels) = of(&others)?;
        let (scored, _) = of(&held_out)?;
        let found = kind.fit(&fitted_on, &its_labels)?.apply(&scored)?;
        for (row, found) in held_out.iter().zip(found.rows()) {
            row_losses[*row] = loss(found[labels[*row]]);
        }
    }
    let without = probabilities
        .rows()
        .zip(labels)
        .map(|(row, label)| loss(row[*label]));
    let gains: Vec<f64> = without
        .zip(&row_losses)
        .map(|(without, with)| without - with)
        .collect();
    let gain = mean(gains.iter().copied());
    Ok(JudgedCalibrator {
        calibrator,
        gain,
        gain_error: variance_of_mean(&gains, gain).sqrt(),
        row_losses,
    })
}

/// In nats; of a probability of 0 that of the smallest step from 1, as in all scores.
fn loss(probability: f64) -> f64 {
    -probability.max(f64::EPSILON).ln()
}
