//! Scores of probabilities: accuracy family, proper scores, calibration, ensembles, bootstrap, reports.

pub mod calibration;
mod error;
pub mod report;

pub use error::EvalError;
