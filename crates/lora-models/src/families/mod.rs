//! The families of pretrained transformers: one file each, with its settings, its layers and its table of names.
//!
//! A family's file holds, from top to bottom: [`Family`] (what it is called), its config (the keys of `config.json` that
//! its numbers depend on), the modules, their loading by Hugging Face path, and `encode`.

pub mod bert;
pub mod deberta_v2;
mod defaults;
pub mod distilbert;
pub mod electra;
pub mod gpt2;
pub mod llama;
pub mod modernbert;
pub mod roberta;
mod rope_settings;

use crate::blocks::Activation;
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::Bias;

use self::bert::BertConfig;
use self::gpt2::Gpt2Config;
use self::llama::LlamaConfig;
use self::modernbert::ModernBertConfig;

use self::deberta_v2::DebertaV2Config;
use self::distilbert::DistilBertConfig;
use self::electra::ElectraConfig;
use self::roberta::RobertaConfig;

pub use rope_settings::RopeSettings;

/// What a family is called in the files of Hugging Face and PEFT.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// `model_type` in `config.json`; several where families differ in their tokenizer alone.
    pub model_types: &'static [&'static str],
    /// What stands before the paths of the backbone, with the dot; checkpoints without head lack it.
    pub prefix: &'static str,
    /// Path of the table of token embeddings, after the prefix.
    pub table: &'static str,
    /// The linears that PEFT adapts unless the user says otherwise.
    pub targets: &'static [&'static str],
}

/// The settings of any family.
#[derive(Clone, Debug)]
pub enum FamilyConfig {
    /// BERT.
    Bert(BertConfig),
    /// LLaMA, Mistral, Qwen2, Qwen3.
    Llama(LlamaConfig),
    /// GPT-2.
    Gpt2(Gpt2Config),
    /// RoBERTa and XLM-RoBERTa.
    Roberta(RobertaConfig),
    /// ELECTRA.
    Electra(ElectraConfig),
    /// DistilBERT.
    DistilBert(DistilBertConfig),
    /// DeBERTa-v2 and v3.
    DebertaV2(DebertaV2Config),
    /// ModernBERT.
    ModernBert(ModernBertConfig),
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
    /// `score(last real token)`, without bias: the decoders' form.
    LastToken,
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

/// Every family that can be loaded.
pub const FAMILIES: [&Family; 8] = [
    &bert::FAMILY,
    &roberta::FAMILY,
    &electra::FAMILY,
    &distilbert::FAMILY,
    &deberta_v2::FAMILY,
    &modernbert::FAMILY,
    &llama::FAMILY,
    &gpt2::FAMILY,
];

impl FamilyConfig {
    /// The settings in a checkpoint's `config.json`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the family or a setting is not supported, or a key is missing.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        let found = checkpoint.config["model_type"].as_str().unwrap_or_default();
        let family = FAMILIES.iter().find(|family| family.model_types.contains(&found));
        match family.map(|family| family.model_types[0]) {
            Some("bert") => BertConfig::read(checkpoint).map(Self::Bert),
            Some("llama") => LlamaConfig::read(checkpoint).map(Self::Llama),
            Some("gpt2") => Gpt2Config::read(checkpoint).map(Self::Gpt2),
            Some("roberta") => RobertaConfig::read(checkpoint).map(Self::Roberta),
            Some("electra") => ElectraConfig::read(checkpoint).map(Self::Electra),
            Some("distilbert") => DistilBertConfig::read(checkpoint).map(Self::DistilBert),
            Some("modernbert") => ModernBertConfig::read(checkpoint).map(Self::ModernBert),
            Some("deberta-v2") => DebertaV2Config::read(checkpoint).map(Self::DebertaV2),
            _ => Err(LoadError::Family {
                path: checkpoint.config_path(),
                found: found.to_owned(),
                supported: FAMILIES
                    .iter()
                    .flat_map(|family| family.model_types)
                    .copied()
                    .collect(),
            }),
        }
    }

    /// What the family is called.
    pub fn family(&self) -> &'static Family {
        match self {
            Self::Bert(_) => &bert::FAMILY,
            Self::Llama(_) => &llama::FAMILY,
            Self::Gpt2(_) => &gpt2::FAMILY,
            Self::Roberta(_) => &roberta::FAMILY,
            Self::Electra(_) => &electra::FAMILY,
            Self::DistilBert(_) => &distilbert::FAMILY,
            Self::DebertaV2(_) => &deberta_v2::FAMILY,
            Self::ModernBert(_) => &modernbert::FAMILY,
        }
    }

    /// What heads must know.
    pub fn spec(&self) -> ModelSpec {
        match self {
            Self::Bert(config) => config.spec(),
            Self::Llama(config) => config.spec(),
            Self::Gpt2(config) => config.spec(),
            Self::Roberta(config) => config.spec(),
            Self::Electra(config) => config.spec(),
            Self::DistilBert(config) => config.spec(),
            Self::DebertaV2(config) => config.spec(),
            Self::ModernBert(config) => config.spec(),
        }
    }
}
