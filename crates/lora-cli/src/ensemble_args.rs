//! Arguments of the ensemble.

use clap::{Args, ValueEnum};
use lora_core::peft::Average;
use lora_pipeline::inference::adaptive::stopping_rule;
use lora_pipeline::predict::ensemble::EnsembleChoice;

/// The ensemble, over what the adapter folder recommends.
#[derive(Args, Clone, Copy, Debug)]
pub struct EnsembleArgs {
    /// Passes of the ensemble, each with masks of its own; 0 for none [as in training].
    #[arg(long, value_name = "N", value_parser = member_count)]
    pub members: Option<u64>,
    /// Seed of the members' masks [as in training].
    #[arg(long)]
    pub seed: Option<u64>,
    /// What the ensemble averages [as in training].
    #[arg(long, value_enum)]
    pub average: Option<AverageArg>,
    /// Give each text members only until its class is settled at this confidence; --members is the most it gets [0.99].
    #[arg(long, value_name = "CONFIDENCE", num_args = 0..=1, require_equals = true, default_missing_value = "0.99",
        value_parser = confidence)]
    pub adaptive: Option<f64>,
}

/// What an ensemble averages over its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AverageArg {
    /// Class probabilities.
    Probabilities,
    /// Logits.
    Logits,
}

fn member_count(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "expected a whole number of passes, 0 for no ensemble".to_owned())
}

fn confidence(text: &str) -> Result<f64, String> {
    let confidence = text.parse().ok();
    confidence
        .filter(|confidence| stopping_rule(*confidence).check().is_ok())
        .ok_or_else(|| "expected a number above 0.5 and below 1, as in --adaptive=0.99".to_owned())
}

impl EnsembleArgs {
    /// What of the ensemble is chosen by flags.
    pub fn choice(&self) -> EnsembleChoice {
        EnsembleChoice {
            members: self.members,
            seed: self.seed,
            average: self.average.map(|average| match average {
                AverageArg::Probabilities => Average::Probabilities,
                AverageArg::Logits => Average::Logits,
            }),
            is_adaptive: self.adaptive.is_some(),
        }
    }
}
