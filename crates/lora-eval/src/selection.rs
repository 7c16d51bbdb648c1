//! Which of several ways to predict should be used: the simplest one, unless another is better beyond chance.
//!
//! The way with the smallest validation loss is often only the luckiest. [`select`] wants the ways in order from the simplest, and their
//! losses on validation rows that neither weights nor temperatures were fitted on ([`judge_temperature`](crate::judge_temperature) gives
//! such losses). A way qualifies if its loss is below that of the first one beyond chance. Of those that qualify the one with the smallest
//! loss is taken, or a simpler one that qualifies too and is not worse than it beyond chance. If none does, it is the first.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::{at_least, finite_difference, level_within, same_count};
use crate::student::{mean, squares, t_quantile};

/// Level of the intervals of [`select`]: a loss that is not lower looks lower in 5 of 100 cases.
pub const LEVEL: f64 = 0.9;

/// A difference of mean losses with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossDifference {
    /// Mean loss of the first way minus that of the second.
    pub difference: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

/// What [`select`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Index of the way to use.
    pub chosen: usize,
    /// `[ways]`: loss of each minus that of the first; the first one's is 0.
    pub against_first: Vec<LossDifference>,
}

impl LossDifference {
    /// Of two ways on the same rows: lists `[seeds][rows]` of losses. The rows of one seed need not be those of another.
    ///
    /// The difference varies with the rows and with the trainings. Let `σ²` be its variance over rows within a seed, `τ²` that of the
    /// seeds' own means beyond what rows explain (0 at least): the squared standard error is `σ²/N + τ²/S` for N rows of S seeds in all,
    /// with Satterthwaite's degrees of freedom.
    ///
    /// # Errors
    /// [`EvalError::ConfidenceLevel`] unless the level is between 0 and 1, [`EvalError::AxisTooShort`] without seeds or for a seed with
    /// fewer than two rows, [`EvalError::ExampleCount`] if both ways differ in seeds or rows, [`EvalError::DifferenceNotFinite`] for NaN
    /// or infinity.
    pub fn of(first: &[Vec<f64>], second: &[Vec<f64>], level: f64) -> Result<Self, EvalError> {
        level_within(level)?;
        let each = differences(first, second)?;
        let rows: usize = each.iter().map(Vec::len).sum();
        let (n, seeds) = (rows as f64, each.len() as f64);
        let difference = finite_difference(each.iter().flatten().sum::<f64>() / n, None)?;
        let means: Vec<f64> = each.iter().map(|rows| mean(rows.iter().copied())).collect();
        let within = each.iter().zip(&means);
        let within: f64 = within.map(|(rows, mean)| squares(rows, *mean)).sum::<f64>() / (n - seeds);
        let of_rows = within / n;
        let mut of_seeds = 0.0;
        if each.len() > 1 {
            let between = squares(&means, mean(means.iter().copied())) / (seeds - 1.0);
            of_seeds = (between - within * seeds / n).max(0.0) / seeds;
        }
        let variance = of_rows + of_seeds;
        let spread = of_rows.powi(2) / (n - seeds) + of_seeds.powi(2) / (seeds - 1.0).max(1.0);
        let mut half = 0.0;
        if spread > 0.0 {
            let quantile = t_quantile(f64::midpoint(1.0, level), variance.powi(2) / spread);
            half = variance.sqrt() * quantile.ok_or(EvalError::ConfidenceLevel { found: level })?;
        }
        Ok(Self {
            difference,
            lower: difference - half,
            upper: difference + half,
        })
    }

    /// Whether the first way's loss is smaller beyond chance.
    pub fn is_lower(&self) -> bool {
        self.upper < 0.0
    }
}

/// Selects among ways to predict, from the simplest: for each a list `[seeds][rows]` of losses on validation rows, in the same order.
///
/// ```
/// use lora_eval::selection::select;
/// // One seed, five rows. The third way is better everywhere; the second only on average, by a single row.
/// let simplest = vec![vec![0.9, 0.8, 1.1, 1.2, 0.7]];
/// let lucky = vec![vec![1.0, 0.9, 0.1, 1.3, 0.8]];
/// let better = vec![vec![0.4, 0.3, 0.5, 0.8, 0.3]];
/// assert_eq!(select(&[simplest.clone(), lucky.clone(), better])?.chosen, 2);
/// assert_eq!(select(&[simplest, lucky])?.chosen, 0);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::NoExamples`] without a way, otherwise as [`LossDifference::of`].
pub fn select(losses: &[Vec<Vec<f64>>]) -> Result<Selection, EvalError> {
    let simplest = losses
        .first()
        .ok_or(EvalError::NoExamples { metric: "selection" })?;
    let against_first = losses
        .iter()
        .map(|way| LossDifference::of(way, simplest, LEVEL))
        .collect::<Result<Vec<_>, _>>()?;
    let qualified: Vec<usize> = (1..losses.len())
        .filter(|way| against_first[*way].is_lower())
        .collect();
    let lowest = |left: &&usize, right: &&usize| {
        let of = |way: usize| against_first[way].difference;
        of(**left).total_cmp(&of(**right))
    };
    let mut chosen = 0;
    if let Some(best) = qualified.iter().min_by(lowest) {
        for way in &qualified {
            chosen = *way;
            if way == best || !LossDifference::of(&losses[*best], &losses[*way], LEVEL)?.is_lower() {
                break;
            }
        }
    }
    Ok(Selection {
        chosen,
        against_first,
    })
}

/// `[seeds][rows]`
fn differences(first: &[Vec<f64>], second: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, EvalError> {
    same_count("the seeds of the second way", first.len(), second.len())?;
    at_least("seeds", first.len(), 1)?;
    let of_seed = |(first, second): (&Vec<f64>, &Vec<f64>)| {
        same_count("the rows of the second way", first.len(), second.len())?;
        at_least("rows of a seed", first.len(), 2)?;
        Ok(first
            .iter()
            .zip(second)
            .map(|(first, second)| first - second)
            .collect())
    };
    first.iter().zip(second).map(of_seed).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn the_interval_of_one_seed_is_that_of_a_mean() {
        // Differences 1, 2, 3, 6: mean 3, variance 14/3, standard error √(14/12); t(0.95, 3) = 2.353363.
        let first = [vec![1.0, 2.0, 3.0, 6.0]];
        let second = [vec![0.0; 4]];
        let found = LossDifference::of(&first, &second, 0.9).unwrap();
        let half = 2.353_363 * (14.0_f64 / 12.0).sqrt();
        assert!((found.difference - 3.0).abs() < 1e-12);
        assert!((found.upper - 3.0 - half).abs() < 1e-5 && (found.lower - 3.0 + half).abs() < 1e-5);
    }

    #[test]
    fn seeds_that_differ_more_than_their_rows_explain_widen_the_interval() {
        let zeros = [vec![0.0; 50], vec![0.0; 50], vec![0.0; 50]];
        let around = |center: f64| -> Vec<f64> {
            let rows = 0..50;
            rows.map(|row| center + if row % 2 == 0 { 0.1 } else { -0.1 })
                .collect()
        };
        let alike = [around(-0.2), around(-0.2), around(-0.2)];
        let apart = [around(-0.5), around(-0.2), around(0.1)];
        let of = |losses: &[Vec<f64>]| LossDifference::of(losses, &zeros, 0.9).unwrap();
        assert!(of(&alike).is_lower());
        assert!((of(&alike).difference - of(&apart).difference).abs() < 1e-12);
        assert!(!of(&apart).is_lower());
    }

    #[test]
    fn a_simpler_way_that_is_nearly_as_good_is_taken() {
        let rows = |offset: f64| {
            vec![
                (0..40)
                    .map(|row| offset + f64::from(row % 7) * 0.1)
                    .collect::<Vec<_>>(),
            ]
        };
        // The last one is better than the second by 0.001 on average, and by chance.
        let noisy = vec![
            (0..40)
                .map(|row| 0.499 + f64::from(row % 7) * 0.1 + if row % 2 == 0 { 0.2 } else { -0.2 })
                .collect::<Vec<_>>(),
        ];
        assert_eq!(select(&[rows(1.0), rows(0.5), noisy.clone()]).unwrap().chosen, 1);
        assert_eq!(select(&[rows(1.0), noisy, rows(0.4)]).unwrap().chosen, 2);
        assert_eq!(select(&[rows(1.0)]).unwrap().chosen, 0);
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let rows = vec![vec![0.5, 0.25]];
        assert!(select(&[]).is_err());
        assert!(select(&[rows.clone(), vec![vec![0.5]]]).is_err());
        assert!(select(&[rows.clone(), vec![]]).is_err());
        assert!(select(&[vec![vec![0.5]]]).is_err());
        assert!(LossDifference::of(&rows, &rows, 1.0).is_err());
        assert!(select(&[vec![vec![f64::NAN, 0.5]]]).is_err());
    }
}
