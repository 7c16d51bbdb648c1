//! The part of a model below its head, of any family.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};
use lora_data::Batch;
use lora_kernels::LinearWeight;

use crate::blocks::{CausalDecoder, Encoder, Encoding, KeyValueCache, Tokens, linears_of};
use crate::error::LoadError;
use crate::families::FamilyConfig;
use crate::families::deberta_v2::DebertaV2;
use crate::families::gpt2::Gpt2;
use crate::families::llama::Llama;
use crate::families::modernbert::ModernBert;
use crate::weights::Weights;

/// The pretrained model of a family, without head.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a model")]
pub enum Backbone {
    /// BERT, RoBERTa and XLM-RoBERTa, ELECTRA, DistilBERT.
    Encoder(Encoder),
    /// LLaMA, Mistral, Qwen2, Qwen3.
    Llama(Llama),
    /// GPT-2.
    Gpt2(Gpt2),
    /// DeBERTa-v2 and v3.
    DebertaV2(DebertaV2),
    /// ModernBERT.
    ModernBert(ModernBert),
}

linears_of!(Backbone: Encoder | Llama | Gpt2 | DebertaV2 | ModernBert);

impl Backbone {
    /// Builds the backbone that the settings describe.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a tensor has another shape than the settings say. Missing ones are reported by
    /// [`Weights::finish`].
    pub fn load(config: &FamilyConfig, weights: &Weights<'_>) -> Result<Self, LoadError> {
        let at = weights.backbone();
        let encoder = |form| Encoder::load(&form, &at).map(Self::Encoder);
        match config {
            FamilyConfig::Bert(config) => encoder(config.encoder()),
            FamilyConfig::Llama(config) => Llama::load(config, &at).map(Self::Llama),
            FamilyConfig::Gpt2(config) => Gpt2::load(config, &at).map(Self::Gpt2),
            FamilyConfig::Roberta(config) => encoder(config.encoder()),
            FamilyConfig::Electra(config) => encoder(config.encoder()),
            FamilyConfig::DistilBert(config) => encoder(config.encoder()),
            FamilyConfig::DebertaV2(config) => DebertaV2::load(config, &at).map(Self::DebertaV2),
            FamilyConfig::ModernBert(config) => ModernBert::load(config, &at).map(Self::ModernBert),
        }
    }

    /// The hidden states of the last layer. A family may leave out tokens of the last layer that are not read.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`; where tokens were left out, `[batch, 1, d_model]`; packed, what
    ///   is observed is `[1, tokens, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        match self {
            Self::Encoder(backbone) => backbone.encode(input, pass, encoding),
            Self::Llama(backbone) => backbone.encode(input, pass, encoding),
            Self::Gpt2(backbone) => backbone.encode(input, pass, encoding),
            Self::DebertaV2(backbone) => backbone.encode(input, pass, encoding),
            Self::ModernBert(backbone) => backbone.encode(input, pass, encoding),
        }
    }

    /// Whether [`Backbone::encode`] can leave out padding, as an [`Encoding::packing`] says.
    pub fn takes_packing(&self) -> bool {
        match self {
            Self::Encoder(_) | Self::Llama(_) | Self::Gpt2(_) => true,
            Self::DebertaV2(_) | Self::ModernBert(_) => false,
        }
    }

    /// The hidden states of tokens that follow those in the cache, which they join; `None` for encoders, where every token
    /// sees all others.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, seq, d_model]`
    pub fn advance(&self, tokens: &Tokens, cache: &mut KeyValueCache, pass: &Pass) -> Option<Tensor<3>> {
        match self {
            Self::Llama(backbone) => Some(backbone.advance(tokens, cache, pass)),
            Self::Gpt2(backbone) => Some(backbone.advance(tokens, cache, pass)),
            Self::Encoder(_) | Self::DebertaV2(_) | Self::ModernBert(_) => None,
        }
    }

    /// The table of token embeddings, `[vocab_size, d_embedding]`.
    pub fn token_table(&self) -> &LoraLinear {
        match self {
            Self::Encoder(backbone) => backbone.token_table(),
            Self::Llama(backbone) => backbone.token_table(),
            Self::Gpt2(backbone) => backbone.token_table(),
            Self::DebertaV2(backbone) => backbone.token_table(),
            Self::ModernBert(backbone) => backbone.token_table(),
        }
    }

    /// The pretrained table of token embeddings, `[vocab_size, d_embedding]`.
    pub fn token_embeddings(&self) -> LinearWeight {
        self.token_table().weight()
    }
}
