//! `mask_probability`: a number, or the word `auto`.

use serde::{Deserialize, Serialize};

/// p of LoRA Dropout, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or the word auto")]
pub enum MaskProbability {
    /// The same p from the first step to the last; 0 is plain LoRA.
    Fixed(f64),
    /// The training moves p while it runs.
    Word(AutoWord),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoWord {
    /// [`MaskProbability::AUTO`].
    Auto,
}

impl MaskProbability {
    /// The training moves p while it runs.
    pub const AUTO: Self = Self::Word(AutoWord::Auto);
    /// Plain LoRA.
    pub const NONE: Self = Self::Fixed(0.0);
    /// Where [`AUTO`](Self::AUTO) begins; see [`lora_train::mask_search`].
    const START: f64 = 0.1;

    /// Whether the training moves it.
    pub fn is_auto(self) -> bool {
        self == Self::AUTO
    }

    /// p of the first step; none for plain LoRA.
    pub fn first(self) -> Option<f64> {
        match self {
            Self::Fixed(probability) => (probability > 0.0).then_some(probability),
            Self::Word(AutoWord::Auto) => Some(Self::START),
        }
    }
}

impl Default for MaskProbability {
    fn default() -> Self {
        Self::NONE
    }
}
