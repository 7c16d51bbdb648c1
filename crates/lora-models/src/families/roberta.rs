//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020), as Hugging Face's `RobertaModel` computes them: BERT's
//! layers, no segments, and positions that count from the number of the padding token.

use super::bert::BertConfig;
use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm};
use crate::blocks::{Activation, EncoderForm, Positions, Segments};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// RoBERTa's names. XLM-RoBERTa differs in its tokenizer alone.
pub const FAMILY: Family = Family {
    model_types: &["roberta", "xlm-roberta"],
    prefix: "roberta.",
    table: "embeddings.word_embeddings",
    targets: &["query", "value"],
};

/// BERT's settings; the first `pad_token_id + 1` rows of the table of positions belong to no token.
#[derive(Clone, Debug)]
pub struct RobertaConfig(pub BertConfig);

impl RobertaConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        BertConfig::read(checkpoint).map(Self)
    }

    /// The padding token: the first token of a text has the position after this number.
    fn pad_token_id(&self) -> i32 {
        self.0.pad_token_id.unwrap_or(1)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        let unused = usize::try_from(i64::from(self.pad_token_id()) + 1).unwrap_or(0);
        let sequence = SequenceForm::FirstToken {
            dense: "classifier.dense",
            activation: Activation::Tanh,
            output: "classifier.out_proj",
            trained: &["classifier"],
        };
        let masked_lm = MaskedLmNames {
            transform: TransformForm::with_biases("lm_head.dense", Activation::Gelu, "lm_head.layer_norm"),
            decoder: "lm_head.decoder",
            bias: Some("lm_head.bias"),
        };
        ModelSpec {
            max_tokens: Some(self.0.max_position_embeddings.saturating_sub(unused)),
            ..self.0.spec_with(sequence, masked_lm)
        }
    }

    /// What the encoder is built from.
    pub fn encoder(&self) -> EncoderForm {
        EncoderForm {
            positions: Positions::AfterPadding(self.pad_token_id()),
            segments: Segments::First(self.0.type_vocab_size),
            ..self.0.encoder()
        }
    }
}
