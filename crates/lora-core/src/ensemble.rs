//! The ensemble over masks that an adapter is meant to be used with.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// More members than any average needs.
pub const MOST_MEMBERS: u64 = 10_000;

/// An ensemble that fills the memory for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "an ensemble of {members} members is too large; expected at most {}: all their masks are in memory at once, and an average \
     hardly changes with more",
    MOST_MEMBERS
)]
pub struct TooManyMembers {
    /// How many were asked for.
    pub members: u64,
}

/// Refuses a number of members that no machine is to try.
///
/// # Errors
///
/// [`TooManyMembers`].
pub fn check_members(members: u64) -> Result<(), TooManyMembers> {
    if members > MOST_MEMBERS {
        return Err(TooManyMembers { members });
    }
    Ok(())
}

/// An ensemble over masks: with the adapter and these numbers, anyone draws the same members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleSettings {
    /// Number of members.
    pub members: u64,
    /// Seed of their masks.
    pub seed: u64,
    /// What is averaged over members.
    pub average: Average,
}

impl EnsembleSettings {
    /// The average of the probabilities of so many members, whose masks are drawn from the seed.
    pub fn new(members: u64, seed: u64) -> Self {
        Self {
            members,
            seed,
            average: Average::default(),
        }
    }
}

/// What an ensemble averages over its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// `1/M Σ_m softmax(z_m / T)`: the predictive distribution of the calibration literature.
    #[default]
    Probabilities,
    /// `softmax(1/M Σ_m z_m / T)`: the average for which the paper's Jensen argument holds (the loss is convex in the
    /// logits).
    Logits,
}
