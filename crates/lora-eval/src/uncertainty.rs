//! How unsure an ensemble is about each example, and whether the members agree on it.

use serde::{Deserialize, Serialize};

use crate::Predictions;
use crate::softmax::top_class;

/// The uncertainty of an ensemble about one example. Entropies are in nats (natural logarithm).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Uncertainty {
    /// Entropy of the averaged probabilities, `H(1/M Σ_m p_m)`: the total uncertainty; 0 to `ln classes`.
    pub predictive_entropy: f64,
    /// Mean entropy of the members, `1/M Σ_m H(p_m)`: what remains even if the members agreed (noise in the data).
    pub expected_entropy: f64,
    /// The difference of the two, at least 0: what the members disagree about (lack of knowledge). Houlsby et al. 2011.
    pub mutual_information: f64,
    /// Share of the members whose top class isn't the top class of the averaged probabilities, 0..=1.
    pub disagreement: f64,
}

impl Predictions {
    /// The uncertainty about every example, at the temperature of these predictions.
    ///
    /// The averaged distribution is that of [`Average::Probabilities`](crate::Average::Probabilities): only for it the mutual
    /// information can't be negative.
    pub fn uncertainty(&self) -> Vec<Uncertainty> {
        (0..self.examples())
            .map(|example| self.uncertainty_of(example))
            .collect()
    }

    fn uncertainty_of(&self, example: usize) -> Uncertainty {
        let members = self.members() as f64;
        let rows: Vec<_> = (0..self.members())
            .map(|member| self.member_probabilities(member, example))
            .collect();
        let mean: Vec<f64> = (0..self.classes())
            .map(|class| rows.iter().map(|row| row[class]).sum::<f64>() / members)
            .collect();
        let top = top_class(&mean);
        let predictive_entropy = entropy(&mean);
        let expected_entropy = rows.iter().map(|row| entropy(row)).sum::<f64>() / members;
        Uncertainty {
            predictive_entropy,
            expected_entropy,
            // Never negative (Jensen); rounding must not make it so.
            mutual_information: (predictive_entropy - expected_entropy).max(0.0),
            disagreement: rows.iter().filter(|row| top_class(row) != top).count() as f64 / members,
        }
    }
}

/// `H(p) = −Σ_c p_c ln p_c` in nats of a distribution `[classes]`, with `0 ln 0 = 0`.
pub fn entropy(distribution: &[f64]) -> f64 {
    let negative: f64 = distribution
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| p * p.ln())
        .sum();
    // `0 − x`, not `−x`: a certain distribution has entropy 0, not −0.
    0.0 - negative
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sure_members_that_contradict_each_other_are_all_mutual_information() {
        // Three members sure of classes 0, 1 and 0: the mean is (2/3, 1/3).
        let predictions = Predictions::new(3, 1, 2, vec![2e3, 0.0, 0.0, 2e3, 2e3, 0.0]).unwrap();
        let uncertainty = predictions.uncertainty()[0];
        let expected = 3.0_f64.ln() - 2.0 / 3.0 * 2.0_f64.ln();
        assert!((uncertainty.predictive_entropy - expected).abs() < 1e-14);
        assert!(uncertainty.expected_entropy.abs() < 1e-14);
        assert!((uncertainty.mutual_information - expected).abs() < 1e-14);
        assert!((uncertainty.disagreement - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn members_that_agree_on_being_unsure_have_no_mutual_information() {
        let predictions = Predictions::new(2, 1, 4, vec![0.25; 8]).unwrap();
        let uncertainty = predictions.uncertainty()[0];
        assert!((uncertainty.predictive_entropy - 4.0_f64.ln()).abs() < 1e-14);
        assert!(uncertainty.mutual_information.abs() < 1e-14 && uncertainty.disagreement.abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn entropies_keep_their_bounds(logits in prop::collection::vec(-30.0_f32..30.0, 4 * 2 * 3)) {
            for uncertainty in Predictions::new(4, 2, 3, logits).unwrap().uncertainty() {
                prop_assert!(uncertainty.predictive_entropy <= 3.0_f64.ln() + 1e-12);
                prop_assert!(uncertainty.expected_entropy >= 0.0);
                prop_assert!(uncertainty.mutual_information >= 0.0);
                prop_assert!((0.0..=1.0).contains(&uncertainty.disagreement));
            }
        }
    }
}
