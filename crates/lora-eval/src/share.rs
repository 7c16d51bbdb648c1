//! Shares, and how certain a share of right answers is.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::EvalError;
use crate::checks::{level_within, refuse_empty};

/// `part / whole`; 0 of nothing.
pub(crate) fn share_of(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// Wilson's score interval of a share: `right` of `examples`, each right or wrong by itself (Wilson 1927). It stays between 0 and 1, and
/// holds near the ends, where `p ± z √(p (1 − p) / n)` does not.
///
/// ```
/// let [lower, upper] = lora_eval::share_interval(81, 263, 0.95)?;
/// assert!((lower - 0.2553).abs() < 5e-5 && (upper - 0.3662).abs() < 5e-5);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::NoExamples`] without examples, [`EvalError::ConfidenceLevel`] for a level that is not between 0 and 1.
///
/// # Panics
/// Panics if more are right than there are.
pub fn share_interval(right: u64, examples: u64, level: f64) -> Result<[f64; 2], EvalError> {
    refuse_empty("interval of a share", examples == 0)?;
    level_within(level)?;
    assert!(right <= examples, "no more are right than there are");
    let z = Normal::standard().inverse_cdf(f64::midpoint(1.0, level));
    let (n, share) = (examples as f64, right as f64 / examples as f64);
    let middle = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    Ok([
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    ])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3.
    #[test]
    fn the_intervals_are_those_of_newcombe() {
        let published = [
            (81, 263, [0.2553, 0.3662]),
            (15, 148, [0.0624, 0.1605]),
            (0, 20, [0.0, 0.1611]),
            (1, 29, [0.0061, 0.1718]),
        ];
        for (right, examples, expected) in published {
            let found = share_interval(right, examples, 0.95).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 5.1e-5,
                    "{right}/{examples}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_share_or_no_level_is_refused() {
        assert!(matches!(
            share_interval(0, 0, 0.95),
            Err(EvalError::NoExamples { .. })
        ));
        assert!(matches!(
            share_interval(1, 2, 1.0),
            Err(EvalError::ConfidenceLevel { .. })
        ));
    }
}
