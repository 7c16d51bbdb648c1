//! A temperature that is only offered where it helps on rows that it was not fitted on.
//!
//! The temperature with the smallest loss on some rows always looks good on these rows. Where nearly all of them are right it goes
//! towards 0, and the first wrong row of a test set then costs more than all others together gain. So here
//!
//! 1. the fit is regularized: a normal prior on `ln T` around 0 (so around `T = 1`) outweighs a few rows, not many;
//! 2. it is bounded, as every fitted temperature ([`SMALLEST_FITTED_TEMPERATURE`](super::SMALLEST_FITTED_TEMPERATURE) to its inverse);
//! 3. its gain is cross-fitted: each tenth of the rows is scored with a temperature fitted on the other nine tenths;
//! 4. it is offered only if that gain is positive and the rows contradict `T = 1` beyond chance. Chance is what happens to a model that
//!    needs no temperature: its labels are as if drawn from its own probabilities. Then the slopes `d ln p_y / d ln T` at `T = 1` have
//!    mean 0 and a known variance, and `z = Σ slopes / √(Σ variances)` is compared with a standard normal (Rao's score test).

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;

use super::likelihood::{LabelledLogits, Likelihood};
use super::{GRID_STEPS, lowest, lowest_beside};
use crate::probabilities::check_labels;
use crate::student::{mean, variance_of_mean};
use crate::{Average, EvalError, Predictions};

/// Rows below which no temperature is offered.
pub const FEWEST_ROWS: usize = 20;
/// Standard deviation of the prior of `ln T`: before any row is seen, two of three temperatures lie between 0.6 and 1.6.
pub const PRIOR_DEVIATION: f64 = 0.5;
/// Parts that the rows are cut into.
pub const FOLDS: usize = 10;
/// Probability at which a contradiction counts as beyond chance.
pub const SIGNIFICANCE: f64 = 0.05;

/// A temperature at which all classes that a row can have are as good as equal, and those that it cannot have are still out; more where
/// logits are huge.
const FLATTEST: f64 = 1e3;

/// Whether a temperature should be used, and what each row loses then.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedTemperature {
    /// The temperature, or why there is none.
    pub outcome: TemperatureOutcome,
    /// `[examples]`: the negative log-likelihood in nats of each row with what is offered, under a temperature fitted without this row;
    /// at temperature 1 where none is offered. Their mean is an honest validation loss.
    pub row_losses: Vec<f64>,
}

/// A temperature, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TemperatureOutcome {
    /// Use this temperature.
    Fitted {
        /// Divide the logits by it.
        temperature: f64,
        /// What it brings, cross-fitted: mean loss at temperature 1 minus that with a temperature fitted on other rows, in nats.
        gain: f64,
        /// Standard error of the gain over rows.
        gain_error: f64,
        /// How often rows of a model that needs no temperature look as if it needed one at least as much.
        p_value: f64,
    },
    /// There are too few rows to say anything.
    TooFewRows {
        /// How many there are.
        rows: usize,
        /// How many are needed, at least ([`FEWEST_ROWS`]).
        needed: usize,
    },
    /// Every row is right, so nothing says how sure is too sure.
    AllRight {
        /// How many rows there are.
        rows: usize,
    },
    /// No temperature makes the probabilities better than equal ones for all classes.
    WorseThanGuessing {
        /// Share of right rows.
        accuracy: f64,
        /// Mean loss of the rows in nats.
        loss: f64,
        /// Mean loss of equal probabilities.
        guess: f64,
    },
    /// A temperature brings nothing on rows that it was not fitted on, or no more than chance explains.
    NoGain {
        /// What it would bring, cross-fitted, in nats.
        gain: f64,
        /// How often rows of a model that needs no temperature look as if it needed one at least as much.
        p_value: f64,
    },
}

impl TemperatureOutcome {
    /// What to divide the logits by; none where 1 is the best that is known.
    pub fn temperature(&self) -> Option<f64> {
        match self {
            Self::Fitted { temperature, .. } => Some(*temperature),
            _ => None,
        }
    }
}

impl fmt::Display for TemperatureOutcome {
    /// One clause, without what it is about: "T = 1.42, which lowers the loss …", or why there is no temperature.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fitted {
                temperature,
                gain,
                gain_error,
                p_value,
            } => {
                write!(
                    formatter,
                    "T = {temperature:.3}, which lowers the loss by {gain:.3} ± {gain_error:.3} nats on rows that it was not fitted on"
                )?;
                if gain < gain_error {
                    // It is the other condition that decides.
                    write!(
                        formatter,
                        " (taken because the labels contradict T = 1, p = {p_value:.3})"
                    )?;
                }
                Ok(())
            }
            Self::TooFewRows { rows, needed } => write!(
                formatter,
                "no temperature: {rows} {} too few, give at least {needed}",
                if *rows == 1 { "row is" } else { "rows are" }
            ),
            Self::AllRight { rows } => write!(
                formatter,
                "no temperature: all {rows} rows are right, and only wrong ones tell how sure is too sure"
            ),
            Self::WorseThanGuessing {
                accuracy,
                loss,
                guess,
            } => write!(
                formatter,
                "no temperature: at none are the predictions better than equal probabilities ({:.0} % right, loss {loss:.3}, equal \
                 probabilities have {guess:.3})",
                100.0 * accuracy
            ),
            Self::NoGain { gain, .. } if *gain <= 0.0 => write!(
                formatter,
                "no temperature: it would raise the loss by {:.4} nats on rows that it was not fitted on",
                0.0 - gain
            ),
            Self::NoGain { gain, p_value } => write!(
                formatter,
                "no temperature: nothing shows beyond chance that the probabilities are off (one would lower the loss by {gain:.4} nats on \
                 rows that it was not fitted on, p = {p_value:.2})"
            ),
        }
    }
}

/// Fits a temperature on validation `predictions` `[members, examples, classes]` and their `labels` `[examples]`, and judges it on rows
/// that it was not fitted on.
///
/// `average` must be the one that will be used. `seed` decides which rows are in a part together; the same seed gives the same bits.
/// A temperature already set on the predictions is ignored.
///
/// ```
/// use lora_eval::{Average, Predictions, TemperatureOutcome, judge_temperature};
/// // Forty rows, each with odds of 55 to 1 (e⁴) for class 0, which is right in three of four.
/// let predictions = Predictions::new(1, 40, 2, [4.0, 0.0].repeat(40))?;
/// let labels: Vec<usize> = (0..40).map(|row| usize::from(row % 4 == 0)).collect();
/// let judged = judge_temperature(&predictions, &labels, Average::Probabilities, 0)?;
/// // Odds of 3 to 1 would be T = 4 / ln 3 = 3.64; the prior holds it a little back.
/// assert!(judged.outcome.temperature().is_some_and(|t| 2.5 < t && t < 3.64));
///
/// let right = judge_temperature(&predictions, &[0; 40], Average::Probabilities, 0)?;
/// assert_eq!(right.outcome, TemperatureOutcome::AllRight { rows: 40 });
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit the predictions.
pub fn judge_temperature(
    predictions: &Predictions,
    labels: &[usize],
    average: Average,
    seed: u64,
) -> Result<JudgedTemperature, EvalError> {
    check_labels(predictions.examples(), predictions.classes(), labels)?;
    let observed = LabelledLogits::new(predictions, labels, average);
    let at_one: Vec<f64> = losses(&observed, 0..observed.examples(), 0.0);
    let without = |outcome| JudgedTemperature {
        outcome,
        row_losses: at_one.clone(),
    };
    let rows = observed.examples();
    if rows < FEWEST_ROWS {
        let needed = FEWEST_ROWS;
        return Ok(without(TemperatureOutcome::TooFewRows { rows, needed }));
    }
    let right = (0..rows).filter(|row| observed.is_right(*row)).count();
    if right == rows {
        return Ok(without(TemperatureOutcome::AllRight { rows }));
    }
    // At a huge temperature all probabilities are equal. If cooling from there raises the loss, the logits point away from the labels.
    let flattest = FLATTEST.max(10.0 * observed.largest_lead());
    let plain = Likelihood::new(&observed, (0..rows).collect(), 0.0).at(flattest.ln());
    if plain.slope < 0.0 {
        return Ok(without(TemperatureOutcome::WorseThanGuessing {
            accuracy: right as f64 / rows as f64,
            loss: mean(at_one.iter().copied()),
            guess: plain.nll,
        }));
    }

    let fit = |rows: Vec<usize>, start: Option<f64>| {
        let likelihood = Likelihood::new(&observed, rows, PRIOR_DEVIATION.powi(-2));
        match start {
            None => lowest(&likelihood, GRID_STEPS).point.log_temperature,
            Some(start) => beside(&likelihood, start),
        }
    };
    let log_temperature = fit((0..rows).collect(), None);
    let mut fitted = at_one.clone();
    let parts = parts(rows, seed);
    for part in 0..FOLDS {
        let (held_out, others) = (0..rows).partition(|row| parts[*row] == part);
        let held_out: Vec<usize> = held_out;
        let elsewhere = fit(others, Some(log_temperature));
        for (row, loss) in held_out
            .iter()
            .zip(losses(&observed, held_out.iter().copied(), elsewhere))
        {
            fitted[*row] = loss;
        }
    }
    let gains: Vec<f64> = at_one
        .iter()
        .zip(&fitted)
        .map(|(one, fitted)| one - fitted)
        .collect();
    let gain = mean(gains.iter().copied());
    let p_value = p_value(&observed);
    if gain <= 0.0 || p_value >= SIGNIFICANCE {
        return Ok(without(TemperatureOutcome::NoGain { gain, p_value }));
    }
    Ok(JudgedTemperature {
        outcome: TemperatureOutcome::Fitted {
            temperature: log_temperature.exp(),
            gain,
            gain_error: variance_of_mean(&gains, gain).sqrt(),
            p_value,
        },
        row_losses: fitted,
    })
}

/// The minimum near a start, within the limits: most rows are the same as those of the start.
fn beside(likelihood: &Likelihood<'_>, start: f64) -> f64 {
    let step = super::grid_step();
    let limit = step * f64::from(GRID_STEPS);
    let mut point = likelihood.at(start);
    loop {
        let downhill = if point.slope > 0.0 { -step } else { step };
        let next = likelihood.at((point.log_temperature + downhill).clamp(-limit, limit));
        if next.nll >= point.nll {
            return lowest_beside(likelihood, point, limit).point.log_temperature;
        }
        point = next;
    }
}

/// For each row its part of [`FOLDS`], which are as equal in size as can be.
pub(crate) fn parts(rows: usize, seed: u64) -> Vec<usize> {
    let mut parts: Vec<usize> = (0..rows).map(|row| row % FOLDS).collect();
    parts.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    parts
}

fn losses(
    observed: &LabelledLogits<'_>,
    rows: impl Iterator<Item = usize>,
    log_temperature: f64,
) -> Vec<f64> {
    rows.map(|row| 0.0 - observed.row(row, log_temperature).log_likelihood)
        .collect()
}

/// Of Rao's score test of `T = 1`, on both sides.
fn p_value(observed: &LabelledLogits<'_>) -> f64 {
    let rows = 0..observed.examples();
    let slopes: f64 = rows.clone().map(|row| observed.row(row, 0.0).slope).sum();
    let variances: f64 = rows.map(|row| observed.slope_variance(row)).sum();
    if variances > 0.0 {
        erfc(slopes.abs() / (2.0 * variances).sqrt())
    } else if slopes == 0.0 {
        1.0
    } else {
        // Probabilities of 1 in double precision, and rows that are wrong.
        0.0
    }
}

#[cfg(test)]
mod tests;
