//! What an adapter is for.

use serde::{Deserialize, Serialize};

/// PEFT's `task_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskType {
    /// Sequence classification or regression.
    SeqCls,
    /// Causal language modelling.
    CausalLm,
    /// Token classification.
    TokenCls,
    /// Extractive question answering.
    QuestionAns,
    /// Sequence to sequence.
    #[serde(rename = "SEQ_2_SEQ_LM")]
    Seq2SeqLm,
    /// Hidden states alone.
    FeatureExtraction,
}
