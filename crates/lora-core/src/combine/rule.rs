//! Rules that make one tensor of several.

use serde::{Deserialize, Serialize};

/// How one tensor is made of several weighted ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The weighted sum.
    Linear,
    /// The weighted sum of the largest values of each tensor.
    MagnitudePrune {
        /// Share of the values that are kept.
        density: f64,
    },
    /// TIES: the largest values of each tensor; of these the weighted average of those with the elected sign.
    Ties {
        /// Share of the values that are kept.
        density: f64,
        /// How signs are elected.
        sign: MajoritySign,
    },
    /// DARE: the weighted sum of a random part of each tensor, divided by its share.
    DareLinear {
        /// Share of the values that are kept.
        density: f64,
    },
    /// DARE's random parts, then TIES' election.
    DareTies {
        /// Share of the values that are kept.
        density: f64,
        /// How signs are elected.
        sign: MajoritySign,
    },
}

/// How the sign of a number is elected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MajoritySign {
    /// The sign of the sum.
    #[default]
    Total,
    /// The sign that more tensors have.
    Frequency,
}

impl Rule {
    /// One tensor of several of one size. `keep` says which values of the n-th tensor a random rule keeps.
    ///
    /// # Panics
    ///
    /// Panics if there is no tensor.
    pub(super) fn apply(
        self,
        mut tensors: Vec<Vec<f32>>,
        weights: &[f64],
        keep: &mut dyn FnMut(usize, usize, f64) -> Vec<bool>,
    ) -> Vec<f32> {
        match self {
            Self::Linear => {}
            Self::MagnitudePrune { density } | Self::Ties { density, .. } => {
                for tensor in &mut tensors {
                    keep_largest(tensor, density);
                }
            }
            Self::DareLinear { density } | Self::DareTies { density, .. } => {
                for (number, tensor) in tensors.iter_mut().enumerate() {
                    let kept = keep(number, tensor.len(), density);
                    keep_random(tensor, density, &kept);
                }
            }
        }
        match self {
            Self::Linear | Self::MagnitudePrune { .. } | Self::DareLinear { .. } => {
                sum(&tensors, weights, None)
            }
            Self::Ties { sign, .. } | Self::DareTies { sign, .. } => sum(&tensors, weights, Some(sign)),
        }
    }
}

/// Sets all but the `density · count` values of largest magnitude to zero.
fn keep_largest(tensor: &mut [f32], density: f64) {
    if density >= 1.0 {
        return;
    }
    #[expect(clippy::cast_sign_loss, reason = "a density is above 0")]
    let kept = (density * tensor.len() as f64) as usize;
    let mut order: Vec<usize> = (0..tensor.len()).collect();
    order.sort_by(|left, right| tensor[*right].abs().total_cmp(&tensor[*left].abs()));
    for index in &order[kept..] {
        tensor[*index] = 0.0;
    }
}

fn keep_random(tensor: &mut [f32], density: f64, kept: &[bool]) {
    if density >= 1.0 {
        return;
    }
    for (value, kept) in tensor.iter_mut().zip(kept) {
        *value = if *kept { *value / density as f32 } else { 0.0 };
    }
}

/// `Σ w_i t_i`; with an election the average over the tensors whose number has the elected sign.
fn sum(tensors: &[Vec<f32>], weights: &[f64], election: Option<MajoritySign>) -> Vec<f32> {
    (0..tensors[0].len())
        .map(|index| {
            let numbers = || tensors.iter().map(|tensor| tensor[index]);
            let weighted = numbers()
                .zip(weights)
                .map(|(number, weight)| number * *weight as f32);
            let Some(election) = election else {
                return weighted.sum();
            };
            let vote: f32 = match election {
                MajoritySign::Total => numbers().sum(),
                MajoritySign::Frequency => numbers().map(sign).sum(),
            };
            let elected = if vote >= 0.0 { 1.0 } else { -1.0 };
            let agree = || numbers().map(|number| sign(number) == elected);
            let agreeing = agree().filter(|agrees| *agrees).count().max(1);
            let total: f32 = weighted
                .zip(agree())
                .map(|(number, agrees)| if agrees { number } else { 0.0 })
                .sum();
            total / agreeing as f32
        })
        .collect()
}

/// −1, 0 or 1.
fn sign(number: f32) -> f32 {
    if number > 0.0 {
        1.0
    } else if number < 0.0 {
        -1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(rule: Rule) -> Vec<f32> {
        let tensors = vec![vec![3.0, -1.0, 0.5, 2.0], vec![1.0, 4.0, -0.5, 2.0]];
        let mut keep = |number: usize, count: usize, _: f64| {
            (0..count)
                .map(|index| (index + number).is_multiple_of(2))
                .collect()
        };
        rule.apply(tensors, &[2.0, 10.0], &mut keep)
    }

    #[test]
    fn rules_compute_what_they_say() {
        assert_eq!(apply(Rule::Linear), [16.0, 38.0, -4.0, 24.0]);
        // The two largest of each: 3 and 2; 4 and 2.
        let pruned = Rule::MagnitudePrune { density: 0.5 };
        assert_eq!(apply(pruned), [6.0, 40.0, 0.0, 24.0]);
        // No pruning: sums 4, 3, 0 and 4 elect plus everywhere; the average is over those that are positive.
        let ties = Rule::Ties {
            density: 1.0,
            sign: MajoritySign::Total,
        };
        assert_eq!(apply(ties), [8.0, 40.0, 1.0, 12.0]);
        // The even values of the first, the odd ones of the second, doubled.
        assert_eq!(apply(Rule::DareLinear { density: 0.5 }), [12.0, 80.0, 2.0, 40.0]);
    }
}
