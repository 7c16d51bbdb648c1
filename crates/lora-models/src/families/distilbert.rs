//! DistilBERT (Sanh et al. 2019), as Hugging Face's `DistilBertModel` computes it: BERT's layers under other names, without
//! segments.

use serde::Deserialize;

use super::{Family, MaskedLmNames, ModelSpec, SequenceForm, TransformForm, defaults};
use crate::blocks::{Activation, EncoderForm, EncoderLayerNames, EncoderSizes, Positions, Segments};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// DistilBERT's names.
pub const FAMILY: Family = Family {
    model_types: &["distilbert"],
    prefix: "distilbert.",
    table: "embeddings.word_embeddings",
    targets: &["q_lin", "v_lin"],
};

/// The paths of a layer below `transformer.layer.N`.
const LAYER: EncoderLayerNames = EncoderLayerNames {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};

/// Epsilon of the layer norms; no key of `config.json` changes it.
const EPSILON: f64 = 1e-12;

/// The keys of `config.json` that DistilBERT's outputs depend on; others are skipped.
#[derive(Clone, Debug, Deserialize)]
pub struct DistilBertConfig {
    /// `d_model`.
    pub dim: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of attention heads.
    pub n_heads: usize,
    /// `d_ff`.
    pub hidden_dim: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward block and of the masked language model's head.
    #[serde(default = "defaults::gelu")]
    pub activation: Activation,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

impl DistilBertConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let config: Self = checkpoint.parse_config()?;
        checkpoint.expect_heads(config.dim, config.n_heads)?;
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            d_model: self.dim,
            d_embedding: self.dim,
            vocab_size: self.vocab_size,
            epsilon: EPSILON,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::FirstToken {
                dense: "pre_classifier",
                activation: Activation::Relu,
                output: "classifier",
                trained: &["pre_classifier", "classifier"],
            },
            tokens: "classifier",
            transform: None,
            masked_lm: Some(MaskedLmNames {
                transform: TransformForm::with_biases("vocab_transform", self.activation, "vocab_layer_norm"),
                decoder: "vocab_projector",
                bias: Some("vocab_projector.bias"),
            }),
        }
    }

    /// What the encoder is built from.
    pub fn encoder(&self) -> EncoderForm {
        EncoderForm {
            sizes: EncoderSizes {
                d_model: self.dim,
                d_ff: self.hidden_dim,
                n_heads: self.n_heads,
                epsilon: EPSILON,
                activation: self.activation,
            },
            n_layers: self.n_layers,
            d_embedding: self.dim,
            vocab_size: self.vocab_size,
            max_positions: self.max_position_embeddings,
            positions: Positions::Places,
            segments: Segments::None,
            layers: "transformer.layer",
            layer: LAYER,
        }
    }
}
