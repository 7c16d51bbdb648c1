//! GPT-2 (Radford et al. 2019). Its linears are stored as `[d_input, d_output]`, the transpose of everyone else's.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use serde::Deserialize;

use super::{Family, ModelSpec, SequenceForm, defaults};
use crate::blocks::{
    Activation, CausalContext, CausalDecoder, CausalSelfAttention, CausalSpan, Encoding, FeedForward, Heads,
    KeyValueCache, LayerCache, LayerNorm, Tokens, causal_bias, linears_of, through_layers,
};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::Scope;

/// What the family is called.
pub const FAMILY: Family = Family {
    model_types: &["gpt2"],
    prefix: "transformer.",
    table: "wte",
    targets: &["c_attn"],
};

/// The keys of `config.json` that GPT-2's outputs depend on; others are skipped.
#[derive(Clone, Debug, Deserialize)]
pub struct Gpt2Config {
    /// `d_model`.
    pub n_embd: usize,
    /// Number of layers.
    pub n_layer: usize,
    /// `n_heads`.
    pub n_head: usize,
    /// Longest sequence.
    pub n_positions: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// `d_ff`; four times `d_model` if not given.
    pub n_inner: Option<usize>,
    /// Activation of the feed-forward block.
    #[serde(default = "gelu_new")]
    pub activation_function: Activation,
    /// Epsilon of the norms.
    #[serde(default = "tiny")]
    pub layer_norm_epsilon: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Whether scores are divided by `√d_head`; only yes is known.
    #[serde(default = "defaults::yes")]
    pub scale_attn_weights: bool,
    /// Whether scores are divided by the number of the layer too; only no is known.
    #[serde(default)]
    pub scale_attn_by_inverse_layer_idx: bool,
    /// The padding token, which the head on a sequence does not read.
    pub pad_token_id: Option<i32>,
    /// Whether the output layer is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

fn gelu_new() -> Activation {
    Activation::GeluTanh
}
fn tiny() -> f64 {
    1e-5
}

/// The decoder: embeddings of tokens and positions, layers, norm.
#[derive(Module, Debug)]
pub struct Gpt2 {
    wte: LoraEmbedding,
    wpe: LoraEmbedding,
    layers: Vec<Gpt2Layer>,
    ln_f: LayerNorm,
}

linears_of!(Gpt2: wte, wpe, layers);

/// Norm, attention, residual; norm, feed-forward, residual.
#[derive(Module, Debug)]
struct Gpt2Layer {
    ln_1: LayerNorm,
    attention: CausalSelfAttention,
    ln_2: LayerNorm,
    feed_forward: FeedForward,
}

linears_of!(Gpt2Layer: attention, feed_forward);

impl Gpt2Config {
    /// The settings in `config.json`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a key is missing or has a value that is not supported.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let config: Self = checkpoint.parse_config()?;
        if config.n_head == 0 || !config.n_embd.is_multiple_of(config.n_head) {
            return Err(checkpoint.unsupported("n_head", &config.n_head.to_string(), "a divisor of n_embd"));
        }
        if !config.scale_attn_weights {
            return Err(checkpoint.unsupported("scale_attn_weights", "false", "true"));
        }
        if config.scale_attn_by_inverse_layer_idx {
            return Err(checkpoint.unsupported("scale_attn_by_inverse_layer_idx", "true", "false"));
        }
        Ok(config)
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            d_model: self.n_embd,
            d_embedding: self.n_embd,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_epsilon,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.n_positions),
            sequence: SequenceForm::LastToken {
                padding: self.pad_token_id,
            },
            tokens: "classifier",
            transform: None,
            masked_lm: None,
        }
    }
}

impl Gpt2 {
    /// Builds the decoder from the tensors below `at`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a tensor has another shape than the configuration says.
    pub fn load(config: &Gpt2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let layers = (0..config.n_layer)
            .map(|layer| Gpt2Layer::load(config, &at.at(format!("h.{layer}"))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            wte: at.at("wte").embedding(config.vocab_size, config.n_embd)?,
            wpe: at.at("wpe").embedding(config.n_positions, config.n_embd)?,
            layers,
            ln_f: at
                .at("ln_f")
                .layer_norm(config.n_embd, config.layer_norm_epsilon)?,
        })
    }

    /// `[vocab_size, d_model]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.wte.table
    }
}

impl CausalDecoder for Gpt2 {
    fn device(&self) -> Device {
        self.wte.weight().device()
    }

    /// # Panics
    ///
    /// Panics if the model has no more positions.
    fn run(
        &self,
        tokens: &Tokens,
        mut cache: Option<&mut KeyValueCache>,
        pass: &Pass,
        encoding: Encoding<'_>,
    ) -> Tensor<3> {
        let Encoding { observe, below, .. } = encoding;
        let device = self.device();
        let [batch, seq] = tokens.dims();
        let before = cache.as_ref().map_or(0, |cache| cache.len());
        let positions =
            Tensor::<1, Int>::arange(before as i64..(before + seq) as i64, &device).unsqueeze::<2>(); // [1, seq]
        let span = CausalSpan {
            before,
            seq,
            window: None,
        };
        let causal = CausalContext {
            rotation: None,
            bias: causal_bias(span, tokens.padding.clone(), &device),
            packing: tokens.packing.clone(),
        };
        // [batch, seq, d_model], or [1, tokens, d_model] packed
        let embed = || {
            let positions = match &tokens.packing {
                None => self.wpe.forward_shared(positions, batch, pass),
                Some(packing) => {
                    let places: Vec<i32> = (0..batch).flat_map(|_| 0..seq as i32).collect();
                    let places = packing.of_tokens(&places);
                    let places = TensorData::new(places, [1, packing.tokens()]);
                    self.wpe.forward(Tensor::from_data(places, &device), pass)
                }
            };
            self.wte.forward(tokens.ids.clone(), pass) + positions
        };
        let hidden = through_layers(&self.layers, embed, below, |index, layer, hidden, _| {
            observe(&hidden);
            let layer_cache = cache.as_mut().map(|cache| cache.layer(index));
            layer.forward(hidden, &causal, layer_cache, pass)
        });
        let hidden = self.ln_f.forward(hidden);
        observe(&hidden);
        hidden
    }
}

impl Gpt2Layer {
    fn load(config: &Gpt2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.n_embd;
        let d_ff = config.n_inner.unwrap_or(4 * d_model);
        let linear = |name: &str, d_input, d_output| at.at(name).linear_transposed(d_input, d_output);
        let norm = |name: &str| at.at(name).layer_norm(d_model, config.layer_norm_epsilon);
        Ok(Self {
            ln_1: norm("ln_1")?,
            attention: CausalSelfAttention {
                projections: vec![linear("attn.c_attn", d_model, 3 * d_model)?],
                output: linear("attn.c_proj", d_model, d_model)?.ending(BottleneckBlock::Attention),
                query_norm: None,
                key_norm: None,
                heads: Heads {
                    query: config.n_head,
                    key_value: config.n_head,
                    d_head: d_model / config.n_head,
                },
            },
            ln_2: norm("ln_2")?,
            feed_forward: FeedForward::new(
                linear("mlp.c_fc", d_model, d_ff)?,
                linear("mlp.c_proj", d_ff, d_model)?,
                config.activation_function,
            ),
        })
    }

    fn forward(
        &self,
        hidden: Tensor<3>,
        causal: &CausalContext,
        cache: Option<&mut LayerCache>,
        pass: &Pass,
    ) -> Tensor<3> {
        let normed = self.ln_1.forward(hidden.clone());
        let hidden = hidden + self.attention.forward(normed, causal, cache, pass);
        let normed = self.ln_2.forward(hidden.clone());
        hidden + self.feed_forward.forward(normed, pass)
    }
}
