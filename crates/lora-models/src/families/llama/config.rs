//! The settings of LLaMA and its relatives, from `config.json`.

use serde::Deserialize;

use crate::blocks::{Activation, Heads, RopeScaling};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::families::defaults;
use crate::families::rope_settings::{RopeSettings, rope_of};
use crate::families::spec::{ModelSpec, SequenceForm};

/// Transformers' default of Qwen's `max_window_layers`.
const QWEN_FULL_LAYERS: usize = 28;

/// The keys of `config.json` that the outputs depend on; others are skipped.
#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the keys of config.json")]
pub struct LlamaConfig {
    /// Which of the families it is.
    pub model_type: String,
    /// `d_model`.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// `n_heads`.
    pub num_attention_heads: usize,
    /// Heads of key and value; as many as `n_heads` if not given.
    pub num_key_value_heads: Option<usize>,
    /// `d_head`; `d_model / n_heads` if not given.
    pub head_dim: Option<usize>,
    /// `d_ff`.
    pub intermediate_size: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence of pretraining.
    pub max_position_embeddings: usize,
    /// Epsilon of the norms.
    #[serde(default = "tiny")]
    pub rms_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Activation of the gate.
    #[serde(default = "silu")]
    pub hidden_act: Activation,
    /// Whether the linears of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether the linears of the feed-forward block have biases.
    #[serde(default)]
    pub mlp_bias: bool,
    /// The padding token, which the head on a sequence does not read.
    pub pad_token_id: Option<i32>,
    /// Whether the output layer is the table of token embeddings.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Base of the frequencies, in files before Transformers 5.
    pub rope_theta: Option<f32>,
    /// Scaling of the frequencies, in files before Transformers 5.
    pub rope_scaling: Option<RopeSettings>,
    /// Base and scaling of the frequencies, since Transformers 5.
    pub rope_parameters: Option<RopeSettings>,
    /// How many tokens a token sees, itself included; see [`LlamaConfig::window`].
    pub sliding_window: Option<usize>,
    /// Qwen's switch for the window.
    #[serde(default)]
    pub use_sliding_window: bool,
    /// Qwen's number of the first layer with a window.
    pub max_window_layers: Option<usize>,
    /// For each layer `full_attention` or `sliding_attention`.
    pub layer_types: Option<Vec<String>>,
    /// Base and scaling of the frequencies, from the three keys above.
    #[serde(skip)]
    pub rope: (f32, RopeScaling),
}

fn tiny() -> f64 {
    1e-6
}
fn silu() -> Activation {
    Activation::Silu
}

impl LlamaConfig {
    /// The settings in `config.json`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a key is missing or has a value that is not supported.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let mut config: Self = checkpoint.parse_config()?;
        if checkpoint.config.get("sliding_window").is_none() {
            // Transformers' default; `null` turns the window off.
            config.sliding_window = Some(4096);
        }
        let heads = config.heads();
        let refuse = |key, found: &dyn ToString, supported| {
            Err(checkpoint.unsupported(key, &found.to_string(), supported))
        };
        if heads.key_value == 0 || !heads.query.is_multiple_of(heads.key_value) {
            return refuse(
                "num_key_value_heads",
                &heads.key_value,
                "a divisor of num_attention_heads",
            );
        }
        if heads.d_head == 0 || !heads.d_head.is_multiple_of(2) {
            return refuse("head_dim", &heads.d_head, "an even number");
        }
        if let Some(types) = config.qwen_layer_types() {
            if types.len() != config.num_hidden_layers {
                return refuse("layer_types", &types.len(), "one for each of num_hidden_layers");
            }
            if let Some(other) = types
                .iter()
                .find(|kind| !["full_attention", "sliding_attention"].contains(&kind.as_str()))
            {
                return refuse("layer_types", other, "full_attention, sliding_attention");
            }
        }
        // Of both, as an edited file may have them, Transformers takes the older.
        let scaling = config.rope_scaling.as_ref().filter(|given| given.names_kind());
        let given = scaling.or(config.rope_parameters.as_ref());
        let (settings, theta) = (
            given.cloned().unwrap_or_default(),
            config.rope_theta.unwrap_or(10_000.0),
        );
        config.rope = rope_of(&settings, theta, config.max_position_embeddings, checkpoint)?;
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.rms_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::LastToken {
                padding: self.pad_token_id,
            },
            tokens: "score",
            transform: None,
            masked_lm: None,
        }
    }

    /// How features are shared out to heads.
    pub fn heads(&self) -> Heads {
        let n_heads = self.num_attention_heads;
        Heads {
            query: n_heads,
            key_value: self.num_key_value_heads.unwrap_or(n_heads),
            d_head: self.head_dim.unwrap_or(self.hidden_size / n_heads.max(1)),
        }
    }

    /// The window of a layer: Mistral's on every layer, Qwen's where it is switched on, from `max_window_layers` on or as
    /// `layer_types` says.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let has_window = match (self.model_type.as_str(), self.qwen_layer_types()) {
            ("llama", _) => false,
            ("mistral", _) => true,
            (_, Some(types)) => self.use_sliding_window && types[layer] == "sliding_attention",
            (_, None) => {
                self.use_sliding_window && layer >= self.max_window_layers.unwrap_or(QWEN_FULL_LAYERS)
            }
        };
        self.sliding_window.filter(|_| has_window)
    }

    /// The kinds of the layers, which the other families pass over.
    fn qwen_layer_types(&self) -> Option<&[String]> {
        let is_qwen = self.model_type.starts_with("qwen");
        self.layer_types.as_deref().filter(|_| is_qwen)
    }
}
