//! Mean, variance and last deviations of a sequence of parameters.

use std::collections::VecDeque;

use lora_core::tensors::HostTensor;

use crate::state::{StateError, TrainingState};

/// The moments of a sequence of vectors, computed without storing the vectors: mean and variance by Welford's recursion, which loses no
/// digits where the variance is small beside the mean.
#[derive(Clone, Debug, PartialEq)]
pub struct SwagMoments {
    count: u64,
    mean: Vec<f64>,
    /// Sums of squared deviations from the mean.
    squares: Vec<f64>,
    columns: VecDeque<Vec<f32>>,
    most_columns: usize,
}

impl SwagMoments {
    /// Nothing seen yet; vectors of this length, at most so many columns.
    pub fn new(length: usize, most_columns: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; length],
            squares: vec![0.0; length],
            columns: VecDeque::new(),
            most_columns,
        }
    }

    /// Takes one more vector.
    ///
    /// # Panics
    ///
    /// Panics if it has another length.
    pub fn add(&mut self, values: &[f64]) {
        assert_eq!(values.len(), self.mean.len(), "vectors of one length");
        self.count += 1;
        let mut column = Vec::with_capacity(values.len());
        for ((value, mean), squares) in values.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let before = value - *mean;
            *mean += before / self.count as f64;
            let after = value - *mean;
            *squares += before * after;
            column.push(after as f32);
        }
        if self.columns.len() == self.most_columns {
            self.columns.pop_front();
        }
        self.columns.push_back(column);
    }

    pub(super) fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        state.put("count", &self.count);
        state.put("columns", &self.columns.len());
        state.put_doubles("mean", self.mean.clone());
        state.put_doubles("squares", self.squares.clone());
        for (place, column) in self.columns.iter().enumerate() {
            let shape = vec![column.len()];
            let values = column.clone();
            state.put_tensor(format!("column.{place}"), HostTensor { shape, values });
        }
        state
    }

    /// The moments of a state, which are those of vectors of the same length.
    pub(super) fn restore(mut self, mut state: TrainingState) -> Result<Self, StateError> {
        let length = self.mean.len();
        self.count = state.take("count")?;
        self.mean = state.take_doubles("mean", length)?;
        self.squares = state.take_doubles("squares", length)?;
        let columns: usize = state.take("columns")?;
        for place in 0..columns {
            let column = state.take_tensor(&format!("column.{place}"), &[length])?;
            self.columns.push_back(column.values);
        }
        state.finish()?;
        Ok(self)
    }

    /// Vectors seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The variance of each number, `E[θ²] − E[θ]²`: the paper's, which divides by the count.
    pub fn variances(&self) -> impl Iterator<Item = f64> {
        self.squares.iter().map(|squares| squares / self.count as f64)
    }

    /// The last vectors, each less the mean at its time, oldest first.
    pub fn columns(&self) -> &VecDeque<Vec<f32>> {
        &self.columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_a_known_sequence_are_those_by_hand() {
        // Means on the way: (1, 4), (2, 3), (3, 2), (4, 3).
        let mut moments = SwagMoments::new(2, 3);
        for values in [[1.0, 4.0], [3.0, 2.0], [5.0, 0.0], [7.0, 6.0]] {
            moments.add(&values);
        }
        assert_eq!(moments.count(), 4);
        assert_eq!(moments.mean(), [4.0, 3.0]);
        // (1 + 9 + 25 + 49)/4 − 16 = 5 and (16 + 4 + 0 + 36)/4 − 9 = 5.
        assert_eq!(moments.variances().collect::<Vec<_>>(), [5.0, 5.0]);
        assert_eq!(
            *moments.columns(),
            [vec![1.0, -1.0], vec![2.0, -2.0], vec![3.0, 3.0]]
        );
    }

    #[test]
    fn a_small_variance_beside_a_large_mean_keeps_its_digits() {
        let mut moments = SwagMoments::new(1, 2);
        for step in 0..5_u8 {
            moments.add(&[1e8 + f64::from(step)]);
        }
        // The variance of 0 to 4.
        assert_eq!(moments.variances().next(), Some(2.0));
    }
}
