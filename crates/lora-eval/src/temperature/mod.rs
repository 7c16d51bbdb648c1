//! Temperature scaling: one number, fitted on validation data, that every logit is divided by (Guo et al. 2017).
//!
//! For one model the negative log-likelihood is minimized over `T` in `softmax(z / T)`. For an ensemble the temperature acts inside
//! of every member, before the average: `p = 1/M Σ_m softmax(z_m / T)`. The top class of a single model doesn't change; that of an
//! ensemble may.

mod judged;
mod likelihood;

use serde::{Deserialize, Serialize};

pub(crate) use self::judged::parts;
pub use self::judged::{
    FEWEST_ROWS, FOLDS, JudgedTemperature, PRIOR_DEVIATION, SIGNIFICANCE, TemperatureOutcome,
    judge_temperature,
};
use self::likelihood::{LabelledLogits, Likelihood, Point, STATIONARY};
use crate::probabilities::check_labels;
use crate::{Average, EvalError, Predictions};

/// The fitted temperature lies between this and its inverse.
pub const SMALLEST_FITTED_TEMPERATURE: f64 = 0.01;

/// How many temperatures are tried on each side of 1 before the search narrows down.
const GRID_STEPS: u32 = 20;
/// The temperature with the smallest negative log-likelihood, and what it brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FittedTemperature {
    /// Divide the logits by it; [`SMALLEST_FITTED_TEMPERATURE`] to its inverse. Give it to [`Predictions::with_temperature`].
    pub temperature: f64,
    /// Mean negative log-likelihood in nats at temperature 1, on the data of the fit. It is computed in logarithms, without the
    /// floor of [`NegativeLogLikelihood`](crate::proper::NegativeLogLikelihood).
    pub nll_before: f64,
    /// The same at the fitted temperature; not above `nll_before` but for rounding.
    pub nll_after: f64,
    /// Steps of the search inside of the bracket.
    pub iterations: u32,
    /// Whether the likelihood really falls off on both sides.
    ///
    /// If not, the data don't determine a temperature. If every label is the top class, the likelihood grows for ever as `T`
    /// falls: the answer is the lower limit (or where the loss no longer changes in double precision). If the logits are worse
    /// than none, it is the upper limit. If they are constant, any temperature is as good and the answer is 1.
    pub has_minimum: bool,
}

/// The plain fit of Guo et al. 2017. For use on other rows take [`judge_temperature`], which does not trust a few rows.
///
/// Fits the temperature on validation `predictions` `[members, examples, classes]` and their `labels` `[examples]`.
///
/// `average` must be the one that will be scored. A temperature already set on the predictions is ignored: the result is for their
/// logits as they are.
///
/// The search: 41 temperatures from 0.01 to 100 evenly in `ln T` find the valley (an ensemble may have more than one); in it
/// Newton's method on the derivative, with bisection whenever Newton leaves the bracket or is slow.
///
/// # Errors
/// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit the predictions.
pub fn fit_temperature(
    predictions: &Predictions,
    labels: &[usize],
    average: Average,
) -> Result<FittedTemperature, EvalError> {
    check_labels(predictions.examples(), predictions.classes(), labels)?;
    let observed = LabelledLogits::new(predictions, labels, average);
    let likelihood = Likelihood::new(&observed, (0..labels.len()).collect(), 0.0);
    let found = lowest(&likelihood, GRID_STEPS);
    let rises = |offset: f64| likelihood.at(found.point.log_temperature + offset).nll > found.point.nll;
    Ok(FittedTemperature {
        temperature: found.point.log_temperature.exp(),
        nll_before: likelihood.at(0.0).nll,
        nll_after: found.point.nll,
        iterations: found.iterations,
        has_minimum: found.is_within_limits && rises(-grid_step()) && rises(grid_step()),
    })
}

/// Distance of two temperatures of the grid in `ln T`.
fn grid_step() -> f64 {
    -SMALLEST_FITTED_TEMPERATURE.ln() / f64::from(GRID_STEPS)
}

/// What the search found.
struct Lowest {
    point: Point,
    iterations: u32,
    is_within_limits: bool,
}

/// The lowest point of a loss within so many steps of the grid around temperature 1.
fn lowest(likelihood: &Likelihood<'_>, steps: u32) -> Lowest {
    let step = grid_step();
    // From 1 outwards, and only a strictly better point wins: where nothing changes, the answer stays next to 1.
    let mut best = likelihood.at(0.0);
    for distance in 1..=steps {
        for log_temperature in [-step * f64::from(distance), step * f64::from(distance)] {
            let point = likelihood.at(log_temperature);
            if point.nll < best.nll {
                best = point;
            }
        }
    }
    lowest_beside(likelihood, best, step * f64::from(steps))
}

/// The lowest point of the valley that a point lies in, if it is less than a step of the grid away.
fn lowest_beside(likelihood: &Likelihood<'_>, best: Point, limit: f64) -> Lowest {
    let step = grid_step();
    let downhill = if best.slope > 0.0 { -step } else { step };
    // Half a step of slack: the outermost grid point must not miss the limit by a rounding.
    let is_within_limits = (best.log_temperature + downhill).abs() < limit + step / 2.0;
    let (point, iterations) = if best.slope.abs() <= STATIONARY || !is_within_limits {
        (best, 0)
    } else {
        likelihood.descend(best, likelihood.at(best.log_temperature + downhill))
    };
    Lowest {
        point,
        iterations,
        is_within_limits,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;
    use crate::proper::NegativeLogLikelihood;

    /// `n` examples of two classes with the same gap between the logits, the first `right` of them labelled as predicted. With a
    /// share q right the best probability is q: the temperature is gap / ln(q / (1 − q)).
    fn constant_gap(gap: f32, right: usize, n: usize) -> (Predictions, Vec<usize>) {
        let logits = [gap, 0.0].repeat(n);
        (
            Predictions::new(1, n, 2, logits).unwrap(),
            (0..n).map(|i| usize::from(i >= right)).collect(),
        )
    }

    #[test]
    fn a_constant_gap_has_the_temperature_of_the_closed_form() {
        for (gap, right) in [(4.0_f32, 13), (0.5, 15), (11.0, 9)] {
            let (predictions, labels) = constant_gap(gap, right, 16);
            let fit = fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
            let odds = right as f64 / (16 - right) as f64;
            let expected = f64::from(gap) / odds.ln();
            assert!(
                (fit.temperature / expected - 1.0).abs() < 1e-10,
                "{fit:?} instead of {expected}"
            );
            assert!(fit.has_minimum && fit.nll_after < fit.nll_before);
            assert!(
                fit.iterations <= 12,
                "{} steps: that is not Newton's method",
                fit.iterations
            );
        }
    }

    #[test]
    fn optimal_logits_keep_temperature_one() {
        // Odds 3 to 1 with three of four right; ln 3 rounds to f32, hence the tolerance.
        let (predictions, labels) = constant_gap(3.0_f32.ln(), 12, 16);
        let fit = fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
        assert!((fit.temperature - 1.0).abs() < 1e-6, "{fit:?}");
        assert!((fit.nll_after - fit.nll_before).abs() < 1e-12);
    }

    #[test]
    fn labels_that_are_all_the_top_class_stop_at_the_lower_limit() {
        let (predictions, labels) = constant_gap(0.5, 16, 16);
        let fit = fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
        assert!(!fit.has_minimum);
        // A gap of 0.5 / 0.01 = 50 costs 2e-22 nats, which is 0 in ln(1 + x); so the search may stop a little before.
        assert!(
            (SMALLEST_FITTED_TEMPERATURE - 1e-15..0.02).contains(&fit.temperature),
            "{fit:?}"
        );
        assert!(fit.nll_after < 1e-12);
    }

    #[test]
    fn logits_worse_than_none_stop_at_the_upper_limit() {
        let (predictions, labels) = constant_gap(2.0, 3, 16);
        let fit = fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
        assert!(
            (fit.temperature * SMALLEST_FITTED_TEMPERATURE - 1.0).abs() < 1e-12 && !fit.has_minimum,
            "{fit:?}"
        );
    }

    #[test]
    fn logits_that_say_nothing_keep_temperature_one() {
        let predictions = Predictions::new(2, 3, 4, vec![0.75; 24]).unwrap();
        let fit = fit_temperature(&predictions, &[0, 3, 1], Average::Probabilities).unwrap();
        assert!((fit.temperature - 1.0).abs() < f64::EPSILON && !fit.has_minimum);
        assert!((fit.nll_after - 4.0_f64.ln()).abs() < 1e-14);
    }

    #[test]
    fn the_temperature_set_before_is_ignored() {
        let (predictions, labels) = constant_gap(4.0, 13, 16);
        let fit = fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
        let softened = predictions.with_temperature(3.0).unwrap();
        assert_eq!(
            fit_temperature(&softened, &labels, Average::Probabilities).unwrap(),
            fit
        );
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let (predictions, mut labels) = constant_gap(4.0, 13, 16);
        labels[5] = 2;
        let error = fit_temperature(&predictions, &labels, Average::Logits).unwrap_err();
        assert!(
            matches!(error, EvalError::ClassOutOfRange { example: 5, .. }),
            "{error}"
        );
        assert!(fit_temperature(&predictions, &labels[1..], Average::Logits).is_err());
    }

    /// The loss as the scores of [`Predictions`] compute it: another way through the code.
    fn nll(predictions: &Predictions, labels: &[usize], average: Average, temperature: f64) -> f64 {
        let probabilities = predictions
            .clone()
            .with_temperature(temperature)
            .unwrap()
            .average(average);
        let mut score = NegativeLogLikelihood::new();
        probabilities
            .rows()
            .zip(labels)
            .for_each(|(row, label)| score.update(row, *label).unwrap());
        score.mean().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn at_the_fitted_temperature_the_loss_is_stationary_and_nowhere_on_the_grid_lower(
            logits in prop::collection::vec(-6.0_f32..6.0, 3 * 10 * 4),
            labels in prop::collection::vec(0_usize..4, 10),
            logits_averaged in any::<bool>(),
        ) {
            let average = if logits_averaged { Average::Logits } else { Average::Probabilities };
            let predictions = Predictions::new(3, 10, 4, logits).unwrap();
            let fit = fit_temperature(&predictions, &labels, average).unwrap();
            let at = |temperature: f64| nll(&predictions, &labels, average, temperature);
            prop_assert!((fit.nll_after - at(fit.temperature)).abs() < 1e-9);
            prop_assert!((fit.nll_before - at(1.0)).abs() < 1e-9);
            if fit.has_minimum {
                let h = 1e-5;
                let slope = (at(fit.temperature * (1.0 + h)) - at(fit.temperature * (1.0 - h))) / (2.0 * h);
                // Central differences are off by h² and by 1e-16 / h.
                prop_assert!(slope.abs() < 1e-8, "{slope} at {fit:?}");
            }
            for step in -20..=20 {
                let other = SMALLEST_FITTED_TEMPERATURE.powf(f64::from(step) / 20.0);
                prop_assert!(fit.nll_after <= at(other) + 1e-12, "{other} beats {fit:?}");
            }
        }
    }
}
