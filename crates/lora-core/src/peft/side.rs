//! LoRA Dropout's own settings, beside PEFT's two files.

use serde::{Deserialize, Serialize};

use crate::config::LoraConfig;
use crate::dropout::{LoraDropout, MaskAxes, Rescale};
use crate::ensemble::EnsembleSettings;

/// Name of the side file.
pub const SIDE_FILE: &str = "lora_dropout.json";

/// Layouts of the side file. A reader of the first one knows rows and columns alone, so other axes are written in the second.
const FORMATS: [u32; 2] = [1, 2];

/// The content of `lora_dropout.json`. PEFT ignores the file; `lora_alpha` in `adapter_config.json` already carries
/// the expected update, so every other reader computes the mean pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropoutFile {
    /// Version of this file's layout: 1, or 2 if other axes are masked than the paper's.
    pub format: u32,
    /// Probability that a column of A, and a row of B, is dropped.
    pub probability: f64,
    /// Whether kept entries are rescaled by 1/(1−p).
    pub rescale: Rescale,
    /// Which axes have masks; left out for the paper's.
    #[serde(default, skip_serializing_if = "is_the_papers")]
    pub axes: MaskAxes,
    /// The alpha of training, before the expected update was folded in.
    pub alpha: f64,
    /// The alpha patterns of training, likewise.
    #[serde(default)]
    pub alpha_pattern: Vec<(String, f64)>,
    /// The ensemble this adapter is meant to be used with.
    #[serde(default)]
    pub ensemble: Option<EnsembleSettings>,
}

fn is_the_papers(axes: &MaskAxes) -> bool {
    *axes == MaskAxes::RowsAndColumns
}

impl DropoutFile {
    /// What is to be written about an adapter with these settings.
    pub(super) fn new(dropout: LoraDropout, config: &LoraConfig, ensemble: Option<EnsembleSettings>) -> Self {
        let LoraDropout {
            probability,
            rescale,
            axes,
        } = dropout;
        Self {
            format: FORMATS[usize::from(!is_the_papers(&axes))],
            probability,
            rescale,
            axes,
            alpha: config.alpha,
            alpha_pattern: config.alpha_pattern.clone(),
            ensemble,
        }
    }

    /// Whether this program knows the layout.
    pub(super) fn is_known(&self) -> bool {
        FORMATS.contains(&self.format)
    }

    /// The settings for the adapter.
    pub fn dropout(&self) -> LoraDropout {
        LoraDropout {
            probability: self.probability,
            rescale: self.rescale,
            axes: self.axes,
        }
    }
}
