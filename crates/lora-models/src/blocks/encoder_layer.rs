//! The layer of BERT and its descendants.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{
    Activation, EncoderContext, Encoding, FeedForward, LayerNorm, Layout, Projections, Reading,
    SelfAttention, linears_of, through_layers,
};
use crate::error::LoadError;
use crate::weights::Scope;

/// Attention and feed-forward, each followed by residual and norm (post-norm, as in Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct EncoderLayer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    output_norm: LayerNorm,
}

linears_of!(EncoderLayer: attention, feed_forward);

/// Where a family keeps the parts of a layer, below the layer's own path.
#[derive(Clone, Copy, Debug)]
pub struct EncoderLayerNames {
    /// Projection of the queries.
    pub query: &'static str,
    /// Projection of the keys.
    pub key: &'static str,
    /// Projection of the values.
    pub value: &'static str,
    /// Projection of the heads' outputs.
    pub attention_output: &'static str,
    /// Norm after the attention's residual.
    pub attention_norm: &'static str,
    /// First linear of the feed-forward block.
    pub up: &'static str,
    /// Second linear of the feed-forward block.
    pub down: &'static str,
    /// Norm after the feed-forward block's residual.
    pub output_norm: &'static str,
}

/// The sizes of a layer and what else its numbers depend on.
#[derive(Clone, Copy, Debug)]
pub struct EncoderSizes {
    /// Features of a hidden state.
    pub d_model: usize,
    /// Features inside the feed-forward block.
    pub d_ff: usize,
    /// Number of attention heads.
    pub n_heads: usize,
    /// Epsilon of the norms.
    pub epsilon: f64,
    /// Activation of the feed-forward block.
    pub activation: Activation,
}

/// The hidden states after all layers.
///
/// # Shapes
///
/// - embed, and what is observed: `[batch, seq, d_model]`, or `[1, tokens, d_model]` if the layout is packed
/// - output: `[batch, seq, d_model]`, or `[batch, 1, d_model]` if only the first token is read
pub fn encoder_layers(
    layers: &[EncoderLayer],
    embed: impl FnOnce() -> Tensor<3>,
    layout: &Layout<'_>,
    encoding: Encoding<'_>,
) -> Tensor<3> {
    let Encoding {
        reading,
        observe,
        below,
        packing: _,
    } = encoding;
    let seen = layout.seen();
    // The last layer may read fewer tokens.
    let first_alone = (reading == Reading::FirstToken && !layers.is_empty()).then(|| layout.seen_by_first());
    let hidden = through_layers(layers, embed, below, |index, layer, hidden, shared| {
        if index == 0 {
            observe(&hidden);
        }
        let is_last = index + 1 == layers.len();
        let hidden = match &first_alone {
            Some(seen) if is_last => {
                let first = layout.first_tokens(hidden.clone());
                layer.forward([first, hidden], seen, shared)
            }
            _ => layer.forward([hidden.clone(), hidden], &seen, shared),
        };
        observe(&hidden);
        hidden
    });
    if first_alone.is_some() {
        hidden
    } else {
        layout.padded(hidden)
    }
}

impl EncoderLayer {
    /// The layer whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    ///
    /// # Panics
    ///
    /// Panics if the heads do not divide the features.
    pub fn load(names: &EncoderLayerNames, sizes: &EncoderSizes, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_ff) = (sizes.d_model, sizes.d_ff);
        let projection = |name: &str| at.at(name).linear(d_model, d_model);
        let projections = [
            projection(names.query)?,
            projection(names.key)?,
            projection(names.value)?,
            projection(names.attention_output)?,
        ];
        let norm = |name: &str| at.at(name).layer_norm(d_model, sizes.epsilon);
        Ok(Self {
            attention: SelfAttention::new(projections, sizes.n_heads),
            attention_norm: norm(names.attention_norm)?,
            feed_forward: FeedForward::new(
                at.at(names.up).linear(d_model, d_ff)?,
                at.at(names.down).linear(d_ff, d_model)?,
                sizes.activation,
            ),
            output_norm: norm(names.output_norm)?,
        })
    }

    /// The layer's output for the tokens `read`, which attend to all `hidden`; `shared` is what passes over these states share.
    ///
    /// # Shapes
    ///
    /// - read, output: `[batch, tokens, d_model]`, or `[1, tokens, d_model]` packed
    /// - hidden: `[batch, seq, d_model]`, or `[1, tokens, d_model]` packed
    pub fn forward(
        &self,
        [read, hidden]: [Tensor<3>; 2],
        seen: &EncoderContext<'_>,
        shared: Option<&mut Projections>,
    ) -> Tensor<3> {
        let attended = self.attention.forward([read.clone(), hidden], seen, shared);
        let hidden = self.attention_norm.forward(read + attended);
        let fed = self.feed_forward.forward(hidden.clone(), &seen.read);
        self.output_norm.forward(hidden + fed)
    }
}
