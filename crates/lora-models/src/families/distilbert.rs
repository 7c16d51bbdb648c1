//! DistilBERT (Sanh et al. 2019), as Hugging Face's `DistilBertModel` computes it: BERT's layers under other names, without
//! segments.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;
use serde::Deserialize;

use super::{Family, MaskedLmNames, Outline, SequenceForm, defaults};
use crate::blocks::{
    Activation, EncoderLayer, EncoderLayerNames, EncoderSizes, Encoding, LayerNorm, Layout, encoder_layers,
};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::Scope;

/// DistilBERT's names.
pub const FAMILY: Family = Family {
    model_types: &["distilbert"],
    prefix: "distilbert.",
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

/// The keys of `config.json` that DistilBERT's numbers depend on; others are passed over.
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

/// The encoder: embeddings and layers.
#[derive(Module, Debug)]
pub struct DistilBert {
    word_embeddings: LoraEmbedding,
    position_embeddings: LoraEmbedding,
    embeddings_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
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
    pub fn outline(&self) -> Outline {
        Outline {
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
            masked_lm: Some(MaskedLmNames {
                dense: "vocab_transform",
                norm: "vocab_layer_norm",
                decoder: "vocab_projector",
                bias: "vocab_projector.bias",
                activation: self.activation,
            }),
        }
    }
}

impl DistilBert {
    /// The encoder whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &DistilBertConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.dim;
        let sizes = EncoderSizes {
            d_model,
            d_ff: config.hidden_dim,
            n_heads: config.n_heads,
            epsilon: EPSILON,
            activation: config.activation,
        };
        let embeddings = at.at("embeddings");
        let table = |name: &str, count| embeddings.at(name).embedding(count, d_model);
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            embeddings_norm: embeddings.at("LayerNorm").layer_norm(d_model, EPSILON)?,
            layers: (0..config.n_layers)
                .map(|layer| EncoderLayer::load(&LAYER, &sizes, &at.at(format!("transformer.layer.{layer}"))))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The hidden states of the last layer.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`; of the last layer `[batch, 1, d_model]` if only the first
    ///   token is read; packed, what is observed is `[1, tokens, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        let device = &self.word_embeddings.weight().device();
        let layout = Layout::new(input, pass, encoding.packing, device);
        let embed = || self.embed(input, &layout);
        encoder_layers(&self.layers, embed, &layout, encoding)
    }

    /// `[batch, seq, d_model]`, or `[1, tokens, d_model]` packed.
    fn embed(&self, input: &Batch, layout: &Layout<'_>) -> Tensor<3> {
        let pass = &layout.pass();
        let embedded = self.word_embeddings.forward(layout.ids(&input.input_ids), pass)
            + self
                .position_embeddings
                .forward_shared(layout.places(), layout.sharing(), pass);
        self.embeddings_norm.forward(embedded)
    }

    /// The table of token embeddings, `[vocab_size, d_model]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.word_embeddings.table
    }

    /// Calls `visit` with every linear.
    pub fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.word_embeddings.table);
        visit(&self.position_embeddings.table);
        self.layers.iter().for_each(|layer| layer.visit_linears(visit));
    }

    /// Calls `visit` with every linear, to change it.
    pub fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.word_embeddings.table);
        visit(&mut self.position_embeddings.table);
        self.layers
            .iter_mut()
            .for_each(|layer| layer.visit_linears_mut(visit));
    }
}
