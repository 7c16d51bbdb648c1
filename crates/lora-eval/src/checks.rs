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

/// [`EvalError::AxisTooShort`] of an axis of which there is nothing.
pub(crate) fn none_of(axis: &'static str) -> EvalError {
    EvalError::AxisTooShort {
        axis,
        found: 0,
        minimum: 1,
    }
}

/// [`EvalError::ConfidenceLevel`] unless a level is between 0 and 1.
pub(crate) fn level_within(level: f64) -> Result<(), EvalError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(EvalError::ConfidenceLevel { found: level })
}

/// The values of the first method less those of the second, one an example.
pub(crate) fn paired_differences(first: &[f64], second: &[f64]) -> Result<Vec<f64>, EvalError> {
    same_count("the list of the second method", first.len(), second.len())?;
    let pairs = first.iter().zip(second);
    Ok(pairs.map(|(first, second)| first - second).collect())
}

/// A difference of two methods, unless it is NaN or infinite ([`EvalError::DifferenceNotFinite`]); `resample`: in which draw.
pub(crate) fn finite_difference(value: f64, resample: Option<usize>) -> Result<f64, EvalError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(EvalError::DifferenceNotFinite { resample, value })
}

/// [`EvalError::ClassCount`] unless `what` has as many classes as what stands beside it.
pub(crate) fn same_classes(what: &'static str, expected: usize, found: usize) -> Result<(), EvalError> {
    if expected == found {
        return Ok(());
    }
    Err(EvalError::ClassCount {
        what,
        expected,
        found,
    })
}

/// [`EvalError::ClassOutOfRange`] unless what was found is one of the classes.
pub(crate) fn is_class(
    what: &'static str,
    example: u64,
    found: usize,
    classes: usize,
) -> Result<(), EvalError> {
    if found < classes {
        return Ok(());
    }
    Err(EvalError::ClassOutOfRange {
        what,
        example,
        found,
        classes,
    })
}

/// [`EvalError::ValueNotFinite`] for NaN and infinity.
pub(crate) fn is_finite(what: &'static str, example: usize, value: f64) -> Result<(), EvalError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(EvalError::ValueNotFinite { what, example, value })
}

/// [`EvalError::ConfidenceOutOfRange`] unless a confidence is a probability.
pub(crate) fn is_confidence(example: u64, value: f64) -> Result<(), EvalError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(EvalError::ConfidenceOutOfRange { example, value })
}

/// [`EvalError::OutOfRange`] unless a setting or a value is `expected`.
pub(crate) fn require(
    holds: bool,
    what: &'static str,
    found: f64,
    expected: &'static str,
) -> Result<(), EvalError> {
    if holds {
        return Ok(());
    }
    Err(EvalError::OutOfRange {
        what,
        found,
        expected,
    })
}
