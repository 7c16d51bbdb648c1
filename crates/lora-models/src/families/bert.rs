//! BERT (Devlin et al. 2018), as Hugging Face's `BertModel` computes it, without the base model's own dropout:
//! regularization is the adapters' business here.

use serde::Deserialize;

use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm, defaults};
use crate::blocks::{Activation, EncoderForm, EncoderLayerNames, EncoderSizes, Positions, Segments};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// BERT's names.
pub const FAMILY: Family = Family {
    model_types: &["bert"],
    prefix: "bert.",
    table: "embeddings.word_embeddings",
    targets: &["query", "value"],
};

/// The paths of a layer below `encoder.layer.N`.
const LAYER: EncoderLayerNames = EncoderLayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

/// The paths of the masked language model's head; DeBERTa shares them.
pub(super) const fn masked_lm(activation: Activation) -> MaskedLmNames {
    MaskedLmNames {
        transform: TransformForm::with_biases(
            "cls.predictions.transform.dense",
            activation,
            "cls.predictions.transform.LayerNorm",
        ),
        decoder: "cls.predictions.decoder",
        bias: Some("cls.predictions.bias"),
    }
}

/// The keys of `config.json` that the outputs of BERT and its descendants depend on; others are skipped.
#[derive(Clone, Debug, Deserialize)]
pub struct BertConfig {
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
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// `d_embedding`, where it is not `d_model`, in ELECTRA.
    pub embedding_size: Option<usize>,
    /// The padding token, from which RoBERTa counts positions.
    pub pad_token_id: Option<i32>,
    /// Number of segments.
    #[serde(default = "defaults::two")]
    pub type_vocab_size: usize,
    /// Epsilon of the layer norms.
    #[serde(default = "defaults::epsilon")]
    pub layer_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Activation of the feed-forward block and of the masked language model's head.
    #[serde(default = "defaults::gelu")]
    pub hidden_act: Activation,
    /// Whether a token sees only those before it; only no is known.
    #[serde(default)]
    pub is_decoder: bool,
    /// Kind of positions; only `absolute` is known.
    #[serde(default = "defaults::absolute")]
    pub position_embedding_type: String,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

impl BertConfig {
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
        if config.is_decoder {
            return Err(checkpoint.unsupported("is_decoder", "true", "false"));
        }
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        let sequence = SequenceForm::FirstToken {
            dense: "bert.pooler.dense",
            activation: Activation::Tanh,
            output: "classifier",
            trained: &["classifier"],
        };
        self.spec_with(sequence, masked_lm(self.hidden_act))
    }

    /// The same with the heads of another family.
    pub(super) fn spec_with(&self, sequence: SequenceForm, masked_lm: MaskedLmNames) -> ModelSpec {
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence,
            tokens: "classifier",
            transform: None,
            masked_lm: Some(masked_lm),
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
            positions: Positions::Places,
            segments: Segments::OfTokens(self.type_vocab_size),
            layers: "encoder.layer",
            layer: LAYER,
        }
    }
}
