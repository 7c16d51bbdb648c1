//! How far the coverage of the sets of some validation rows may be from the promise.

use statrs::distribution::{Beta, ContinuousCDF};

use super::fewest_rows;
use super::thresholds::place;
use crate::EvalError;
use crate::checks::level_within;

/// Halvings of the interval from 0 to 1: as fine as numbers of double precision are.
const HALVINGS: u32 = 53;

/// Between which two shares the coverage of sets lies with probability `level`, where `rows` validation rows gave the threshold for
/// `coverage`. The promise is a mean over all choices of those rows; for the ones at hand the share of new rows whose set holds the true
/// class is a draw from
///
/// ```text
/// Beta(n + 1 − k, k)      n = rows,  k = ⌊(n + 1) (1 − coverage)⌋
/// ```
///
/// (Vovk 2012, [1209.2673](https://arxiv.org/abs/1209.2673); Angelopoulos & Bates, [2107.07511](https://arxiv.org/abs/2107.07511),
/// section 3.2). It is exact for scores without ties; with ties the coverage is higher.
///
/// ```
/// // Nine rows promise 90 % by their largest score, whose rank among new rows is Beta(9, 1): the p-quantile is p^(1/9).
/// let [lower, upper] = lora_eval::conformal::coverage_interval(9, 0.9, 0.95)?;
/// assert!((lower - 0.025_f64.powf(1.0 / 9.0)).abs() < 1e-9);
/// assert!((upper - 0.975_f64.powf(1.0 / 9.0)).abs() < 1e-9);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ConfidenceLevel`] for a coverage or a level that is not between 0 and 1, [`EvalError::TooFewRows`] for fewer rows than
/// the coverage needs.
pub fn coverage_interval(rows: usize, coverage: f64, level: f64) -> Result<[f64; 2], EvalError> {
    level_within(coverage)?;
    level_within(level)?;
    let place = place(rows, coverage);
    let above = (rows + 1).saturating_sub(place);
    let too_few = || EvalError::TooFewRows {
        class: None,
        coverage,
        found: rows,
        needed: fewest_rows(coverage),
    };
    if above == 0 {
        return Err(too_few());
    }
    let beta = Beta::new(place as f64, above as f64).map_err(|_| too_few())?;
    let tail = (1.0 - level) / 2.0;
    Ok([tail, 1.0 - tail].map(|probability| quantile(&beta, probability)))
}

/// By halving: Newton's method, as the library has it, need not end.
fn quantile(beta: &Beta, probability: f64) -> f64 {
    let (mut lower, mut upper) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(lower, upper);
        if beta.cdf(middle) < probability {
            lower = middle;
        } else {
            upper = middle;
        }
    }
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// `scipy.stats.beta.ppf([0.025, 0.975], k, n + 1 - k)` of `SciPy` 1.17.1.
    #[test]
    fn the_quantiles_are_those_of_scipy() {
        for (rows, coverage, expected) in [
            (20, 0.9, [0.751_267_24, 0.987_651_47]),
            (30, 0.8, [0.652_788_3, 0.922_864_49]),
            (1000, 0.9, [0.880_791_52, 0.917_894_67]),
            (10_000, 0.9, [0.894_055_68, 0.905_812_79]),
        ] {
            let found = coverage_interval(rows, coverage, 0.95).unwrap();
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 5e-8,
                    "{rows} rows: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn too_few_rows_promise_nothing() {
        assert!(matches!(
            coverage_interval(8, 0.9, 0.95),
            Err(EvalError::TooFewRows { needed: 9, .. })
        ));
        assert!(matches!(
            coverage_interval(20, 0.9, 1.0),
            Err(EvalError::ConfidenceLevel { .. })
        ));
    }
}
