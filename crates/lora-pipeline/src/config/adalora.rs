//! AdaLoRA's keys, under PEFT's names.

use lora_core::AdaLora;
use serde::{Deserialize, Serialize};

/// The keys of AdaLoRA that were given; PEFT's defaults hold for the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaLoraKeys {
    /// Average rank at the end.
    pub target_r: Option<usize>,
    /// Rank of every linear at the start.
    pub init_r: Option<usize>,
    /// Steps before the budget shrinks.
    pub tinit: Option<u64>,
    /// Steps at the end with fixed ranks.
    pub tfinal: Option<u64>,
    /// Steps between two allocations.
    #[serde(rename = "deltaT")]
    pub delta_t: Option<u64>,
    /// Smoothing of the sensitivity.
    pub beta1: Option<f64>,
    /// Smoothing of the uncertainty.
    pub beta2: Option<f64>,
    /// Weight of the orthogonality loss.
    pub orth_reg_weight: Option<f64>,
}

impl AdaLoraKeys {
    /// The first key that was given.
    pub fn first_given(&self) -> Option<&'static str> {
        [
            ("target_r", self.target_r.is_some()),
            ("init_r", self.init_r.is_some()),
            ("tinit", self.tinit.is_some()),
            ("tfinal", self.tfinal.is_some()),
            ("deltaT", self.delta_t.is_some()),
            ("beta1", self.beta1.is_some()),
            ("beta2", self.beta2.is_some()),
            ("orth_reg_weight", self.orth_reg_weight.is_some()),
        ]
        .into_iter()
        .find_map(|(key, given)| given.then_some(key))
    }

    /// AdaLoRA's settings; the training sets the number of steps.
    pub fn settings(&self) -> AdaLora {
        let defaults = AdaLora::default();
        AdaLora {
            target_r: self.target_r.unwrap_or(defaults.target_r),
            init_r: self.init_r.unwrap_or(defaults.init_r),
            tinit: self.tinit.unwrap_or(defaults.tinit),
            tfinal: self.tfinal.unwrap_or(defaults.tfinal),
            delta_t: self.delta_t.unwrap_or(defaults.delta_t),
            beta1: self.beta1.unwrap_or(defaults.beta1),
            beta2: self.beta2.unwrap_or(defaults.beta2),
            orth_reg_weight: self.orth_reg_weight.unwrap_or(defaults.orth_reg_weight),
            ..defaults
        }
    }
}
