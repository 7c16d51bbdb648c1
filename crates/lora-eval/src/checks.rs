//! What most scores ask of their input, each check once.

use crate::EvalError;

/// [`EvalError::NoExamples`] where there is nothing to score.
pub(crate) fn refuse_empty(metric: &'static str, is_empty: bool) -> Result<(), EvalError> {
    if is_empty {
        return Err(EvalError::NoExamples { metric });
    }
    Ok(())
}

/// [`EvalError::ExampleCount`] unless `what` is as long as what stands beside it.
pub(crate) fn same_count(what: &'static str, expected: usize, found: usize) -> Result<(), EvalError> {
    if expected == found {
        return Ok(());
    }
    Err(EvalError::ExampleCount {
        what,
        expected,
        found,
    })
}

/// [`EvalError::AxisTooShort`] below a length.
pub(crate) fn at_least(axis: &'static str, found: usize, minimum: usize) -> Result<(), EvalError> {
    if found >= minimum {
        return Ok(());
    }
    Err(EvalError::AxisTooShort { axis, found, minimum })
}

/// [`EvalError::ConfidenceLevel`] unless a level is between 0 and 1.
pub(crate) fn level_within(level: f64) -> Result<(), EvalError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(EvalError::ConfidenceLevel { found: level })
}

/// A difference of two methods, unless it is NaN or infinite ([`EvalError::DifferenceNotFinite`]); `resample`: in which draw.
pub(crate) fn finite_difference(value: f64, resample: Option<usize>) -> Result<f64, EvalError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(EvalError::DifferenceNotFinite { resample, value })
}
