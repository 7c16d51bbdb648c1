//! How much each class counts in the loss.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much each class counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "expected balanced, or a number for each label by its name"
)]
pub enum ClassWeights {
    /// Inversely to how often it occurs among the training rows: `rows / (classes · rows of the class)`, as scikit-learn's
    /// `class_weight="balanced"`. Where several labels may hold at once, a row that has a label counts `rows without / rows with` times
    /// as much there as one that has it not: PyTorch's `pos_weight`.
    Balanced,
    /// By the name of the label; one that is not named has 1.
    #[serde(untagged)]
    ByLabel(BTreeMap<String, f64>),
}

impl ClassWeights {
    /// The first weight that is not a positive number, with its label.
    pub(crate) fn first_wrong(&self) -> Option<(&str, f64)> {
        match self {
            Self::Balanced => None,
            Self::ByLabel(weights) => {
                let wrong = weights
                    .iter()
                    .find(|(_, weight)| !(weight.is_finite() && **weight > 0.0));
                wrong.map(|(label, weight)| (label.as_str(), *weight))
            }
        }
    }
}
