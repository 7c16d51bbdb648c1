//! DeBERTa-v2 and v3 (He et al., arXiv 2006.03654 and 2111.09543), as Hugging Face's `DebertaV2Model` computes them: BERT's
//! layers with disentangled attention.

mod attention;
mod config;
mod convolution;
mod positions;

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;

use self::attention::{DisentangledAttention, Relative};
use self::convolution::Convolution;
use self::positions::RelativePositions;
use super::Family;
use crate::blocks::{
    Encoding, FeedForward, LayerNorm, attention_mask, linears_of, places, through_layers, token_ids,
};
use crate::error::LoadError;
use crate::weights::Scope;

pub use self::config::{DebertaV2Config, ListOrText};

/// DeBERTa's names; v3 has v2's.
pub const FAMILY: Family = Family {
    model_types: &["deberta-v2"],
    prefix: "deberta.",
    table: "embeddings.word_embeddings",
    targets: &["query_proj", "value_proj"],
};

/// The encoder: embeddings, relative positions and layers.
#[derive(Module, Debug)]
pub struct DebertaV2 {
    word_embeddings: LoraEmbedding,
    position_embeddings: Option<LoraEmbedding>,
    token_type_embeddings: Option<LoraEmbedding>,
    /// `[d_embedding, d_model]`.
    project: Option<LoraLinear>,
    embeddings_norm: LayerNorm,
    /// `[2·span, d_model]`.
    relative_table: Option<Param<Tensor<2>>>,
    relative_norm: Option<LayerNorm>,
    layers: Vec<DebertaLayer>,
    convolution: Option<Convolution>,
    #[module(skip)]
    relative_positions: Option<RelativePositions>,
}

linears_of!(DebertaV2: word_embeddings, position_embeddings, token_type_embeddings, project, layers);

/// Attention and feed-forward, each followed by residual and norm.
#[derive(Module, Debug)]
struct DebertaLayer {
    attention: DisentangledAttention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    output_norm: LayerNorm,
}

linears_of!(DebertaLayer: attention, feed_forward);

impl DebertaV2 {
    /// The encoder whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &DebertaV2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_embedding) = (config.hidden_size, config.d_embedding());
        let (embeddings, encoder) = (at.at("embeddings"), at.at("encoder"));
        let table = |name: &str, count| embeddings.at(name).embedding(count, d_embedding);
        let norm = |at: &Scope<'_>| at.at("LayerNorm").layer_norm(d_model, config.layer_norm_eps);
        let relative_positions = config.relative_positions();
        let relative_table = relative_positions
            .map(|positions| {
                encoder
                    .at("rel_embeddings")
                    .parameter("weight", [2 * positions.span, d_model])
            })
            .transpose()?;
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: config
                .position_biased_input
                .then(|| table("position_embeddings", config.max_position_embeddings))
                .transpose()?,
            token_type_embeddings: (config.type_vocab_size > 0)
                .then(|| table("token_type_embeddings", config.type_vocab_size))
                .transpose()?,
            project: (d_embedding != d_model)
                .then(|| {
                    embeddings
                        .at("embed_proj")
                        .linear_without_bias(d_embedding, d_model)
                })
                .transpose()?,
            embeddings_norm: norm(&embeddings)?,
            relative_table,
            relative_norm: config
                .normalizes_positions()
                .then(|| norm(&encoder))
                .transpose()?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| DebertaLayer::load(config, &encoder.at(format!("layer.{layer}"))))
                .collect::<Result<_, _>>()?,
            convolution: (config.conv_kernel_size > 0)
                .then(|| Convolution::load(config, &encoder.at("conv")))
                .transpose()?,
            relative_positions,
        })
    }

    /// The hidden states of the last layer; `observe` sees those of every layer, the embeddings' first.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        let Encoding { observe, below, .. } = encoding;
        let device = &self.word_embeddings.weight().device();
        let [batch, seq] = [input.batch, input.seq];
        let real = attention_mask(input, device); // [batch, seq]
        let both = real.clone().reshape([batch, 1, seq, 1]) * real.clone().reshape([batch, 1, 1, seq]);
        let padding = both.lower_elem(0.5); // [batch, 1, seq, seq]
        let real = real.reshape([batch, seq, 1]);

        let table_masks = match pass {
            Pass::Mean | Pass::Chosen(_) | Pass::Tapped(_) => None,
            Pass::Stochastic(masks) => Some(masks.for_groups()),
        };
        let table_pass = table_masks.as_ref().map_or(*pass, Pass::Stochastic);
        let relative = self.relative(seq, table_pass);
        let embed = || self.embed(input, pass) * real.clone(); // [batch, seq, d_model]
        through_layers(&self.layers, embed, below, |index, layer, hidden, _| {
            let embedded = (index == 0).then(|| hidden.clone());
            if let Some(embedded) = &embedded {
                observe(embedded);
            }
            let mut hidden = layer.forward(hidden, padding.clone(), relative.as_ref(), pass);
            if let Some((convolution, embedded)) = self.convolution.as_ref().zip(embedded) {
                hidden = convolution.forward(embedded, hidden, real.clone());
            }
            observe(&hidden);
            hidden
        })
    }

    fn embed(&self, input: &Batch, pass: &Pass) -> Tensor<3> {
        let device = &self.word_embeddings.weight().device();
        let mut embedded = self
            .word_embeddings
            .forward(token_ids(input, &input.input_ids, device), pass);
        if let Some(table) = &self.position_embeddings {
            embedded = embedded + table.forward_shared(places(input, device), input.batch, pass);
        }
        if let Some(table) = &self.token_type_embeddings {
            embedded = embedded + table.forward(token_ids(input, &input.token_type_ids, device), pass);
        }
        if let Some(project) = &self.project {
            embedded = project.forward(embedded, pass);
        }
        self.embeddings_norm.forward(embedded)
    }

    /// Relative positions for this pass.
    fn relative<'a>(&self, seq: usize, pass: Pass<'a>) -> Option<Relative<'a>> {
        let table = self.relative_table.as_ref()?.val();
        let positions = self.relative_positions?;
        let table = match &self.relative_norm {
            Some(norm) => norm.forward(table),
            None => table,
        };
        let device = table.device();
        let rows = TensorData::new(positions.rows(seq), [seq, seq]);
        Some(Relative {
            table: table.unsqueeze(),
            rows: Tensor::<2, Int>::from_data(rows, &device),
            pass,
        })
    }

    /// The table of token embeddings, `[vocab_size, d_embedding]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.word_embeddings.table
    }
}

impl DebertaLayer {
    fn load(config: &DebertaV2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_ff) = (config.hidden_size, config.intermediate_size);
        let norm = |name: &str| at.at(name).layer_norm(d_model, config.layer_norm_eps);
        Ok(Self {
            attention: DisentangledAttention::load(config, &at.at("attention"))?,
            attention_norm: norm("attention.output.LayerNorm")?,
            feed_forward: FeedForward::new(
                at.at("intermediate.dense").linear(d_model, d_ff)?,
                at.at("output.dense").linear(d_ff, d_model)?,
                config.hidden_act,
            ),
            output_norm: norm("output.LayerNorm")?,
        })
    }

    fn forward(
        &self,
        hidden: Tensor<3>,
        padding: Tensor<4, burn::tensor::Bool>,
        relative: Option<&Relative<'_>>,
        pass: &Pass,
    ) -> Tensor<3> {
        let attended = self.attention.forward(hidden.clone(), padding, relative, pass);
        let hidden = self.attention_norm.forward(hidden + attended);
        let fed = self.feed_forward.forward(hidden.clone(), pass);
        self.output_norm.forward(hidden + fed)
    }
}
