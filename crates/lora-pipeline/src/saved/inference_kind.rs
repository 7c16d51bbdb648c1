//! Whether a folder predicts by the mean pass or by the ensemble, and why.

use lora_data::ProblemType;
use serde::{Deserialize, Serialize};

use super::task_file::TaskFile;
use crate::counted::counted;

/// With one pass or with many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InferenceKind {
    /// One pass with the expected update.
    Mean,
    /// One pass for each of several members.
    Ensemble,
}

impl InferenceKind {
    /// As `--inference` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Ensemble => "ensemble",
        }
    }

    /// In a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Mean => "the mean pass",
            Self::Ensemble => "the ensemble",
        }
    }

    /// The one that this is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Mean => Self::Ensemble,
            Self::Ensemble => Self::Mean,
        }
    }
}

impl TaskFile {
    /// Which of mean pass and ensemble `lora predict` uses unasked, and why; none where nothing was compared.
    pub fn why_in_use(&self) -> Option<String> {
        let used = self.inference?;
        let (words, other) = (used.in_words(), used.other().in_words());
        let why = match self.not_told_apart_on {
            Some(rows) => {
                // A tagged word is judged on its own.
                let is_of_words = self.problem_type == ProblemType::TokenClassification;
                let noun = if is_of_words {
                    "validation word"
                } else {
                    "validation row"
                };
                format!("not told apart from {other} on {}", counted(rows, noun))
            }
            None => format!("whose loss on the validation rows was lower than that of {other}"),
        };
        Some(format!(
            "{words}, {why}; --inference {} uses {other}",
            used.other().name()
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_way_in_use_is_said_with_what_rows_could_tell() {
        let why = |problem_type: &str, not_told_apart_on: Option<usize>, inference: Value| {
            let file: TaskFile = serde_json::from_value(json!({
                "format": 1, "problem_type": problem_type, "max_seq_length": 64, "text_column": "text", "label_column": "label",
                "base_model": "minilm-l6", "inference": inference, "not_told_apart_on": not_told_apart_on,
            }))
            .unwrap();
            file.why_in_use()
        };
        assert_eq!(
            why("regression", None, json!("ensemble")).unwrap(),
            "the ensemble, whose loss on the validation rows was lower than that of the mean pass; --inference mean uses the mean pass"
        );
        assert_eq!(
            why("regression", Some(1), json!("mean")).unwrap(),
            "the mean pass, not told apart from the ensemble on 1 validation row; --inference ensemble uses the ensemble"
        );
        let of_words = why("token_classification", Some(70), json!("mean")).unwrap();
        assert!(of_words.contains("on 70 validation words"), "{of_words}");
        assert_eq!(why("regression", None, Value::Null), None);
    }
}
