//! ELECTRA (Clark et al. 2020), as Hugging Face's `ElectraModel` computes it: BERT's layers on embeddings of a size of
//! their own. Discriminators and generators differ in their sizes alone.

use serde::Deserialize;

use super::bert::LAYER;
use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm, defaults};
use crate::blocks::{Activation, EncoderForm, EncoderSizes, Positions, Segments};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// ELECTRA's names.
pub const FAMILY: Family = Family {
    model_types: &["electra"],
    prefix: "electra.",
    table: "embeddings.word_embeddings",
    targets: &["query", "value"],
};

/// The keys of `config.json` that ELECTRA's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct ElectraConfig {
    /// `d_model`.
    pub hidden_size: usize,
    /// `d_embedding`; where it is not `d_model`, a linear leads from one to the other.
    pub embedding_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// `n_heads`.
    pub num_attention_heads: usize,
    /// `d_ff`.
    pub intermediate_size: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Number of segments.
    #[serde(default = "defaults::two")]
    pub type_vocab_size: usize,
    /// Epsilon of the layer norms.
    #[serde(default = "defaults::epsilon")]
    pub layer_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Activation of the feed-forward block.
    #[serde(default = "defaults::gelu")]
    pub hidden_act: Activation,
    /// Kind of positions; only `absolute` is known.
    #[serde(default = "defaults::absolute")]
    pub position_embedding_type: String,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

impl ElectraConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let config: Self = checkpoint.parse_config()?;
        checkpoint.expect_heads(config.hidden_size, config.num_attention_heads)?;
        checkpoint.expect(
            "position_embedding_type",
            &config.position_embedding_type,
            "absolute",
        )?;
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.embedding_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::FirstToken {
                dense: "classifier.dense",
                activation: Activation::Gelu,
                output: "classifier.out_proj",
                trained: &["classifier"],
            },
            transform: None,
            masked_lm: Some(MaskedLmNames {
                transform: TransformForm::with_biases(
                    "generator_predictions.dense",
                    Activation::Gelu,
                    "generator_predictions.LayerNorm",
                ),
                decoder: "generator_lm_head",
                bias: Some("generator_lm_head.bias"),
            }),
        }
    }

    /// What the encoder is built from.
    pub fn encoder(&self) -> EncoderForm {
        EncoderForm {
            sizes: EncoderSizes {
                d_model: self.hidden_size,
                d_ff: self.intermediate_size,
                n_heads: self.num_attention_heads,
                epsilon: self.layer_norm_eps,
                activation: self.hidden_act,
            },
            n_layers: self.num_hidden_layers,
            d_embedding: self.embedding_size,
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            positions: Positions::Places,
            segments: Segments::OfTokens(self.type_vocab_size),
            layers: "encoder.layer",
            layer: LAYER,
        }
    }
}
