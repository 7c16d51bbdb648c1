//! What the rest must know of a family: its names, and the forms of the heads on it.

use crate::blocks::Activation;
use crate::weights::Bias;

/// What a family is called in the files of Hugging Face and PEFT.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// `model_type` in `config.json`; several where families differ in their tokenizer alone.
    pub model_types: &'static [&'static str],
    /// What stands before the paths of the backbone, with the dot; checkpoints without head lack it. Below some heads it is another
    /// one: [`FamilyConfig::prefixes`](super::FamilyConfig::prefixes).
    pub prefix: &'static str,
    /// Path of the table of token embeddings, after the prefix.
    pub table: &'static str,
    /// The linears that PEFT adapts unless the user says otherwise.
    pub targets: &'static [&'static str],
}

/// What heads must know of the backbone below them.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Features of a hidden state.
    pub d_model: usize,
    /// Features of a token's embedding; another number than `d_model` in some families.
    pub d_embedding: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Epsilon of the layer norms.
    pub epsilon: f64,
    /// Standard deviation of new weights.
    pub deviation: f64,
    /// Whether a language model's decoder is the table of token embeddings.
    pub tied: bool,
    /// How many tokens a sequence may have; `None` where positions are relative alone.
    pub max_tokens: Option<usize>,
    /// The head on the whole sequence.
    pub sequence: SequenceForm,
    /// Path of the output layer on single tokens.
    pub tokens: &'static str,
    /// What stands before the output layer in the heads on single tokens; `None` where nothing does.
    pub transform: Option<TransformForm>,
    /// Names of the masked language model's head; `None` for decoders.
    pub masked_lm: Option<MaskedLmNames>,
}

/// A family's own form of the head on the whole sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceForm {
    /// `output(activation(dense(first token)))`.
    FirstToken {
        /// Path of the dense layer.
        dense: &'static str,
        /// What follows it.
        activation: Activation,
        /// Path of the output layer.
        output: &'static str,
        /// Modules that are no part of a pretrained checkpoint, so that adapters train and save them in full. PEFT's
        /// names.
        trained: &'static [&'static str],
    },
    /// `score(last token that is not padding)`, without bias: the decoders' form.
    LastToken {
        /// `pad_token_id` of `config.json`, if it names one: such a token is not read, even where it belongs to the text, as one that
        /// ends it.
        padding: Option<i32>,
    },
    /// `classifier(transform(pooled tokens))`: ModernBERT's form, with [`ModelSpec::transform`].
    Pooled(Pooling),
}

/// How the states of a sequence's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    FirstToken,
    /// The mean of those of the real tokens.
    Mean,
}

/// `norm(activation(dense(hidden)))`, what some heads have before their output layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransformForm {
    /// Path of the linear, whose output has as many features as the output layer reads.
    pub dense: &'static str,
    /// Whether it has a bias.
    pub dense_bias: Bias,
    /// What follows the linear.
    pub activation: Activation,
    /// Path of the layer norm.
    pub norm: &'static str,
    /// Whether it has a bias.
    pub norm_bias: Bias,
}

impl TransformForm {
    /// The form with both biases.
    pub const fn with_biases(dense: &'static str, activation: Activation, norm: &'static str) -> Self {
        Self {
            dense,
            dense_bias: Bias::Present,
            activation,
            norm,
            norm_bias: Bias::Present,
        }
    }
}

/// Paths of a masked language model's head: `decoder(transform(hidden))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedLmNames {
    /// From `d_model` to `d_embedding`.
    pub transform: TransformForm,
    /// Linear from `d_embedding` to the vocabulary, usually the table of embeddings.
    pub decoder: &'static str,
    /// The decoder's bias, which is a tensor of its own; `None` where it has none.
    pub bias: Option<&'static str>,
}
