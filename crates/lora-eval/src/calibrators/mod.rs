//! Calibrators with more than one number: maps from class probabilities to class probabilities, fitted on validation rows.
//!
//! They take the averaged probabilities of [`Predictions`](crate::Predictions), so one definition holds for a single pass and for an
//! ensemble. With `x = ln p` of a row and C classes:
//!
//! ```text
//! vector scaling   softmax(w ⊙ x + b)         2 C parameters (Guo et al. 2017)
//! Dirichlet        softmax(W x + b)           C² + C parameters (Kull et al. 2019)
//! isotonic         f_c(p_c) / Σ_k f_k(p_k)    a rising step function a class (Zadrozny & Elkan 2002)
//! ```
//!
//! The more parameters, the more rows they need: [`judge_calibrator`] scores each on rows that it was not fitted on, as
//! [`judge_temperature`](crate::judge_temperature) does.

mod affine;
mod isotonic;
mod judged;
mod lbfgs;

use serde::{Deserialize, Serialize};

pub use self::affine::{DirichletPenalty, VectorPrior};
use self::affine::{fit_dirichlet, fit_vector, scaled};
use self::isotonic::StepFunction;
pub use self::judged::{JudgedCalibrator, judge_calibrator};
use self::lbfgs::product;
use crate::checks::same_classes;
use crate::probabilities::check_labels;
use crate::{ClassProbabilities, EvalError};

/// Probabilities below this, and above 1 minus this, are moved there by isotonic maps: a step at 0 would call a class impossible.
pub const ISOTONIC_FLOOR: f64 = 1e-6;

/// Which calibrator is fitted, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "calibrator", rename_all = "snake_case")]
pub enum CalibratorKind {
    /// A factor and a summand a class.
    Vector(VectorPrior),
    /// A matrix and a summand a class.
    Dirichlet(DirichletPenalty),
    /// A step function a class.
    Isotonic,
}

/// A fitted map from class probabilities to class probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "calibrator", rename_all = "snake_case")]
pub enum Calibrator {
    /// `softmax(w ⊙ ln p + b)`.
    Vector {
        /// w, `[classes]`.
        weights: Vec<f64>,
        /// b, `[classes]`.
        bias: Vec<f64>,
    },
    /// `softmax(W ln p + b)`.
    Dirichlet {
        /// W, `[classes, classes]`: a row for each class of the result.
        weights: Vec<Vec<f64>>,
        /// b, `[classes]`.
        bias: Vec<f64>,
    },
    /// Step functions, made to sum to 1.
    Isotonic {
        /// `[classes]`.
        steps: Vec<StepFunction>,
    },
}

impl CalibratorKind {
    /// Its name in a sentence.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vector(_) => "vector scaling",
            Self::Dirichlet(_) => "Dirichlet",
            Self::Isotonic => "isotonic",
        }
    }

    /// How many parameters are fitted for so many classes; none where the rows decide.
    pub fn parameters(&self, classes: usize) -> Option<usize> {
        match self {
            Self::Vector(_) => Some(2 * classes),
            Self::Dirichlet(_) => Some(classes * classes + classes),
            Self::Isotonic => None,
        }
    }

    /// Fits it on validation `probabilities` `[examples, classes]` and their `labels` `[examples]`.
    ///
    /// ```
    /// use lora_eval::ClassProbabilities;
    /// use lora_eval::calibrators::{CalibratorKind, VectorPrior};
    /// // Odds of 9 to 1 for class 0, right in three of four rows: odds of 3 to 1.
    /// let rows = ClassProbabilities::new(40, 2, [0.9, 0.1].repeat(40))?;
    /// let labels: Vec<usize> = (0..40).map(|row| usize::from(row % 4 == 0)).collect();
    /// let fitted = CalibratorKind::Vector(VectorPrior::NONE).fit(&rows, &labels)?;
    /// assert!((fitted.apply(&rows)?.row(0)[0] - 0.75).abs() < 1e-8);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit, [`EvalError::OutOfRange`] for a prior or a
    /// penalty that is none.
    pub fn fit(&self, probabilities: &ClassProbabilities, labels: &[usize]) -> Result<Calibrator, EvalError> {
        check_labels(probabilities.examples(), probabilities.classes(), labels)?;
        match self {
            Self::Vector(prior) => fit_vector(probabilities, labels, *prior),
            Self::Dirichlet(penalty) => fit_dirichlet(probabilities, labels, *penalty),
            Self::Isotonic => Ok(Calibrator::Isotonic {
                steps: (0..probabilities.classes())
                    .map(|class| {
                        let rows = probabilities.rows().zip(labels);
                        StepFunction::fit(rows.map(|(row, label)| (row[class], *label == class)).collect())
                    })
                    .collect(),
            }),
        }
    }
}

impl Calibrator {
    /// The calibrated probabilities `[examples, classes]`.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] for another number of classes than in the fit, [`EvalError::ProbabilitySum`] if parameters of the map are
    /// not finite.
    pub fn apply(&self, probabilities: &ClassProbabilities) -> Result<ClassProbabilities, EvalError> {
        let classes = probabilities.classes();
        same_classes("the calibrator", classes, self.classes().unwrap_or(0))?;
        let of_row = |row: &[f64]| match self {
            Self::Vector { weights, bias } => scaled(row, bias, |class, logs| weights[class] * logs[class]),
            Self::Dirichlet { weights, bias } => {
                scaled(row, bias, |class, logs| product(&weights[class], logs))
            }
            Self::Isotonic { steps } => {
                let held: Vec<f64> = steps.iter().zip(row).map(|(step, p)| step.at(*p)).collect();
                normalized(&held)
            }
        };
        let values = probabilities.rows().flat_map(of_row).collect();
        ClassProbabilities::new(probabilities.examples(), classes, values)
    }

    /// How many classes it is for; none if its parts differ.
    fn classes(&self) -> Option<usize> {
        let (classes, fits) = match self {
            Self::Vector { weights, bias } => (weights.len(), bias.len() == weights.len()),
            Self::Dirichlet { weights, bias } => {
                let is_square = weights.iter().all(|row| row.len() == weights.len());
                (weights.len(), is_square && bias.len() == weights.len())
            }
            Self::Isotonic { steps } => (steps.len(), steps.iter().all(StepFunction::is_whole)),
        };
        fits.then_some(classes)
    }
}

/// Shares of the sum, moved away from 0 and 1.
fn normalized(values: &[f64]) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    let share = |value: &f64| if sum > 0.0 { value / sum } else { 0.0 };
    let shares: Vec<f64> = values
        .iter()
        .map(|value| share(value).clamp(ISOTONIC_FLOOR, 1.0 - ISOTONIC_FLOOR))
        .collect();
    let sum: f64 = shares.iter().sum();
    shares.iter().map(|share| share / sum).collect()
}
