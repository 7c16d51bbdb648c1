//! ModernBERT (Warner et al. 2024), as Hugging Face's `ModernBertModel` computes it: rotary positions, norms before the
//! blocks, gated feed-forward blocks, and layers that see the whole text between those that see a window of it.

mod config;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;
use lora_kernels::HIDDEN;

use self::config::AttentionSpan;
use super::Family;
use crate::blocks::{
    Activation, CausalContext, CausalSelfAttention, Encoding, Heads, LayerNorm, Rope, Tokens, linears_of,
    through_layers,
};
use crate::error::LoadError;
use crate::weights::{Bias, Scope};

pub use config::{ModernBertConfig, RopeOfLayers};

/// ModernBERT's names. PEFT has no targets of its own for it; ours are the attention's input projections, as PEFT chooses
/// for other families with one linear for all three.
pub const FAMILY: Family = Family {
    model_types: &["modernbert"],
    prefix: "model.",
    table: "embeddings.tok_embeddings",
    targets: &["Wqkv"],
};

/// The encoder: embeddings, layers, norm.
#[derive(Module, Debug)]
pub struct ModernBert {
    embeddings: LoraEmbedding,
    embeddings_norm: LayerNorm,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    /// By [`AttentionSpan`].
    #[module(skip)]
    ropes: [Rope; 2],
    /// How many tokens a window has on either side.
    #[module(skip)]
    reach: usize,
}

linears_of!(ModernBert: embeddings, layers);

/// Norm, attention, residual; norm, feed-forward, residual.
#[derive(Module, Debug)]
struct Layer {
    /// None in the first layer, whose input the embeddings' norm has normed.
    attention_norm: Option<LayerNorm>,
    attention: CausalSelfAttention,
    feed_forward_norm: LayerNorm,
    feed_forward: FusedGate,
    #[module(skip)]
    span: AttentionSpan,
}

linears_of!(Layer: attention, feed_forward);

/// `(activation(x W₁) ⊙ x W₂) W₃` (Shazeer 2020; with gelu: `GeGLU`), where one linear holds `W₁` and `W₂` side by side.
#[derive(Module, Debug)]
struct FusedGate {
    /// `[d_model, 2 · d_ff]`.
    input: LoraLinear,
    /// `[d_ff, d_model]`.
    output: LoraLinear,
    #[module(skip)]
    activation: Activation,
}

linears_of!(FusedGate: input, output);

impl ModernBert {
    /// Builds the encoder from the tensors below `at`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a tensor has another shape than the configuration says.
    pub fn load(config: &ModernBertConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.hidden_size;
        let d_head = d_model / config.num_attention_heads;
        let embeddings = at.at("embeddings");
        Ok(Self {
            embeddings: embeddings
                .at("tok_embeddings")
                .embedding(config.vocab_size, d_model)?,
            embeddings_norm: config.layer_norm(&embeddings.at("norm"))?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| Layer::load(config, layer, &at.at(format!("layers.{layer}"))))
                .collect::<Result<_, _>>()?,
            final_norm: config.layer_norm(&at.at("final_norm"))?,
            ropes: config
                .ropes
                .map(|(theta, scaling)| Rope::new(d_head, theta, scaling)),
            reach: config.local_attention / 2,
        })
    }

    /// The hidden states after the last norm; `observe` sees the embeddings, the states between the layers, and the
    /// output.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        let Encoding { observe, below, .. } = encoding;
        let device = self.embeddings.weight().device();
        let Tokens { ids, padding, .. } = Tokens::of_batch(input, None, &device);
        let [global, local] =
            [&self.ropes[0], &self.ropes[1]].map(|rope| Some(rope.rotation(0, input.seq, &device)));
        let global = CausalContext {
            rotation: global,
            bias: padding.clone(),
            packing: None,
        };
        let local = CausalContext {
            rotation: local,
            bias: window_bias(input.seq, self.reach, padding, &device),
            packing: None,
        };
        let embed = || self.embeddings_norm.forward(self.embeddings.forward(ids, pass)); // [batch, seq, d_model]
        let hidden = through_layers(&self.layers, embed, below, |_, layer, hidden, _| {
            observe(&hidden);
            let seen = match layer.span {
                AttentionSpan::Global => &global,
                AttentionSpan::Local => &local,
            };
            layer.forward(hidden, seen, pass)
        });
        let hidden = self.final_norm.forward(hidden);
        observe(&hidden);
        hidden
    }

    /// `[vocab_size, d_model]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.embeddings.table
    }
}

impl Layer {
    fn load(config: &ModernBertConfig, layer: usize, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_ff) = (config.hidden_size, config.intermediate_size);
        let n_heads = config.num_attention_heads;
        let [in_attention, in_feed_forward] = [config.attention_bias, config.mlp_bias].map(Bias::present_if);
        let attention = CausalSelfAttention {
            projections: vec![
                at.at("attn.Wqkv")
                    .linear_with(d_model, 3 * d_model, in_attention)?,
            ],
            output: at
                .at("attn.Wo")
                .linear_with(d_model, d_model, in_attention)?
                .ending(BottleneckBlock::Attention),
            query_norm: None,
            key_norm: None,
            heads: Heads {
                query: n_heads,
                key_value: n_heads,
                d_head: d_model / n_heads,
            },
        };
        let feed_forward = FusedGate {
            input: at.at("mlp.Wi").linear_with(d_model, 2 * d_ff, in_feed_forward)?,
            output: at
                .at("mlp.Wo")
                .linear_with(d_ff, d_model, in_feed_forward)?
                .ending(BottleneckBlock::FeedForward),
            activation: config.hidden_activation,
        };
        let attention_norm = (layer > 0).then(|| config.layer_norm(&at.at("attn_norm")));
        Ok(Self {
            attention_norm: attention_norm.transpose()?,
            attention,
            feed_forward_norm: config.layer_norm(&at.at("mlp_norm"))?,
            feed_forward,
            span: config.span(layer),
        })
    }

    fn forward(&self, hidden: Tensor<3>, seen: &CausalContext, pass: &Pass) -> Tensor<3> {
        let normed = match &self.attention_norm {
            Some(norm) => norm.forward(hidden.clone()),
            None => hidden.clone(),
        };
        let hidden = hidden + self.attention.forward(normed, seen, None, pass);
        let normed = self.feed_forward_norm.forward(hidden.clone());
        hidden + self.feed_forward.forward(normed, pass)
    }
}

impl FusedGate {
    /// # Shapes
    ///
    /// - input, output: `[batch, seq, d_model]`
    fn forward(&self, input: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let both = self.input.forward(input, pass); // [batch, seq, 2 · d_ff]
        let d_ff = both.dims()[2] / 2;
        let gate = self.activation.forward(both.clone().narrow(2, 0, d_ff));
        let hidden = gate * both.narrow(2, d_ff, d_ff); // [batch, seq, d_ff]
        pass.cut_hidden(self.output.path(), self.output.forward(hidden, pass))
    }
}

/// The bias that hides padding and tokens that are more than `reach` places away; none if nothing is hidden.
///
/// # Shapes
///
/// - padding: `[batch, 1, 1, seq]`
/// - output: `[batch or 1, 1, seq or 1, seq]`
fn window_bias(seq: usize, reach: usize, padding: Option<Tensor<4>>, device: &Device) -> Option<Tensor<4>> {
    if seq <= reach + 1 {
        return padding;
    }
    let places = (0..seq).flat_map(|query| (0..seq).map(move |key| query.abs_diff(key)));
    let values = places.map(|distance| if distance > reach { HIDDEN as f32 } else { 0.0 });
    let window = Tensor::from_data(
        TensorData::new(values.collect::<Vec<_>>(), [1, 1, seq, seq]),
        device,
    );
    Some(match padding {
        Some(padding) => window + padding,
        None => window,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_window_reaches_as_far_to_either_side() {
        let bias = window_bias(5, 1, None, &Device::default()).unwrap();
        let rows = bias.into_data().try_to_vec::<f32>().unwrap();
        let seen: Vec<Vec<usize>> = rows
            .chunks(5)
            .map(|row| (0..5).filter(|key| row[*key] == 0.0).collect())
            .collect();
        assert_eq!(
            seen,
            [
                vec![0, 1],
                vec![0, 1, 2],
                vec![1, 2, 3],
                vec![2, 3, 4],
                vec![3, 4]
            ]
        );
    }

    #[test]
    fn a_text_within_reach_needs_no_window() {
        assert!(window_bias(3, 2, None, &Device::default()).is_none());
        assert!(window_bias(4, 2, None, &Device::default()).is_some());
    }
}
