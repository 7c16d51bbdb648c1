//! Which method is best over several tasks? Metrics of different tasks can't be averaged; their ranks can (Demšar 2006).

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::regression::average_ranks;

/// Whether a larger or a smaller score is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Accuracy, F1, correlation…
    Maximize,
    /// NLL, ECE, risk…
    Minimize,
}

/// Ranks of methods over tasks: 1 is the best, equal scores share the mean of the ranks they span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankTable {
    /// `[methods][tasks]`: the rank of the method on the task.
    pub ranks: Vec<Vec<f64>>,
    /// `[methods]`: the mean rank over the tasks, 1 to the number of methods. Lower is better.
    pub mean: Vec<f64>,
}

impl RankTable {
    /// Ranks `scores` `[methods][tasks]`; `better` `[tasks]` tells whether a higher or a lower score is better.
    ///
    /// ```
    /// use lora_eval::rank_table::{Direction, RankTable};
    /// // Accuracy on one task, NLL on the other.
    /// let scores = [vec![0.9, 0.30], vec![0.9, 0.25], vec![0.7, 0.40]];
    /// let table = RankTable::of(&scores, &[Direction::Maximize, Direction::Minimize])?;
    /// assert_eq!(table.ranks, [[1.5, 2.0], [1.5, 1.0], [3.0, 3.0]]);
    /// assert_eq!(table.mean, [1.75, 1.25, 3.0]);
    /// # Ok::<(), lora_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ScoreTable`] unless every method has one score for each task, [`EvalError::ScoreNotFinite`] for NaN or infinity.
    pub fn of(scores: &[Vec<f64>], better: &[Direction]) -> Result<Self, EvalError> {
        let (methods, tasks) = (scores.len(), better.len());
        if methods == 0 || tasks == 0 || scores.iter().any(|row| row.len() != tasks) {
            let found = scores.iter().map(Vec::len).sum();
            return Err(EvalError::ScoreTable {
                methods,
                tasks,
                found,
            });
        }
        let mut ranks = vec![Vec::with_capacity(tasks); methods];
        for (task, better) in better.iter().enumerate() {
            let sign = if *better == Direction::Maximize { -1.0 } else { 1.0 };
            let column: Vec<f64> = scores.iter().map(|row| sign * row[task]).collect();
            if let Some(method) = column.iter().position(|value| !value.is_finite()) {
                let value = scores[method][task];
                return Err(EvalError::ScoreNotFinite { method, task, value });
            }
            for (row, rank) in ranks.iter_mut().zip(average_ranks(&column)) {
                row.push(rank);
            }
        }
        let mean = ranks
            .iter()
            .map(|row| row.iter().sum::<f64>() / tasks as f64)
            .collect();
        Ok(Self { ranks, mean })
    }
}

/// Quantile of the studentized range for 2, 3, … methods and infinitely many degrees of freedom, over √2: 5 % of the ranges
/// are larger (scipy 1.17.1, `studentized_range.ppf(0.95, k, inf) / sqrt(2)`; Demšar 2006, table 5a, has the first nine).
const NEMENYI: [f64; 19] = [
    1.960, 2.344, 2.569, 2.728, 2.850, 2.948, 3.031, 3.102, 3.164, 3.219, 3.268, 3.313, 3.354, 3.391, 3.426,
    3.458, 3.489, 3.517, 3.544,
];

/// Nemenyi's critical difference at 5 %: mean ranks of `methods` over `tasks` that lie closer than this do not differ beyond
/// chance (Demšar 2006, section 3.2.2). `None` for fewer than 2 or more than 20 methods, or no task.
///
/// ```
/// // Demšar's own example: four methods on fourteen data sets.
/// let difference = lora_eval::rank_table::critical_difference(4, 14);
/// assert!((difference.unwrap_or_default() - 1.25).abs() < 0.01);
/// ```
pub fn critical_difference(methods: usize, tasks: usize) -> Option<f64> {
    let quantile = NEMENYI.get(methods.checked_sub(2)?)?;
    let k = methods as f64;
    (tasks > 0).then(|| quantile * (k * (k + 1.0) / (6.0 * tasks as f64)).sqrt())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_with_holes_is_refused() {
        use Direction::Maximize;
        for (scores, better) in [
            (vec![], vec![Maximize]),
            (vec![vec![]], vec![]),
            (vec![vec![1.0], vec![1.0, 2.0]], vec![Maximize]),
        ] {
            assert!(matches!(
                RankTable::of(&scores, &better),
                Err(EvalError::ScoreTable { .. })
            ));
        }
        let error = RankTable::of(&[vec![1.0, 2.0], vec![1.0, f64::NAN]], &[Maximize; 2]).unwrap_err();
        assert!(matches!(
            error,
            EvalError::ScoreNotFinite {
                method: 1,
                task: 1,
                ..
            }
        ));
    }

    proptest! {
        #[test]
        fn ranks_of_a_task_sum_to_the_same_whatever_the_ties(
            scores in prop::collection::vec(prop::collection::vec((0_i8..5).prop_map(f64::from), 3), 1..9),
        ) {
            let table = RankTable::of(&scores, &[Direction::Maximize, Direction::Minimize, Direction::Maximize]).unwrap();
            let methods = scores.len() as f64;
            for task in 0..3 {
                let sum: f64 = table.ranks.iter().map(|row| row[task]).sum();
                prop_assert_eq!(sum, methods * (methods + 1.0) / 2.0);
            }
            prop_assert!((table.mean.iter().sum::<f64>() - methods * (methods + 1.0) / 2.0).abs() < 1e-9);
        }
    }
}
