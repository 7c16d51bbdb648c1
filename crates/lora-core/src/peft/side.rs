//! LoRA Dropout's own settings, beside PEFT's two files.

use serde::{Deserialize, Serialize};

use crate::config::{LoraDropout, Rescale};

/// Name of the side file.
pub const SIDE_FILE: &str = "lora_dropout.json";

/// The content of `lora_dropout.json`. PEFT ignores the file; `lora_alpha` in `adapter_config.json` already carries
/// the expected update, so every other reader computes the mean pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropoutFile {
    /// Version of this file's layout.
    pub format: u32,
    /// Probability that a column of A, and a row of B, is dropped.
    pub probability: f64,
    /// Whether kept entries are rescaled by 1/(1−p).
    pub rescale: Rescale,
    /// The alpha of training, before the expected update was folded in.
    pub alpha: f64,
    /// The alpha patterns of training, likewise.
    #[serde(default)]
    pub alpha_pattern: Vec<(String, f64)>,
    /// The ensemble this adapter is meant to be used with.
    #[serde(default)]
    pub ensemble: Option<EnsembleSettings>,
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

impl DropoutFile {
    /// The settings for the adapter.
    pub fn dropout(&self) -> LoraDropout {
        LoraDropout {
            probability: self.probability,
            rescale: self.rescale,
        }
    }
}
