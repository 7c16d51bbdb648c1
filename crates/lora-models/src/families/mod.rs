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
mod spec;

use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::heads::HeadKind;

use self::bert::BertConfig;
use self::gpt2::Gpt2Config;
use self::llama::LlamaConfig;
use self::modernbert::ModernBertConfig;

use self::deberta_v2::DebertaV2Config;
use self::distilbert::DistilBertConfig;
use self::electra::ElectraConfig;
use self::roberta::RobertaConfig;

pub use rope_settings::RopeSettings;
pub use spec::{Family, MaskedLmNames, ModelSpec, Pooling, SequenceForm, TransformForm};

/// Every family that can be loaded, a line each: its variant, its settings and its module.
macro_rules! families {
    ($($(#[$doc:meta])+ $variant:ident($config:ty) = $module:ident,)+) => {
        /// The settings of any family.
        #[derive(Clone, Debug)]
        pub enum FamilyConfig {
            $($(#[$doc])+ $variant($config),)+
        }

        /// Every family that can be loaded.
        pub const FAMILIES: &[&Family] = &[$(&$module::FAMILY),+];

        impl FamilyConfig {
            /// The settings of the family whose `model_type` it is; `None` for one that is not known.
            fn of_type(model_type: &str, checkpoint: &Checkpoint) -> Option<Result<Self, LoadError>> {
                $(if $module::FAMILY.model_types.contains(&model_type) {
                    return Some(<$config>::read(checkpoint).map(Self::$variant));
                })+
                None
            }

            /// What the family is called.
            pub fn family(&self) -> &'static Family {
                match self {
                    $(Self::$variant(_) => &$module::FAMILY,)+
                }
            }

            /// What heads must know.
            pub fn spec(&self) -> ModelSpec {
                match self {
                    $(Self::$variant(config) => config.spec(),)+
                }
            }
        }
    };
}

families! {
    /// BERT.
    Bert(BertConfig) = bert,
    /// RoBERTa and XLM-RoBERTa.
    Roberta(RobertaConfig) = roberta,
    /// ELECTRA.
    Electra(ElectraConfig) = electra,
    /// DistilBERT.
    DistilBert(DistilBertConfig) = distilbert,
    /// DeBERTa-v2 and v3.
    DebertaV2(DebertaV2Config) = deberta_v2,
    /// ModernBERT.
    ModernBert(ModernBertConfig) = modernbert,
    /// LLaMA, Mistral, Qwen2, Qwen3.
    Llama(LlamaConfig) = llama,
    /// GPT-2.
    Gpt2(Gpt2Config) = gpt2,
}

impl FamilyConfig {
    /// What stands before the paths of the backbone, with the dot: below this head, and below others of the family. For question
    /// answering Transformers kept an old name in LLaMA, Qwen2 and Qwen3, though not in Mistral (`base_model_prefix` of their classes).
    pub fn prefixes(&self, head: HeadKind) -> [&'static str; 2] {
        let usual = self.family().prefix;
        match self {
            Self::Llama(config) if config.model_type == "mistral" => [usual; 2],
            Self::Llama(_) if head == HeadKind::QuestionAnswering => [llama::OLD_PREFIX, usual],
            Self::Llama(_) => [usual, llama::OLD_PREFIX],
            _ => [usual; 2],
        }
    }
}

/// Keys of `config.json` that are sizes, in all families.
const SIZES: [&str; 22] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "type_vocab_size",
    "embedding_size",
    "num_labels",
    "dim",
    "hidden_dim",
    "n_layers",
    "n_heads",
    "n_embd",
    "n_layer",
    "n_head",
    "n_inner",
    "n_positions",
    "position_buckets",
    "conv_kernel_size",
];
/// No model comes near; products of two sizes stay far within 64 bits.
const LARGEST: u64 = 1 << 24;

impl FamilyConfig {
    /// The settings in a checkpoint's `config.json`.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the family or a setting is not supported, or a key is missing.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        for key in SIZES {
            let size = checkpoint.config[key].as_u64();
            if let Some(found) = size.filter(|size| *size > LARGEST) {
                return Err(checkpoint.unsupported(key, &found.to_string(), "a size of at most 16777216"));
            }
        }
        let found = checkpoint.config["model_type"].as_str().unwrap_or_default();
        Self::of_type(found, checkpoint).unwrap_or_else(|| {
            Err(LoadError::Family {
                path: checkpoint.config_path(),
                found: found.to_owned(),
                supported: FAMILIES
                    .iter()
                    .flat_map(|family| family.model_types)
                    .copied()
                    .collect(),
            })
        })
    }
}
