//! A rising function of a probability by pooling neighbours that fall.

use serde::{Deserialize, Serialize};

/// A rising function through points, on lines between them and constant outside of them: what scikit-learn's `IsotonicRegression` is
/// with `out_of_bounds="clip"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFunction {
    /// Probabilities, rising.
    places: Vec<f64>,
    /// Values at them, not falling.
    values: Vec<f64>,
}

/// Probabilities nearer than this are the same one, as in scikit-learn.
const SAME: f64 = 1e-15;

/// Neighbours with one value.
#[derive(Clone, Copy)]
struct Pool {
    first: f64,
    last: f64,
    sum: f64,
    weight: f64,
}

impl Pool {
    fn mean(&self) -> f64 {
        self.sum / self.weight
    }
}

impl StepFunction {
    /// The rising function with the smallest squared distance from what holds (1) and what does not (0) at some probabilities.
    pub(super) fn fit(mut rows: Vec<(f64, bool)>) -> Self {
        rows.sort_by(|left, right| left.0.total_cmp(&right.0));
        // Equal probabilities have one value.
        let mut distinct: Vec<Pool> = Vec::new();
        for (place, holds) in rows {
            let holds = f64::from(u8::from(holds));
            match distinct.last_mut().filter(|last| place - last.first < SAME) {
                Some(last) => {
                    last.sum += holds;
                    last.weight += 1.0;
                }
                None => distinct.push(Pool {
                    first: place,
                    last: place,
                    sum: holds,
                    weight: 1.0,
                }),
            }
        }
        let mut pools: Vec<Pool> = Vec::new();
        for mut pool in distinct {
            while let Some(before) = pools.pop_if(|before| before.mean() >= pool.mean()) {
                pool = Pool {
                    first: before.first,
                    sum: before.sum + pool.sum,
                    weight: before.weight + pool.weight,
                    ..pool
                };
            }
            pools.push(pool);
        }
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for pool in pools {
            let ends = if pool.first < pool.last {
                &[pool.first, pool.last][..]
            } else {
                &[pool.first][..]
            };
            places.extend(ends);
            values.extend(vec![pool.mean(); ends.len()]);
        }
        Self { places, values }
    }

    /// Its value at a probability.
    pub(super) fn at(&self, probability: f64) -> f64 {
        let after = self.places.partition_point(|place| *place <= probability);
        let last = self.places.len() - 1;
        match after {
            0 => self.values[0],
            after if after > last => self.values[last],
            after => {
                let (left, right) = (self.places[after - 1], self.places[after]);
                let share = (probability - left) / (right - left);
                self.values[after - 1] + share * (self.values[after] - self.values[after - 1])
            }
        }
    }

    /// Whether it has a value at each of its places, and one at least.
    pub(super) fn is_whole(&self) -> bool {
        !self.places.is_empty() && self.places.len() == self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_fall_are_pooled() {
        // At 0.2 nothing holds; 1, 0, 1 from 0.4 to 0.6 have means 1/2 and 1.
        let found = StepFunction::fit(vec![(0.5, false), (0.2, false), (0.4, true), (0.6, true)]);
        assert_eq!(found.places, [0.2, 0.4, 0.5, 0.6]);
        assert_eq!(found.values, [0.0, 0.5, 0.5, 1.0]);
        for (place, value) in [(0.0, 0.0), (0.3, 0.25), (0.45, 0.5), (0.55, 0.75), (1.0, 1.0)] {
            assert!(
                (found.at(place) - value).abs() < 1e-12,
                "{} at {place}",
                found.at(place)
            );
        }
    }

    #[test]
    fn equal_probabilities_have_one_value() {
        let found = StepFunction::fit(vec![(0.5, true), (0.5, false), (0.5, false), (0.5, true)]);
        assert_eq!((found.places, found.values), (vec![0.5], vec![0.5]));
    }
}
