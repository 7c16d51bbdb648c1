//! DeBERTa-v2's and v3's `config.json`.

use serde::Deserialize;

use super::positions::RelativePositions;
use crate::blocks::Activation;
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::families::bert;
use crate::families::defaults;
use crate::families::spec::{MaskedLmNames, ModelSpec, SequenceForm, TransformForm};

/// The keys of `config.json` that DeBERTa's outputs depend on; others are skipped. v3 checkpoints are v2 models with
/// other settings.
#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are the keys of config.json")]
pub struct DebertaV2Config {
    /// `d_model`.
    pub hidden_size: usize,
    /// `d_embedding`; `d_model` if not given. Where it is not `d_model`, a linear leads from one to the other.
    pub embedding_size: Option<usize>,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// `n_heads`.
    pub num_attention_heads: usize,
    /// `d_ff`.
    pub intermediate_size: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence where positions are absolute; the largest distance told apart where they are relative.
    pub max_position_embeddings: usize,
    /// Number of segments; 0 for a model without.
    #[serde(default)]
    pub type_vocab_size: usize,
    /// Epsilon of the layer norms.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Activation of the feed-forward block and of the masked language model's head.
    #[serde(default = "defaults::gelu")]
    pub hidden_act: Activation,
    /// Activation of the pooler.
    #[serde(default = "defaults::gelu")]
    pub pooler_hidden_act: Activation,
    /// Whether attention knows distances.
    #[serde(default)]
    pub relative_attention: bool,
    /// Largest distance; below 1 it is `max_position_embeddings`.
    #[serde(default = "none")]
    pub max_relative_positions: i64,
    /// Number of logarithmic buckets on each side; below 1 every distance has its own.
    #[serde(default = "none")]
    pub position_buckets: i64,
    /// Whether absolute positions are added to the embeddings.
    #[serde(default = "defaults::yes")]
    pub position_biased_input: bool,
    /// Terms of the scores: `c2p`, `p2c`, as a list or joined by `|`.
    #[serde(default)]
    pub pos_att_type: Option<ListOrText>,
    /// Whether positions are projected as contents are.
    #[serde(default)]
    pub share_att_key: bool,
    /// `layer_norm` for a norm on the table of relative positions.
    #[serde(default)]
    pub norm_rel_ebd: String,
    /// Width of the convolution after the first layer; 0 for none.
    #[serde(default)]
    pub conv_kernel_size: usize,
    /// Groups of the convolution.
    #[serde(default = "one")]
    pub conv_groups: usize,
    /// Activation of the convolution.
    #[serde(default = "tanh")]
    pub conv_act: Activation,
    /// Whether the masked language model's head has BERT's form and names.
    #[serde(default = "defaults::yes")]
    pub legacy: bool,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

/// Several words, either way that DeBERTa's files write them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a list of words, or words joined by |")]
pub enum ListOrText {
    /// `["c2p", "p2c"]`.
    List(Vec<String>),
    /// `c2p|p2c`.
    Text(String),
}

fn epsilon() -> f64 {
    1e-7
}
fn none() -> i64 {
    -1
}
fn one() -> usize {
    1
}
fn tanh() -> Activation {
    Activation::Tanh
}

/// Which terms the scores have beside content with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreTerms {
    /// Content with position, `c2p`.
    pub content_to_position: bool,
    /// Position with content, `p2c`.
    pub position_to_content: bool,
}

impl DebertaV2Config {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let config: Self = checkpoint.parse_config()?;
        checkpoint.expect_heads(config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        let masked_lm = if self.legacy {
            bert::masked_lm(self.hidden_act)
        } else {
            MaskedLmNames {
                transform: TransformForm::with_biases(
                    "lm_predictions.lm_head.dense",
                    self.hidden_act,
                    "lm_predictions.lm_head.LayerNorm",
                ),
                decoder: "lm_predictions.lm_head",
                bias: Some("lm_predictions.lm_head.bias"),
            }
        };
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.d_embedding(),
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings || !self.legacy,
            max_tokens: self.position_biased_input.then_some(self.max_position_embeddings),
            sequence: SequenceForm::FirstToken {
                dense: "pooler.dense",
                activation: self.pooler_hidden_act,
                output: "classifier",
                // The pooler is no part of the pretrained model: an adapter without it comes back with another one.
                trained: &["pooler", "classifier"],
            },
            tokens: "classifier",
            transform: None,
            masked_lm: Some(masked_lm),
        }
    }

    /// Features of a token's embedding.
    pub fn d_embedding(&self) -> usize {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    /// The terms of the scores. They count for the scale even where attention is not relative, as in Hugging Face.
    pub fn terms(&self) -> ScoreTerms {
        let has = |term: &str| match &self.pos_att_type {
            None => false,
            Some(ListOrText::List(terms)) => terms.iter().any(|found| found == term),
            Some(ListOrText::Text(terms)) => {
                terms.to_lowercase().split('|').any(|found| found.trim() == term)
            }
        };
        ScoreTerms {
            content_to_position: has("c2p"),
            position_to_content: has("p2c"),
        }
    }

    /// How distances become rows of the table; `None` where attention is not relative.
    pub fn relative_positions(&self) -> Option<RelativePositions> {
        let largest = usize::try_from(self.max_relative_positions)
            .ok()
            .filter(|largest| *largest > 0);
        let largest = largest.unwrap_or(self.max_position_embeddings);
        let buckets = usize::try_from(self.position_buckets)
            .ok()
            .filter(|buckets| *buckets > 0);
        self.relative_attention.then_some(RelativePositions {
            span: buckets.unwrap_or(largest),
            bucketed_to: buckets.map(|_| largest),
        })
    }

    /// Whether the table of relative positions is normalized.
    pub fn normalizes_positions(&self) -> bool {
        let words = self.norm_rel_ebd.to_lowercase();
        self.relative_attention && words.split('|').any(|word| word.trim() == "layer_norm")
    }
}
