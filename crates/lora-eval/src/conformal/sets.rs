//! Sets of classes, and how good they are.

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::probabilities::check_labels;

/// For each row the classes that fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionSets {
    classes: usize,
    sets: Vec<Vec<usize>>,
}

/// How often sets hold the true class, and how large they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetScores {
    /// Share of the rows whose set holds the true class.
    pub coverage: f64,
    /// Classes in a set, on average.
    pub mean_size: f64,
    /// Share of the rows whose set has no class: none fits.
    pub empty: f64,
    /// Share of the rows whose set has one class.
    pub single: f64,
    /// `[classes]`: the same for the rows of each class.
    pub by_class: Vec<ClassSetScores>,
}

/// How good the sets of the rows of a class are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassSetScores {
    /// How many rows the class has.
    pub rows: usize,
    /// Share of them whose set holds the class; none without rows.
    pub coverage: Option<f64>,
    /// Classes in a set, on average; none without rows.
    pub mean_size: Option<f64>,
}

impl PredictionSets {
    pub(super) fn new(classes: usize, sets: Vec<Vec<usize>>) -> Self {
        Self { classes, sets }
    }

    /// The classes of a row, by rising index.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn of_row(&self, row: usize) -> &[usize] {
        &self.sets[row]
    }

    /// Those of all rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        self.sets.iter().map(Vec::as_slice)
    }

    /// Compares the sets with the true classes `[examples]`.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit.
    pub fn scores(&self, labels: &[usize]) -> Result<SetScores, EvalError> {
        /// Rows, covered rows, and classes in their sets.
        #[derive(Clone, Copy, Default)]
        struct Count(usize, usize, usize);
        check_labels(self.sets.len(), self.classes, labels)?;
        let mut counts = vec![Count::default(); self.classes];
        for (set, label) in self.sets.iter().zip(labels) {
            let Count(rows, covered, size) = &mut counts[*label];
            *rows += 1;
            *covered += usize::from(set.contains(label));
            *size += set.len();
        }
        let rows = self.sets.len() as f64;
        let share = |size: usize| self.sets.iter().filter(|set| set.len() == size).count() as f64 / rows;
        let mean = |sum: usize, rows: usize| (rows > 0).then(|| sum as f64 / rows as f64);
        Ok(SetScores {
            coverage: counts.iter().map(|count| count.1).sum::<usize>() as f64 / rows,
            mean_size: counts.iter().map(|count| count.2).sum::<usize>() as f64 / rows,
            empty: share(0),
            single: share(1),
            by_class: counts
                .iter()
                .map(|Count(rows, covered, size)| ClassSetScores {
                    rows: *rows,
                    coverage: mean(*covered, *rows),
                    mean_size: mean(*size, *rows),
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn scores_by_hand() {
        let sets = PredictionSets::new(3, vec![vec![0], vec![], vec![1, 2], vec![0, 1, 2]]);
        let scores = sets.scores(&[0, 0, 0, 1]).unwrap();
        let expected = SetScores {
            coverage: 0.5,
            mean_size: 1.5,
            empty: 0.25,
            single: 0.25,
            by_class: vec![
                ClassSetScores {
                    rows: 3,
                    coverage: Some(1.0 / 3.0),
                    mean_size: Some(1.0),
                },
                ClassSetScores {
                    rows: 1,
                    coverage: Some(1.0),
                    mean_size: Some(3.0),
                },
                ClassSetScores {
                    rows: 0,
                    coverage: None,
                    mean_size: None,
                },
            ],
        };
        assert_eq!(scores, expected);
        assert!(sets.scores(&[0, 0, 3, 1]).is_err());
    }
}
