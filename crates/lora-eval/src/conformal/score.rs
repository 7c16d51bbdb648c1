//! How badly a class fits the probabilities of a row.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::require;

/// How badly a class fits the probabilities of a row: the higher, the worse.
///
/// With the classes in the order of falling probability, equal ones in the order of their indexes, `rank` the place of a class in it from
/// 1, and `u` a number from 0 to 1 of the row:
///
/// ```text
/// LAC   1 − p_c                                                     smallest sets on average
/// APS   p of the classes up to and with c − u · p_c                 larger sets for harder rows
/// RAPS  that of APS + penalty · max(0, rank − free)                 without the long tail of APS
/// ```
///
/// With `u = 0` for every row nothing is random, and the sets of APS and RAPS are larger: their coverage is the same, but a class that
/// crosses the threshold is out as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "score", rename_all = "snake_case")]
pub enum ConformityScore {
    /// Least ambiguous set-valued classifier ([Sadinle et al., 1609.00451](https://arxiv.org/abs/1609.00451)).
    #[default]
    Lac,
    /// Adaptive prediction sets ([Romano et al., 2006.02544](https://arxiv.org/abs/2006.02544)).
    Aps,
    /// Regularized adaptive prediction sets ([Angelopoulos et al., 2009.14193](https://arxiv.org/abs/2009.14193)).
    Raps {
        /// What each class after the free ones costs.
        penalty: f64,
        /// How many classes cost nothing.
        free: usize,
    },
}

impl ConformityScore {
    /// [`ConformityScore::Raps`] with a penalty of 0.1 after the first class.
    pub const RAPS: Self = Self::Raps {
        penalty: 0.1,
        free: 1,
    };

    /// Its short name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lac => "LAC",
            Self::Aps => "APS",
            Self::Raps { .. } => "RAPS",
        }
    }

    /// Which classes are in its sets, in words.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Lac => "the classes whose probability is above one threshold, the same for all texts",
            Self::Aps => "the most probable classes, until their probabilities add up to a threshold",
            Self::Raps { .. } => {
                "the most probable classes, until their probabilities and a penalty for each after the first add up to a threshold"
            }
        }
    }

    /// Refuses a penalty that is no number of at least 0.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`].
    pub fn check(&self) -> Result<(), EvalError> {
        match self {
            Self::Raps { penalty, .. } => {
                let holds = penalty.is_finite() && *penalty >= 0.0;
                require(holds, "the penalty of RAPS", *penalty, "a number of at least 0")
            }
            Self::Lac | Self::Aps => Ok(()),
        }
    }

    /// The scores `[classes]` of all classes of a row, from its probabilities `[classes]` and its number `u`, which LAC does not read.
    pub fn of_row(&self, probabilities: &[f64], u: f64) -> Vec<f64> {
        let (penalty, free) = match self {
            Self::Lac => {
                return probabilities
                    .iter()
                    .map(|probability| 1.0 - probability)
                    .collect();
            }
            Self::Aps => (0.0, 0),
            Self::Raps { penalty, free } => (*penalty, *free),
        };
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| {
            let falling = probabilities[*b].partial_cmp(&probabilities[*a]);
            falling.unwrap_or(Ordering::Equal).then(a.cmp(b))
        });
        let mut scores = vec![0.0; probabilities.len()];
        let mut sum = 0.0;
        for (place, class) in order.into_iter().enumerate() {
            sum += probabilities[class];
            let beyond = (place + 1).saturating_sub(free) as f64;
            scores[class] = sum - u * probabilities[class] + penalty * beyond;
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} instead of {expected}");
        }
    }

    #[test]
    fn scores_by_hand() {
        let row = [0.125, 0.5, 0.375];
        assert_close(&ConformityScore::Lac.of_row(&row, 0.5), &[0.875, 0.5, 0.625]);
        assert_close(&ConformityScore::Aps.of_row(&row, 0.0), &[1.0, 0.5, 0.875]);
        assert_close(&ConformityScore::Aps.of_row(&row, 0.5), &[0.9375, 0.25, 0.6875]);
        let raps = ConformityScore::Raps {
            penalty: 0.25,
            free: 1,
        };
        // The second class is one, the third two after the free one.
        assert_close(&raps.of_row(&row, 0.5), &[1.4375, 0.25, 0.9375]);
    }

    #[test]
    fn a_penalty_that_is_no_number_is_refused() {
        for penalty in [f64::NAN, f64::INFINITY, -0.5] {
            assert!(ConformityScore::Raps { penalty, free: 2 }.check().is_err());
        }
        assert!(ConformityScore::RAPS.check().is_ok());
    }
}
