//! Precision, recall and F1 of each class.

use serde::{Deserialize, Serialize};

use super::ConfusionMatrix;

/// Scores of one class against all others, as scikit-learn's `classification_report` has them. What would divide by 0 is None: its
/// `zero_division=nan`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoresOfClass {
    /// Examples with this label: scikit-learn's `support`.
    pub rows: u64,
    /// Examples that are predicted as this class.
    pub predicted: u64,
    /// Share of the predicted ones with this label; None where it is never predicted.
    pub precision: Option<f64>,
    /// Share of those with this label that are predicted as it; None where there is none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; None where the class is neither a label nor predicted.
    pub f1: Option<f64>,
}

impl ConfusionMatrix {
    /// The scores of one class.
    ///
    /// # Panics
    /// If it is no class.
    pub fn of_class(&self, class: usize) -> ScoresOfClass {
        let hits = self.count_of(class, class);
        let (rows, predicted) = (self.labelled(class), self.predicted(class));
        ScoresOfClass {
            rows,
            predicted,
            precision: share(hits, predicted),
            recall: share(hits, rows),
            f1: share(2 * hits, rows + predicted),
        }
    }

    /// Counts `[labels][predicted classes]`.
    pub fn to_rows(&self) -> Vec<Vec<u64>> {
        let rows = self.counts.chunks(self.classes.max(1));
        rows.map(<[u64]>::to_vec).collect()
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn what_would_divide_by_zero_is_left_empty() {
        // Rows are labels: [[3, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]].
        let mut matrix = ConfusionMatrix::new(4);
        for (label, predicted, times) in [(0, 0, 3), (0, 1, 2), (2, 0, 1), (2, 1, 1)] {
            for _ in 0..times {
                matrix.update(label, predicted).unwrap();
            }
        }
        let found = |class| {
            let of = matrix.of_class(class);
            ((of.rows, of.predicted), [of.precision, of.recall, of.f1])
        };
        assert_eq!(found(0), ((5, 4), [Some(0.75), Some(0.6), Some(6.0 / 9.0)]));
        assert_eq!(found(1), ((0, 3), [Some(0.0), None, Some(0.0)]), "no row");
        assert_eq!(
            found(2),
            ((2, 0), [None, Some(0.0), Some(0.0)]),
            "never predicted"
        );
        assert_eq!(found(3), ((0, 0), [None; 3]));
        let rows = [[3, 2, 0, 0], [0; 4], [1, 1, 0, 0], [0; 4]];
        assert_eq!(matrix.to_rows(), rows.map(Vec::from));
    }
}
