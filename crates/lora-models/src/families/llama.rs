//! LLaMA 1, 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024) and the families that differ from it by settings:
//! Mistral (sliding window), Qwen2 (biases on query, key and value) and Qwen3 (norms on query and key heads).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lora_core::{Block, LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;
use serde::Deserialize;

use super::rope_settings::{RopeSettings, rope_of};
use super::{Family, Outline, SequenceForm};
use crate::blocks::{
    Activation, CausalSelfAttention, CausalSpan, Encoding, GatedFeedForward, Heads, KeyValueCache,
    LayerCache, Reading, RmsNorm, Rope, RopeScaling, Sight, Tokens, causal_bias, through_layers,
};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::Scope;

/// What the family is called.
pub const FAMILY: Family = Family {
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
    prefix: "model.",
    table: "embed_tokens",
    targets: &["q_proj", "v_proj"],
};

/// Transformers' default of Qwen's `max_window_layers`.
const QWEN_FULL_LAYERS: usize = 28;

/// The keys of `config.json` that the numbers depend on; others are passed over.
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
    #[serde(default = "deviation")]
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
fn deviation() -> f64 {
    0.02
}
fn silu() -> Activation {
    Activation::Silu
}

/// The decoder: embeddings, layers, norm.
#[derive(Module, Debug)]
pub struct Llama {
    embed_tokens: LoraEmbedding,
    layers: Vec<LlamaLayer>,
    norm: RmsNorm,
    #[module(skip)]
    rope: Rope,
}

/// Norm, attention, residual; norm, feed-forward, residual.
#[derive(Module, Debug)]
struct LlamaLayer {
    input_norm: RmsNorm,
    attention: CausalSelfAttention,
    post_attention_norm: RmsNorm,
    feed_forward: GatedFeedForward,
    #[module(skip)]
    window: Option<usize>,
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
        let given = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
        let (settings, theta) = (
            given.cloned().unwrap_or_default(),
            config.rope_theta.unwrap_or(10_000.0),
        );
        config.rope = rope_of(&settings, theta, config.max_position_embeddings, checkpoint)?;
        Ok(config)
    }

    /// What heads must know.
    pub fn outline(&self) -> Outline {
        Outline {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.rms_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::LastToken,
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

impl Llama {
    /// Builds the decoder from the tensors below `at`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a tensor has another shape than the configuration says.
    pub fn load(config: &LlamaConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let layers = (0..config.num_hidden_layers)
            .map(|layer| LlamaLayer::load(config, layer, &at.at(format!("layers.{layer}"))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            embed_tokens: at
                .at("embed_tokens")
                .embedding(config.vocab_size, config.hidden_size)?,
            layers,
            norm: at.at("norm").rms_norm(config.hidden_size, config.rms_norm_eps)?,
            rope: Rope::new(config.heads().d_head, config.rope.0, config.rope.1),
        })
    }

    /// The hidden states after the last norm; `observe` sees the embeddings, the states between the layers, and the
    /// output.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`; packed, what is observed is `[1, tokens, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        let packing = encoding.packing;
        let tokens = Tokens::of_batch(input, packing, &self.device());
        match packing {
            None => self.run(&tokens, None, pass, encoding),
            Some(packing) => {
                let noise = pass.packed_noise(packing);
                let pass = noise.as_ref().map_or(*pass, Pass::Stochastic);
                packing.padded(self.run(&tokens, None, &pass, encoding))
            }
        }
    }

    /// As [`Llama::encode`] for the tokens that follow those in the cache, which they join.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, seq, d_model]`
    pub fn advance(&self, tokens: &Tokens, cache: &mut KeyValueCache, pass: &Pass) -> Tensor<3> {
        let encoding = Encoding {
            reading: Reading::EveryToken,
            observe: &mut |_| {},
            below: None,
            packing: None,
        };
        self.run(tokens, Some(cache), pass, encoding)
    }

    fn run(
        &self,
        tokens: &Tokens,
        mut cache: Option<&mut KeyValueCache>,
        pass: &Pass,
        encoding: Encoding<'_>,
    ) -> Tensor<3> {
        let Encoding { observe, below, .. } = encoding;
        let device = self.device();
        let [_, seq] = tokens.dims();
        let before = cache.as_ref().map_or(0, |cache| cache.len());
        let rotation = self.rope.rotation(before, seq, &device);
        let mut sights: Vec<(Option<usize>, Sight)> = Vec::new(); // one for each window that layers have

        let embed = || self.embed_tokens.forward(tokens.ids.clone(), pass); // [batch, seq, d_model]
        let hidden = through_layers(&self.layers, embed, below, |index, layer, hidden, _| {
            observe(&hidden);
            let window = layer.window;
            if !sights.iter().any(|(known, _)| *known == window) {
                let group = layer.attention.heads.group();
                let span = CausalSpan {
                    before,
                    seq,
                    window,
                    group,
                };
                let bias = causal_bias(span, tokens.padding.clone(), &device);
                let rotation = Some(rotation.clone());
                let packing = tokens.packing.clone();
                sights.push((
                    window,
                    Sight {
                        rotation,
                        bias,
                        packing,
                    },
                ));
            }
            let known = sights.iter().find(|(known, _)| *known == window);
            let (_, sight) = known.expect("it was pushed where it was missing");
            let layer_cache = cache.as_mut().map(|cache| cache.layer(index));
            layer.forward(hidden, sight, layer_cache, pass)
        });
        let hidden = self.norm.forward(hidden);
        observe(&hidden);
        hidden
    }

    /// `[vocab_size, d_model]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.embed_tokens.table
    }

    fn device(&self) -> Device {
        self.embed_tokens.weight().device()
    }

    /// Calls `visit` with every linear.
    pub fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.embed_tokens.table);
        for layer in &self.layers {
            layer.attention.visit_linears(visit);
            layer.feed_forward.visit_linears(visit);
        }
    }

    /// Calls `visit` with every linear, to change it.
    pub fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.embed_tokens.table);
        for layer in &mut self.layers {
            layer.attention.visit_linears_mut(visit);
            layer.feed_forward.visit_linears_mut(visit);
        }
    }
}

impl LlamaLayer {
    fn load(config: &LlamaConfig, layer: usize, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_ff) = (config.hidden_size, config.intermediate_size);
        let heads = config.heads();
        let (d_query, d_key_value) = (heads.query * heads.d_head, heads.key_value * heads.d_head);
        let input_bias = config.attention_bias || config.model_type == "qwen2";
        let linear = |name: &str, bias: bool, d_input, d_output| {
            let at = at.at(name);
            if bias {
                at.linear(d_input, d_output)
            } else {
                at.linear_without_bias(d_input, d_output)
            }
        };
        let norm = |name: &str, size| at.at(name).rms_norm(size, config.rms_norm_eps);
        let head_norm = |name: &str| {
            (config.model_type == "qwen3")
                .then(|| norm(name, heads.d_head))
                .transpose()
        };
        let attention = CausalSelfAttention {
            projections: vec![
                linear("self_attn.q_proj", input_bias, d_model, d_query)?,
                linear("self_attn.k_proj", input_bias, d_model, d_key_value)?,
                linear("self_attn.v_proj", input_bias, d_model, d_key_value)?,
            ],
            output: linear("self_attn.o_proj", config.attention_bias, d_query, d_model)?
                .ending(Block::Attention),
            query_norm: head_norm("self_attn.q_norm")?,
            key_norm: head_norm("self_attn.k_norm")?,
            heads,
        };
        let feed_forward = GatedFeedForward {
            gate: linear("mlp.gate_proj", config.mlp_bias, d_model, d_ff)?,
            up: linear("mlp.up_proj", config.mlp_bias, d_model, d_ff)?,
            down: linear("mlp.down_proj", config.mlp_bias, d_ff, d_model)?.ending(Block::FeedForward),
            activation: config.hidden_act,
        };
        Ok(Self {
            input_norm: norm("input_layernorm", d_model)?,
            attention,
            post_attention_norm: norm("post_attention_layernorm", d_model)?,
            feed_forward,
            window: config.window(layer),
        })
    }

    fn forward(
        &self,
        hidden: Tensor<3>,
        sight: &Sight,
        cache: Option<&mut LayerCache>,
        pass: &Pass,
    ) -> Tensor<3> {
        let normed = self.input_norm.forward(hidden.clone());
        let hidden = hidden + self.attention.forward(normed, sight, cache, pass);
        let normed = self.post_attention_norm.forward(hidden.clone());
        hidden + self.feed_forward.forward(normed, pass)
    }
}
