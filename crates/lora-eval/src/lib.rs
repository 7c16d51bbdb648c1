//! Scores of probabilities: accuracy family, proper scores, calibration, ensembles, bootstrap, reports.

pub mod calibration;
pub mod report;
