//! ELECTRA (Clark et al. 2020), as Hugging Face's `ElectraModel` computes it: BERT's layers on embeddings of a size of
//! their own. Discriminators and generators differ in their sizes alone.

use super::bert::BertConfig;
use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm};
use crate::blocks::{Activation, EncoderForm};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// ELECTRA's names.
pub const FAMILY: Family = Family {
    model_types: &["electra"],
    prefix: "electra.",
    table: "embeddings.word_embeddings",
    targets: &["query", "value"],
};

/// BERT's settings, with the size of the embeddings; Transformers' default is 128.
#[derive(Clone, Debug)]
pub struct ElectraConfig(pub BertConfig);

impl ElectraConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        BertConfig::read(checkpoint).map(Self)
    }

    /// `d_embedding`; where it is not `d_model`, a linear leads from one to the other.
    fn d_embedding(&self) -> usize {
        self.0.embedding_size.unwrap_or(128)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        let sequence = SequenceForm::FirstToken {
            dense: "classifier.dense",
            activation: Activation::Gelu,
            output: "classifier.out_proj",
            trained: &["classifier"],
        };
        let masked_lm = MaskedLmNames {
            transform: TransformForm::with_biases(
                "generator_predictions.dense",
                Activation::Gelu,
                "generator_predictions.LayerNorm",
            ),
            decoder: "generator_lm_head",
            bias: Some("generator_lm_head.bias"),
        };
        ModelSpec {
            d_embedding: self.d_embedding(),
            ..self.0.spec_with(sequence, masked_lm)
        }
    }

    /// What the encoder is built from.
    pub fn encoder(&self) -> EncoderForm {
        EncoderForm {
            d_embedding: self.d_embedding(),
            ..self.0.encoder()
        }
    }
}
