//! RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020), as Hugging Face's `RobertaModel` computes them: BERT's
//! layers, no segments, and positions that count from the number of the padding token.

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

/// RoBERTa's names. XLM-RoBERTa differs in its tokenizer alone.
pub const FAMILY: Family = Family {
    model_types: &["roberta", "xlm-roberta"],
    prefix: "roberta.",
    targets: &["query", "value"],
};

/// The keys of `config.json` that RoBERTa's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct RobertaConfig {
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
    /// Rows of the table of positions; the first `pad_token_id + 1` belong to no token.
    pub max_position_embeddings: usize,
    /// The padding token: the first token of a text has the position after this number.
    #[serde(default = "one")]
    pub pad_token_id: i32,
    /// Rows of the table of segments; only the first is used.
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

fn one() -> i32 {
    1
}

/// The encoder: embeddings and layers.
#[derive(Module, Debug)]
pub struct Roberta {
    word_embeddings: LoraEmbedding,
    position_embeddings: LoraEmbedding,
    token_type_embeddings: LoraEmbedding,
    embeddings_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    #[module(skip)]
    pad_token_id: i32,
}

impl RobertaConfig {
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
        let unused = usize::try_from(self.pad_token_id + 1).unwrap_or(0);
        Outline {
            d_model: self.hidden_size,
            d_embedding: self.hidden_size,
            vocab_size: self.vocab_size,
            epsilon: self.layer_norm_eps,
            deviation: self.initializer_range,
            tied: self.tie_word_embeddings,
            max_tokens: Some(self.max_position_embeddings.saturating_sub(unused)),
            sequence: SequenceForm::FirstToken {
                dense: "classifier.dense",
                activation: Activation::Tanh,
                output: "classifier.out_proj",
                trained: &["classifier"],
            },
            masked_lm: Some(MaskedLmNames {
                dense: "lm_head.dense",
                norm: "lm_head.layer_norm",
                decoder: "lm_head.decoder",
                bias: "lm_head.bias",
                activation: Activation::Gelu,
            }),
        }
    }
}

impl Roberta {
    /// The encoder whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &RobertaConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
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
            pad_token_id: config.pad_token_id,
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
        // RoBERTa knows no segments: every token has that of number 0.
        let segments = layout.places().zeros_like();
        let embedded = self.word_embeddings.forward(layout.ids(&input.input_ids), pass)
            + self
                .token_type_embeddings
                .forward_shared(segments, layout.sharing(), pass)
            + self
                .position_embeddings
                .forward(layout.ids(&self.positions(input)), pass);
        self.embeddings_norm.forward(embedded)
    }

    /// The n-th token of a row that is no padding token has position `pad + n`, counted from 1; padding tokens have
    /// position `pad`. Row-major, as the batch's ids.
    fn positions(&self, input: &Batch) -> Vec<i32> {
        let pad = self.pad_token_id;
        let rows = input.input_ids.chunks(input.seq).flat_map(|row| {
            row.iter().scan(pad, move |last, &token| {
                *last += i32::from(token != pad);
                Some(if token == pad { pad } else { *last })
            })
        });
        rows.collect()
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
