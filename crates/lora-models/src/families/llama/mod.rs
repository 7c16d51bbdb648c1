//! LLaMA 1, 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024) and the families that differ from it by settings:
//! Mistral (sliding window), Qwen2 (biases on query, key and value) and Qwen3 (norms on query and key heads).

mod config;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraEmbedding, LoraLinear, Pass};

use super::Family;
use crate::blocks::{
    CausalContext, CausalDecoder, CausalSelfAttention, CausalSpan, Encoding, GatedFeedForward, KeyValueCache,
    LayerCache, RmsNorm, Rope, Tokens, causal_bias, linears_of, through_layers,
};
use crate::error::LoadError;
use crate::weights::Scope;

pub use config::LlamaConfig;

/// What the family is called.
pub const FAMILY: Family = Family {
    model_types: &["llama", "mistral", "qwen2", "qwen3"],
    prefix: "model.",
    table: "embed_tokens",
    targets: &["q_proj", "v_proj"],
};

/// What Transformers has before the paths of the decoder in its classes for question answering, but for Mistral's.
pub(super) const OLD_PREFIX: &str = "transformer.";

/// The decoder: embeddings, layers, norm.
#[derive(Module, Debug)]
pub struct Llama {
    embed_tokens: LoraEmbedding,
    layers: Vec<LlamaLayer>,
    norm: RmsNorm,
    #[module(skip)]
    rope: Rope,
}

linears_of!(Llama: embed_tokens, layers);

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

linears_of!(LlamaLayer: attention, feed_forward);

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

    /// `[vocab_size, d_model]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.embed_tokens.table
    }
}

impl CausalDecoder for Llama {
    fn device(&self) -> Device {
        self.embed_tokens.weight().device()
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
        let mut contexts: Vec<(Option<usize>, CausalContext)> = Vec::new(); // one for each window that layers have

        let embed = || self.embed_tokens.forward(tokens.ids.clone(), pass); // [batch, seq, d_model]
        let hidden = through_layers(&self.layers, embed, below, |index, layer, hidden, _| {
            observe(&hidden);
            let window = layer.window;
            if !contexts.iter().any(|(known, _)| *known == window) {
                let span = CausalSpan { before, seq, window };
                let bias = causal_bias(span, tokens.padding.clone(), &device);
                let rotation = Some(rotation.clone());
                let packing = tokens.packing.clone();
                contexts.push((
                    window,
                    CausalContext {
                        rotation,
                        bias,
                        packing,
                    },
                ));
            }
            let known = contexts.iter().find(|(known, _)| *known == window);
            let (_, causal) = known.expect("it was pushed where it was missing");
            let layer_cache = cache.as_mut().map(|cache| cache.layer(index));
            layer.forward(hidden, causal, layer_cache, pass)
        });
        let hidden = self.norm.forward(hidden);
        observe(&hidden);
        hidden
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
                .ending(BottleneckBlock::Attention),
            query_norm: head_norm("self_attn.q_norm")?,
            key_norm: head_norm("self_attn.k_norm")?,
            heads,
        };
        let feed_forward = GatedFeedForward {
            gate: linear("mlp.gate_proj", config.mlp_bias, d_model, d_ff)?,
            up: linear("mlp.up_proj", config.mlp_bias, d_model, d_ff)?,
            down: linear("mlp.down_proj", config.mlp_bias, d_ff, d_model)?
                .ending(BottleneckBlock::FeedForward),
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
        causal: &CausalContext,
        cache: Option<&mut LayerCache>,
        pass: &Pass,
    ) -> Tensor<3> {
        let normed = self.input_norm.forward(hidden.clone());
        let hidden = hidden + self.attention.forward(normed, causal, cache, pass);
        let normed = self.post_attention_norm.forward(hidden.clone());
        hidden + self.feed_forward.forward(normed, pass)
    }
}
