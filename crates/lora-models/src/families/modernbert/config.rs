//! The settings of ModernBERT in `config.json`.

use serde::Deserialize;

use crate::blocks::{Activation, LayerNorm, RopeScaling};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::families::defaults;
use crate::families::rope_settings::{RopeSettings, rope_of};
use crate::families::spec::{MaskedLmNames, ModelSpec, Pooling, SequenceForm, TransformForm};
use crate::weights::{Bias, Scope};

/// The keys of `config.json` that ModernBERT's outputs depend on; others are skipped. Keys that are absent have
/// Transformers' defaults.
#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are config.json's keys")]
pub struct ModernBertConfig {
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
    #[serde(default = "longest")]
    pub max_position_embeddings: usize,
    /// Activation in the feed-forward block.
    #[serde(default = "defaults::gelu")]
    pub hidden_activation: Activation,
    /// Epsilon of the layer norms.
    #[serde(default = "epsilon")]
    pub norm_eps: f64,
    /// Whether norms have a bias.
    #[serde(default)]
    pub norm_bias: bool,
    /// Whether the linears of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the linears of the feed-forward block have biases.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Tokens of a window: each token sees half as many on either side, and itself.
    #[serde(default = "window")]
    pub local_attention: usize,
    /// Layer 0 sees the whole text, and then each so-manieth; the others see their window.
    #[serde(default = "every_third")]
    pub global_attn_every_n_layers: usize,
    /// For each layer `full_attention` or `sliding_attention`, since Transformers 5.
    pub layer_types: Option<Vec<String>>,
    /// Base of the frequencies where the whole text is seen, in files before Transformers 5.
    pub global_rope_theta: Option<f32>,
    /// Base of the frequencies where a window is seen, in files before Transformers 5.
    pub local_rope_theta: Option<f32>,
    /// Base and scaling of the frequencies, since Transformers 5.
    pub rope_parameters: Option<RopeOfLayers>,
    /// Scaling of the frequencies of all layers, over what the others say.
    pub rope_scaling: Option<RopeSettings>,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// How the tokens of a sequence become one for the classifier.
    #[serde(default = "first_token")]
    pub classifier_pooling: String,
    /// Whether the heads' first linear has a bias.
    #[serde(default)]
    pub classifier_bias: bool,
    /// Activation after the heads' first linear.
    #[serde(default = "defaults::gelu")]
    pub classifier_activation: Activation,
    /// Whether the masked language model's decoder has a bias.
    #[serde(default = "defaults::yes")]
    pub decoder_bias: bool,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
    /// Base and scaling of the frequencies by [`AttentionSpan`], from the keys above.
    #[serde(skip)]
    pub(super) ropes: [(f32, RopeScaling); 2],
}

/// `rope_parameters` of the two kinds of layers.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RopeOfLayers {
    /// Where the whole text is seen.
    pub full_attention: Option<RopeSettings>,
    /// Where a window is seen.
    pub sliding_attention: Option<RopeSettings>,
}

fn longest() -> usize {
    8192
}
fn epsilon() -> f64 {
    1e-5
}
fn window() -> usize {
    128
}
fn every_third() -> usize {
    3
}
fn first_token() -> String {
    "cls".into()
}

/// What the tokens of a layer see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttentionSpan {
    /// The whole text.
    Global,
    /// Half a window on either side.
    Local,
}

impl ModernBertConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a key is missing or has a value that is not supported.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let mut config: Self = checkpoint.parse_config()?;
        checkpoint.expect_heads(config.hidden_size, config.num_attention_heads)?;
        let refuse = |key, found: &dyn ToString, supported| {
            Err(checkpoint.unsupported(key, &found.to_string(), supported))
        };
        let d_head = config.hidden_size / config.num_attention_heads;
        if !d_head.is_multiple_of(2) {
            return refuse(
                "hidden_size",
                &config.hidden_size,
                "an even number for each attention head",
            );
        }
        if let Some(kinds) = &config.layer_types {
            if kinds.len() != config.num_hidden_layers {
                return refuse("layer_types", &kinds.len(), "one for each of num_hidden_layers");
            }
            if let Some(other) = kinds.iter().find(|kind| AttentionSpan::named(kind).is_none()) {
                return refuse("layer_types", other, "full_attention, sliding_attention");
            }
        } else if config.global_attn_every_n_layers == 0 {
            return refuse("global_attn_every_n_layers", &0, "a number of at least 1");
        }
        if !["cls", "mean"].contains(&config.classifier_pooling.as_str()) {
            return refuse("classifier_pooling", &config.classifier_pooling, "cls, mean");
        }
        let RopeOfLayers {
            full_attention,
            sliding_attention,
        } = config.rope_parameters.clone().unwrap_or_default();
        let longest = config.max_position_embeddings;
        let scaling = config.rope_scaling.as_ref().filter(|given| given.names_kind());
        let rope = |settings: Option<RopeSettings>, theta: f32| {
            let settings = settings.unwrap_or_default();
            let theta = settings.rope_theta.unwrap_or(theta);
            rope_of(scaling.unwrap_or(&settings), theta, longest, checkpoint)
        };
        config.ropes = [
            rope(full_attention, config.global_rope_theta.unwrap_or(160_000.0))?,
            rope(sliding_attention, config.local_rope_theta.unwrap_or(10_000.0))?,
        ];
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        let transform = TransformForm {
            dense: "head.dense",
            dense_bias: Bias::present_if(self.classifier_bias),
            activation: self.classifier_activation,
            norm: "head.norm",
            norm_bias: Bias::present_if(self.norm_bias),
        };
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::Pooled(match self.classifier_pooling.as_str() {
                "mean" => Pooling::Mean,
                _ => Pooling::FirstToken,
            }),
            tokens: "classifier",
            transform: Some(transform),
            masked_lm: Some(MaskedLmNames {
                transform,
                decoder: "decoder",
                bias: self.decoder_bias.then_some("decoder.bias"),
            }),
        }
    }

    /// What the tokens of a layer see.
    pub(super) fn span(&self, layer: usize) -> AttentionSpan {
        match &self.layer_types {
            Some(kinds) => AttentionSpan::named(&kinds[layer]).unwrap_or(AttentionSpan::Global),
            None if layer.is_multiple_of(self.global_attn_every_n_layers) => AttentionSpan::Global,
            None => AttentionSpan::Local,
        }
    }

    /// A norm of this model.
    pub(super) fn layer_norm(&self, at: &Scope<'_>) -> Result<LayerNorm, LoadError> {
        at.layer_norm_with(self.hidden_size, self.norm_eps, Bias::present_if(self.norm_bias))
    }
}

impl AttentionSpan {
    fn named(kind: &str) -> Option<Self> {
        match kind {
            "full_attention" => Some(Self::Global),
            "sliding_attention" => Some(Self::Local),
            _ => None,
        }
    }
}
