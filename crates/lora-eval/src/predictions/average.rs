//! The average over the members of an ensemble.

pub use lora_core::peft::Average;

use super::Predictions;
use crate::probabilities::ClassProbabilities;
use crate::softmax::softmax;

impl Predictions {
    /// The probabilities `[examples, classes]` of the whole ensemble.
    pub fn average(&self, average: Average) -> ClassProbabilities {
        let mut mean = vec![0.0; self.examples * self.classes];
        for member in 0..self.members {
            for (row, sum) in mean.chunks_exact_mut(self.classes).enumerate() {
                let logits = self.scaled_logits(member, row);
                let values = if average == Average::Probabilities {
                    softmax(&logits)
                } else {
                    logits
                };
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        for value in &mut mean {
            *value /= self.members as f64;
        }
        if average == Average::Logits {
            mean = mean.chunks_exact(self.classes).flat_map(softmax).collect();
        }
        ClassProbabilities::from_softmax(self.examples, self.classes, mean)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn averaging_logits_is_the_softmax_of_their_mean() {
        let predictions = Predictions::new(2, 1, 2, vec![2.0, 0.0, 0.0, 1.0]).unwrap();
        let expected = 1.0 / (1.0 + (-0.5_f64).exp());
        assert!((predictions.average(Average::Logits).row(0)[0] - expected).abs() < 1e-15);
    }

    #[test]
    fn a_temperature_divides_every_member_and_replaces_the_last_one() {
        // Two members with the same gap of 1/8 between the classes: 1/2 at temperature 1/4.
        let predictions = Predictions::new(2, 1, 2, vec![0.5, 0.625, 3.0, 3.125]).unwrap();
        let softened = predictions
            .with_temperature(7.0)
            .unwrap()
            .with_temperature(0.25)
            .unwrap();
        let expected = 1.0 / (1.0 + 0.5_f64.exp());
        for average in [Average::Probabilities, Average::Logits] {
            assert!((softened.average(average).row(0)[0] - expected).abs() < 1e-12);
        }
    }
}
