//! Scores of labels any number of which may hold.

use lora_eval::ClassProbabilities;
use lora_eval::calibration::{Binning, ReliabilityTable};
use lora_eval::multi_label::{MultiLabelScores, label_classes};

use super::{FoundScores, TaskScores};
use crate::error::Result;

/// Scores, reliability bins of the probabilities that a label holds, and each row's mean negative log-likelihood over its labels.
pub(super) fn score(probabilities: &ClassProbabilities, truth: &[Vec<usize>]) -> Result<FoundScores> {
    let scores = MultiLabelScores::of(probabilities, truth, Binning::default())?;
    let labels = scores.labels.len();
    let classes = label_classes(truth, labels)?;
    let mut reliability = ReliabilityTable::new(Binning::default())?;
    let mut row_losses = vec![0.0; truth.len()];
    for (pair, (row, class)) in probabilities.rows().zip(&classes).enumerate() {
        reliability.update(row[1], *class == 1)?;
        row_losses[pair / labels] -= row[*class].max(f64::EPSILON).ln() / labels as f64;
    }
    Ok(FoundScores {
        scores: TaskScores::Labels(scores),
        reliability: reliability.bins(),
        row_losses,
        answers: Vec::new(),
    })
}
