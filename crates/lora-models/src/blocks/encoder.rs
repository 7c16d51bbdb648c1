//! The encoder of BERT and its descendants, which differ in their names and their embeddings alone.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraEmbedding, LoraLinear, Pass};
use lora_data::Batch;

use super::{
    EncoderLayer, EncoderLayerNames, EncoderSizes, Encoding, LayerNorm, Layout, encoder_layers, linears_of,
};
use crate::error::LoadError;
use crate::weights::Scope;

/// What an encoder is built from.
#[derive(Clone, Debug)]
pub struct EncoderForm {
    /// Of each layer.
    pub sizes: EncoderSizes,
    /// Number of layers.
    pub n_layers: usize,
    /// Features of an embedding; where they are not `d_model`, a linear leads from one to the other.
    pub d_embedding: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Rows of the table of positions.
    pub max_positions: usize,
    /// Which of them a token has.
    pub positions: Positions,
    /// Which segment a token has.
    pub segments: Segments,
    /// Path around the layers' numbers.
    pub layers: &'static str,
    /// Paths below a layer.
    pub layer: EncoderLayerNames,
}

/// Which position a token has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Its place in the row, from 0.
    Places,
    /// The n-th token of a row that is not this padding token has position `padding + n`, counted from 1; padding tokens
    /// have position `padding`.
    AfterPadding(i32),
}

/// Which segment a token has, of so many that the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// None: there is no table.
    None,
    /// That of number 0, whatever the batch says.
    First(usize),
    /// That of the batch.
    OfTokens(usize),
}

/// Embeddings and layers.
#[derive(Module, Debug)]
pub struct Encoder {
    word_embeddings: LoraEmbedding,
    position_embeddings: LoraEmbedding,
    token_type_embeddings: Option<LoraEmbedding>,
    embeddings_norm: LayerNorm,
    /// `[d_embedding, d_model]`.
    project: Option<LoraLinear>,
    layers: Vec<EncoderLayer>,
    #[module(skip)]
    positions: Positions,
    #[module(skip)]
    segments: Segments,
}

linears_of!(Encoder: word_embeddings, position_embeddings, token_type_embeddings, project, layers);

impl Encoder {
    /// The encoder whose path is that of the scope.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(form: &EncoderForm, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_embedding, sizes) = (form.d_embedding, &form.sizes);
        let embeddings = at.at("embeddings");
        let table = |name: &str, count| embeddings.at(name).embedding(count, d_embedding);
        let segments = match form.segments {
            Segments::None => None,
            Segments::First(count) | Segments::OfTokens(count) => Some(count),
        };
        let project = (d_embedding != sizes.d_model)
            .then(|| at.at("embeddings_project").linear(d_embedding, sizes.d_model));
        Ok(Self {
            word_embeddings: table("word_embeddings", form.vocab_size)?,
            position_embeddings: table("position_embeddings", form.max_positions)?,
            token_type_embeddings: segments
                .map(|count| table("token_type_embeddings", count))
                .transpose()?,
            embeddings_norm: embeddings
                .at("LayerNorm")
                .layer_norm(d_embedding, sizes.epsilon)?,
            project: project.transpose()?,
            layers: (0..form.n_layers)
                .map(|layer| {
                    EncoderLayer::load(&form.layer, sizes, &at.at(format!("{}.{layer}", form.layers)))
                })
                .collect::<Result<_, _>>()?,
            positions: form.positions,
            segments: form.segments,
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
        let mut embedded = self.word_embeddings.forward(layout.ids(&input.input_ids), pass);
        if let Some(table) = &self.token_type_embeddings {
            embedded = embedded
                + match self.segments {
                    Segments::OfTokens(_) => table.forward(layout.ids(&input.token_type_ids), pass),
                    Segments::First(_) | Segments::None => {
                        table.forward_shared(layout.places().zeros_like(), layout.sharing(), pass)
                    }
                };
        }
        let table = &self.position_embeddings;
        embedded = embedded
            + match self.positions {
                Positions::Places => table.forward_shared(layout.places(), layout.sharing(), pass),
                Positions::AfterPadding(padding) => {
                    table.forward(layout.ids(&after_padding(input, padding)), pass)
                }
            };
        let embedded = self.embeddings_norm.forward(embedded); // [.., .., d_embedding]
        match &self.project {
            Some(project) => project.forward(embedded, pass), // [.., .., d_model]
            None => embedded,
        }
    }

    /// The table of token embeddings, `[vocab_size, d_embedding]`.
    pub fn token_table(&self) -> &LoraLinear {
        &self.word_embeddings.table
    }
}

/// [`Positions::AfterPadding`], row-major as the batch's ids.
fn after_padding(input: &Batch, padding: i32) -> Vec<i32> {
    let rows = input.input_ids.chunks(input.seq).flat_map(|row| {
        row.iter().scan(padding, move |last, &token| {
            *last += i32::from(token != padding);
            Some(if token == padding { padding } else { *last })
        })
    });
    rows.collect()
}
