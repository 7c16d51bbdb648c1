//! ELECTRA (Clark et al. 2020), as Hugging Face's `ElectraModel` computes it: BERT's layers on embeddings of a size of
//! their own. Discriminators and generators differ in their sizes alone.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;
use serde::Deserialize;

use super::bert::LAYER;
use super::{Family, MaskedLmNames, Outline, SequenceForm, defaults};
use crate::blocks::{Activation, EncoderLayer, EncoderSizes, Encoding, LayerNorm, Layout, encoder_layers};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::Scope;

/// ELECTRA's names.
pub const FAMILY: Family = Family {
    model_types: &["electra"],
    prefix: "electra.",
    targets: &["query", "value"],
};

/// The keys of `config.json` that ELECTRA's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct ElectraConfig {
    /// `d_model`.
    pub hidden_size: usize,
    /// `d_embedding`; where it is not `d_model`, a linear leads from one to the other.
    pub embedding_size: usize,
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
    /// Activation of the feed-forward block.
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
pub struct Electra {
    word_embeddings: LoraEmbedding,
    position_embeddings: LoraEmbedding,
    token_type_embeddings: LoraEmbedding,
    embeddings_norm: LayerNorm,
    /// `[d_embedding, d_model]`.
    project: Option<LoraLinear>,
    layers: Vec<EncoderLayer>,
}

impl ElectraConfig {
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
            d_embedding: self.embedding_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings),
            sequence: SequenceForm::FirstToken {
                dense: "classifier.dense",
                activation: Activation::Gelu,
                output: "classifier.out_proj",
                trained: &["classifier"],
            },
            masked_lm: Some(MaskedLmNames {
                dense: "generator_predictions.dense",
                norm: "generator_predictions.LayerNorm",
                decoder: "generator_lm_head",
                bias: "generator_lm_head.bias",
                activation: Activation::Gelu,
            }),
        }
    }
}

impl Electra {
    /// The encoder whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &ElectraConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_embedding) = (config.hidden_size, config.embedding_size);
        let sizes = EncoderSizes {
            d_model,
            d_ff: config.intermediate_size,
            n_heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            activation: config.hidden_act,
        };
        let embeddings = at.at("embeddings");
        let table = |name: &str, count| embeddings.at(name).embedding(count, d_embedding);
        let project = (d_embedding != d_model)
            .then(|| at.at("embeddings_project").linear(d_embedding, d_model))
            .transpose()?;
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            token_type_embeddings: table("token_type_embeddings", config.type_vocab_size)?,
            embeddings_norm: embeddings
                .at("LayerNorm")
                .layer_norm(d_embedding, config.layer_norm_eps)?,
            project,
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
        let embedded = self.embeddings_norm.forward(embedded); // [batch, seq, d_embedding]
        match &self.project {
            Some(project) => project.forward(embedded, pass), // [batch, seq, d_model]
            None => embedded,
        }
    }

    /// The table of token embeddings, `[vocab_size, d_embedding]`.
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
        self.project.iter().for_each(&mut *visit);
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
        self.project.iter_mut().for_each(&mut *visit);
        self.layers
            .iter_mut()
            .for_each(|layer| layer.visit_linears_mut(visit));
    }
}
