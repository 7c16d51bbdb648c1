//! F1 scores and the ways to average them over classes.

use super::ConfusionMatrix;
use crate::EvalError;

/// How F1 scores of single classes become one number; the names and values are scikit-learn's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum F1Average {
    /// F1 of one class against all others. GLUE's F1 is that of class 1 of two.
    Binary {
        /// The class that counts as a hit.
        positive: usize,
    },
    /// Plain mean over the classes that occur as a label or as a prediction.
    Macro,
    /// From hits and misses summed over all classes; for one label an example it equals the accuracy.
    Micro,
    /// Mean over the classes weighted by how often each occurs as a label.
    Weighted,
}

impl ConfusionMatrix {
    /// F1, the harmonic mean of precision and recall, 0..=1. A class that is neither a label nor predicted scores 0.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] for an empty matrix, [`EvalError::PositiveClass`] for a positive class that is no class.
    pub fn f1(&self, average: F1Average) -> Result<f64, EvalError> {
        let count = self.examples("F1")?;
        match average {
            F1Average::Binary { positive } if positive >= self.classes => Err(EvalError::PositiveClass {
                found: positive,
                classes: self.classes,
            }),
            F1Average::Binary { positive } => Ok(self.f1_of(positive)),
            F1Average::Macro => {
                let scores: Vec<f64> = (0..self.classes)
                    .filter_map(|class| self.of_class(class).f1)
                    .collect();
                Ok(scores.iter().sum::<f64>() / scores.len() as f64)
            }
            // Every miss is one false positive and one false negative: 2·hits / (2·hits + misses + misses).
            F1Average::Micro => self.accuracy(),
            F1Average::Weighted => {
                let weighted = (0..self.classes).map(|class| self.labelled(class) as f64 * self.f1_of(class));
                Ok(weighted.sum::<f64>() / count as f64)
            }
        }
    }

    fn f1_of(&self, class: usize) -> f64 {
        self.of_class(class).f1.unwrap_or(0.0)
    }
}
