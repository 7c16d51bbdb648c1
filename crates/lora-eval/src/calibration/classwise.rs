//! Class-wise calibration error: are the probabilities of every class right, not of the top class alone?

use super::{Binning, ReliabilityTable};
use crate::EvalError;
use crate::checks::same_classes;
use crate::probabilities::check_distribution;

/// One reliability table a class: of the probability of the class, and whether it is the label (Kull et al. 2019,
/// [1910.12656](https://arxiv.org/abs/1910.12656)).
///
/// ```text
/// class-wise ECE = 1/C Σ_c Σ_b n_bc/n · |share of label c in the bin − mean p_c in the bin|
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ClasswiseCalibration {
    tables: Vec<ReliabilityTable>,
}

impl ClasswiseCalibration {
    /// No examples yet.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] for a bad binning.
    pub fn new(classes: usize, binning: Binning) -> Result<Self, EvalError> {
        let table = ReliabilityTable::new(binning)?;
        Ok(Self {
            tables: vec![table; classes],
        })
    }

    /// Adds one example: its predicted distribution `[classes]` and its label.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] for another number of classes, [`EvalError::ProbabilityOutOfRange`] or [`EvalError::ProbabilitySum`] for
    /// a row that is no distribution. Nothing is added then.
    pub fn update(&mut self, predicted: &[f64], label: usize) -> Result<(), EvalError> {
        same_classes("the predicted distribution", self.tables.len(), predicted.len())?;
        check_distribution(0, predicted)?;
        for (class, (table, probability)) in self.tables.iter_mut().zip(predicted).enumerate() {
            table.update(*probability, class == label)?;
        }
        Ok(())
    }

    /// Adds the examples of another over the same classes and binning.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] or [`EvalError::BinningMismatch`] if they differ. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        same_classes("the other calibration", self.tables.len(), other.tables.len())?;
        // All have one binning, so that the first refuses where any would.
        self.tables
            .iter_mut()
            .zip(&other.tables)
            .try_for_each(|(into, from)| into.merge(from))
    }

    /// The mean over classes of their expected calibration errors, a fraction.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn ece(&self) -> Result<f64, EvalError> {
        let errors = self
            .tables
            .iter()
            .map(ReliabilityTable::ece)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(errors.iter().sum::<f64>() / errors.len() as f64)
    }
}
