//! Why an adapter folder could not be read.

use std::path::PathBuf;

use thiserror::Error;

use crate::config_error::ConfigError;
use crate::counted::counted;
use crate::tensors::TensorFileError;

/// An adapter folder that cannot be used.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; an adapter folder has adapter_config.json and adapter_model.safetensors, one of another tuner tuning.json and tuned.safetensors", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is not JSON, or a value has the wrong type.
    #[error("{} cannot be used: {reason}; it may be cut short: write or fetch it again, or fix it there", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where there is one.
        reason: serde_json::Error,
    },
    /// A setting that changes values and is not supported.
    #[error("{}: {key} is {found}; supported: {supported}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What is supported.
        supported: &'static str,
    },
    /// The settings do not fit together or do not fit the model.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: ConfigError,
    },
    /// The tensor file cannot be used.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A tensor that the settings promise is not in the file.
    #[error("{} lacks the tensor `{name}`, which the settings promise", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// A tensor that the settings have no place for.
    #[error(
        "{} holds {} that the settings do not account for, first `{}`; only what was trained belongs here",
        path.display(), counted(names.len(), "tensor"), names[0]
    )]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// Base weights in an adapter's file that are not those of the base model.
    #[error(
        "{} holds the base weight `{name}`, which differs from the base model's; the adapter belongs to another base model",
        path.display()
    )]
    OtherBase {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// Two names in the file for one tensor.
    #[error("{} holds the tensor `{name}` under two names", path.display())]
    DuplicateTensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// An adapter that plain LoRA cannot express.
    #[error("the adapter in {} is {form}, which plain LoRA alone cannot express; {advice}", path.display())]
    NotPlain {
        /// The folder.
        path: PathBuf,
        /// What it is.
        form: &'static str,
        /// What to do instead.
        advice: &'static str,
    },
    /// A tensor of the wrong shape.
    #[error("{}: tensor `{name}` has shape {found:?}; model and settings need {expected:?}{}", path.display(), of_vocabulary(name))]
    Shape {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The shape needed.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// An adapter that lost everything that was trained.
    #[error(
        "{}: rank_pattern keeps no triplet of any linear, and nothing else was trained, so the adapter changes nothing; use the base model without it, or \
         train with a larger target_r",
        path.display()
    )]
    Nothing {
        /// The file of settings.
        path: PathBuf,
    },
    /// Empty factors of sizes that no model has.
    #[error(
        "{}: the factors `{name}` are empty, and by their axes belong to a linear of {} inputs and {} outputs, more than any model has; the file is \
         damaged: write or fetch it again",
        path.display(), dims[0], dims[1]
    )]
    EmptyTensors {
        /// The file.
        path: PathBuf,
        /// What the names of the factors begin with.
        name: String,
        /// Inputs and outputs of the linear.
        dims: [usize; 2],
    },
    /// A number that cannot be what it stands for.
    #[error("{}: tensor `{name}` holds {found}; expected {expected}", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number.
        found: f32,
        /// What it may be.
        expected: &'static str,
    },
    /// The side file belongs to another adapter.
    #[error(
        "{} says that training used alpha {training_alpha} with an expected update of {mean_factor}, but lora_alpha in \
         adapter_config.json is {found}, not {expected}; the two files belong to different adapters: remove one of them",
        path.display()
    )]
    SideFile {
        /// The side file.
        path: PathBuf,
        /// The alpha it names.
        training_alpha: f64,
        /// The factor of its settings.
        mean_factor: f64,
        /// Their product.
        expected: f64,
        /// `lora_alpha`.
        found: f64,
    },
    /// The side file's alpha patterns belong to another adapter.
    #[error(
        "{}: its alpha_pattern, times the expected update, is not the alpha_pattern of adapter_config.json; the two files belong to \
         different adapters: remove one of them",
        path.display()
    )]
    SidePatterns {
        /// The side file.
        path: PathBuf,
    },
}

/// For a tensor with a row a token: adapters are often trained on a model whose vocabulary was enlarged first.
fn of_vocabulary(name: &str) -> &'static str {
    let tables = [
        "embed_tokens",
        "word_embeddings",
        "tok_embeddings",
        "wte",
        "lm_head",
        "decoder",
    ];
    if name.split('.').any(|part| tables.contains(&part)) {
        "; if the adapter was trained with tokens added to the vocabulary, save the enlarged model and give it as the base model"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::of_vocabulary;

    #[test]
    fn added_tokens_are_named_where_a_row_is_a_token() {
        assert!(of_vocabulary("base_model.model.model.embed_tokens.weight").contains("enlarged model"));
        assert!(of_vocabulary("base_model.model.lm_head.lora_B.weight").contains("enlarged model"));
        assert_eq!(
            of_vocabulary("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"),
            ""
        );
    }
}
