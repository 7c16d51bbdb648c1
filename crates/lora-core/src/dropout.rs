//! LoRA Dropout's settings.

use serde::{Deserialize, Serialize};

/// LoRA Dropout's settings (arXiv 2404.09610).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraDropout {
    /// Probability `p` that an entry of a mask drops its row, column or rank; in `[0, 1)`.
    pub probability: f64,
    /// What a kept entry is multiplied by.
    pub rescale: Rescale,
    /// Which axes have a mask.
    #[serde(default)]
    pub axes: MaskAxes,
}

/// What a kept mask entry is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rescale {
    /// 1, as the paper's equations have it: a masked pass carries (1−p)² of the update on average.
    Plain,
    /// 1/(1−p): a masked pass carries the whole update on average.
    Rescaled,
}

/// Which axes of the factors are masked. The paper masks two; the others are controls, which tell what each is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskAxes {
    /// Columns of PEFT's `lora_A` (input features of the branch) and rows of `lora_B` (output features), each with a mask of
    /// its own: LoRA Dropout as published.
    #[default]
    RowsAndColumns,
    /// Rows of `lora_B` alone: `s · (x A B) ⊙ m_B`.
    Rows,
    /// Columns of `lora_A` alone: `s · (x ⊙ m_A) A B`.
    Columns,
    /// The rank: `s · (x A ⊙ m_R) B`, one mask for both factors. No entry of the update becomes zero; it loses rank.
    Rank,
}

impl MaskAxes {
    /// Whether columns of `lora_A`, the input features, have a mask.
    pub fn mask_input(self) -> bool {
        matches!(self, Self::RowsAndColumns | Self::Columns)
    }

    /// Whether rows of `lora_B`, the output features, have a mask.
    pub fn mask_output(self) -> bool {
        matches!(self, Self::RowsAndColumns | Self::Rows)
    }

    /// Whether the rank has a mask.
    pub fn mask_rank(self) -> bool {
        self == Self::Rank
    }

    /// How many masks an adapter has: so many factors of (1−p) the expected update carries.
    pub fn masks(self) -> i32 {
        match self {
            Self::RowsAndColumns => 2,
            Self::Rows | Self::Columns | Self::Rank => 1,
        }
    }

    /// The word for it in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::RowsAndColumns => "rows_and_columns",
            Self::Rows => "rows",
            Self::Columns => "columns",
            Self::Rank => "rank",
        }
    }
}

impl LoraDropout {
    /// The masks of the paper: rows and columns.
    pub fn new(probability: f64, rescale: Rescale) -> Self {
        Self {
            probability,
            rescale,
            axes: MaskAxes::RowsAndColumns,
        }
    }

    /// The same with masks on other axes.
    #[must_use]
    pub fn on(self, axes: MaskAxes) -> Self {
        Self { axes, ..self }
    }

    /// The mean of the product of all masks: what a pass without masks multiplies the update by, so that it computes the expected
    /// update. For plain masks (1−p)² on rows and columns and 1−p on one axis, for rescaled ones 1.
    pub fn mean_factor(&self) -> f64 {
        self.mean_entry().powi(self.axes.masks())
    }

    /// The mean of a mask entry.
    pub(crate) fn mean_entry(&self) -> f64 {
        match self.rescale {
            Rescale::Plain => 1.0 - self.probability,
            Rescale::Rescaled => 1.0,
        }
    }

    /// The value of a kept mask entry.
    pub fn kept_value(&self) -> f64 {
        match self.rescale {
            Rescale::Plain => 1.0,
            Rescale::Rescaled => 1.0 / (1.0 - self.probability),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn settings_without_axes_are_the_papers() {
        let old = r#"{"probability": 0.3, "rescale": "plain"}"#;
        let read: LoraDropout = serde_json::from_str(old).unwrap();
        assert_eq!(read, LoraDropout::new(0.3, Rescale::Plain));
    }

    #[test]
    fn axes_are_written_by_their_names() {
        for axes in [
            MaskAxes::RowsAndColumns,
            MaskAxes::Rows,
            MaskAxes::Columns,
            MaskAxes::Rank,
        ] {
            assert_eq!(serde_json::to_value(axes).unwrap(), axes.name());
        }
    }
}
