//! Mean squared and mean absolute error.

use super::check_finite;
use crate::EvalError;
use crate::checks::refuse_empty;

/// Sums of squared and absolute errors.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RegressionErrors {
    count: u64,
    squared: f64,
    absolute: f64,
}

impl RegressionErrors {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one example.
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn update(&mut self, prediction: f64, target: f64) -> Result<(), EvalError> {
        check_finite(self.count, prediction, target)?;
        self.count += 1;
        self.squared += (prediction - target).powi(2);
        self.absolute += (prediction - target).abs();
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.squared += other.squared;
        self.absolute += other.absolute;
    }

    /// Mean squared error, in the squared unit of the targets.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn mse(&self) -> Result<f64, EvalError> {
        self.mean(self.squared, "mean squared error")
    }

    /// Mean absolute error, in the unit of the targets.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without examples.
    pub fn mae(&self) -> Result<f64, EvalError> {
        self.mean(self.absolute, "mean absolute error")
    }

    fn mean(&self, sum: f64, metric: &'static str) -> Result<f64, EvalError> {
        refuse_empty(metric, self.count == 0)?;
        Ok(sum / self.count as f64)
    }
}
