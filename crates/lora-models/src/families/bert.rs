//! BERT (Devlin et al. 2018), as Hugging Face's `BertModel` computes it, without the base model's own dropout:
//! regularization is the adapters' business here.

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

/// BERT's names.
pub const FAMILY: Family = Family {
    model_types: &["bert"],
    prefix: "bert.",
    targets: &["query", "value"],
};

/// The paths of a layer below `encoder.layer.N`; BERT's descendants share them.
pub(super) const LAYER: EncoderLayerNames = EncoderLayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

/// The paths of the masked language model's head; DeBERTa shares them.
pub(super) const MASKED_LM: MaskedLmNames = MaskedLmNames {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    decoder: "cls.predictions.decoder",
    bias: "cls.predictions.bias",
    activation: Activation::Gelu,
};

/// The keys of `config.json` that BERT's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct BertConfig {
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
    pub max_position_embeddings: usize,
    /// Number of segments.
    #[serde(default = "defaults::two")]
    pub type_vocab_size: usize,
    /// Epsilon of the layer norms.
    #[serde(default = "defaults::epsilon")]
    pub layer_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "defaults::deviation")]
    pub initializer_range: f64,
    /// Activation of the feed-forward block and of the masked language model's head.
    #[serde(default = "defaults::gelu")]
    pub hidden_act: Activation,
    /// Kind of positions; only `absolute` is known.
    #[serde(default = "defaults::absolute")]
    pub position_embedding_type: String,
    /// Whether the masked language model's decoder is the table of token embeddings.
    #[serde(default = "defaults::yes")]
    pub tie_word_embeddings: bool,
}

/// The encoder: embeddings and layers.
#[derive(Module, Debug)]
pub struct Bert {
    word_embeddings: LoraEmbedding,
    position_embeddings: LoraEmbedding,
    token_type_embeddings: LoraEmbedding,
    embeddings_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
}

impl BertConfig {
    /// The settings of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`], [`LoadError::Setting`].
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let config: Self = checkpoint.parse_config()?;
        checkpoint.expect_heads(config.hidden_size, config.num_attention_heads)?;
        checkpoint.expect(
            "position_embedding_type",
            &config.position_embedding_type,
            "absolute",
        )?;
        Ok(config)
    }

    /// What heads must know.
    pub fn outline(&self) -> Outline {
        Outline {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::FirstToken {
                dense: "bert.pooler.dense",
                activation: Activation::Tanh,
                output: "classifier",
                trained: &["classifier"],
            },
            masked_lm: Some(MaskedLmNames {
                activation: self.hidden_act,
                ..MASKED_LM
            }),
        }
    }
}

impl Bert {
    /// The encoder whose path is that of the scope, without the dot of the prefix.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &BertConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.hidden_size;
        let sizes = EncoderSizes {
            d_model,
            d_ff: config.intermediate_size,
            n_heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            activation: config.hidden_act,
        };
        let embeddings = at.at("embeddings");
        let table = |name: &str, count| embeddings.at(name).embedding(count, d_model);
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            token_type_embeddings: table("token_type_embeddings", config.type_vocab_size)?,
            embeddings_norm: embeddings
                .at("LayerNorm")
                .layer_norm(d_model, config.layer_norm_eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| EncoderLayer::load(&LAYER, &sizes, &at.at(format!("encoder.layer.{layer}"))))
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
                .token_type_embeddings
                .forward(layout.ids(&input.token_type_ids), pass)
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
        for embedding in [
            &self.word_embeddings,
            &self.position_embeddings,
            &self.token_type_embeddings,
        ] {
            visit(&embedding.table);
        }
        self.layers.iter().for_each(|layer| layer.visit_linears(visit));
    }

    /// Calls `visit` with every linear, to change it.
    pub fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        for embedding in [
            &mut self.word_embeddings,
            &mut self.position_embeddings,
            &mut self.token_type_embeddings,
        ] {
            visit(&mut embedding.table);
        }
        self.layers
            .iter_mut()
            .for_each(|layer| layer.visit_linears_mut(visit));
    }
}
