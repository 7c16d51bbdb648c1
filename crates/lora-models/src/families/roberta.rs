//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020), as Hugging Face's `RobertaModel` computes them: BERT's
//! layers, no segments, and positions that count from the number of the padding token.

use serde::Deserialize;

use super::bert::LAYER;
use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm, defaults};
use crate::blocks::{Activation, EncoderForm, EncoderSizes, Positions, Segments};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// RoBERTa's names. XLM-RoBERTa differs in its tokenizer alone.
pub const FAMILY: Family = Family {
    model_types: &["roberta", "xlm-roberta"],
    prefix: "roberta.",
    table: "embeddings.word_embeddings",
    targets: &["query", "value"],
};

/// The keys of `config.json` that RoBERTa's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct RobertaConfig {
    /// `d_model`.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// `n_heads`.
    pub num_attention_heads: usize,
    /// `d_ff`.
    pub intermediate_size: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Rows of the table of positions; the first `pad_token_id + 1` belong to no token.
    pub max_position_embeddings: usize,
    /// The padding token: the first token of a text has the position after this number.
    #[serde(default = "one")]
    pub pad_token_id: i32,
    /// Rows of the table of segments; only the first is used.
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

fn one() -> i32 {
    1
}

impl RobertaConfig {
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
        let unused = usize::try_from(self.pad_token_id + 1).unwrap_or(0);
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings.saturating_sub(unused)),
            sequence: SequenceForm::FirstToken {
                dense: "classifier.dense",
                activation: Activation::Tanh,
                output: "classifier.out_proj",
                trained: &["classifier"],
            },
            transform: None,
            masked_lm: Some(MaskedLmNames {
                transform: TransformForm::with_biases(
                    "lm_head.dense",
                    Activation::Gelu,
                    "lm_head.layer_norm",
                ),
                decoder: "lm_head.decoder",
                bias: Some("lm_head.bias"),
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
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            positions: Positions::AfterPadding(self.pad_token_id),
            segments: Segments::First(self.type_vocab_size),
            layers: "encoder.layer",
            layer: LAYER,
        }
    }
}
