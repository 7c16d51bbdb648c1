//! Why a model could not be loaded.

use std::path::PathBuf;

use lora_core::tensors::TensorFileError;
use thiserror::Error;

use crate::gguf::GgufError;
use crate::memory::GiB;
use crate::pytorch::PytorchProblem;
use crate::sentence_piece::SentencePieceProblem;

/// A model that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The weights file cannot be used.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A GGUF file cannot be used.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A file of the folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder lacks a file that every Hugging Face checkpoint has.
    #[error("{} holds no {file}; a model folder has config.json, model.safetensors and tokenizer.json", folder.display())]
    MissingFile {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// A weight that is no finite number.
    #[error("{}: tensor `{name}` holds {found}; expected finite numbers: fetch the file again, or choose another model", path.display())]
    NotFinite {
        /// The file, or the index of several.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number.
        found: f32,
    },
    /// A file of `torch.save` cannot be used.
    #[error("{}: {problem}", path.display())]
    Pytorch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: PytorchProblem,
    },
    /// A SentencePiece model cannot be used.
    #[error("{}: {problem}", path.display())]
    SentencePiece {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SentencePieceProblem,
    },
    /// A shard that is not there.
    #[error(
        "{} names the shard `{name}`, which is not in the folder; fetch it again from where the model came from, and put it beside the \
         index",
        path.display()
    )]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A shard whose name is a path.
    #[error("{} names the shard `{name}`; expected the name of a file beside it", path.display())]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A tensor that two shards hold.
    #[error("{}: two shards hold the tensor `{name}`; expected each tensor once", path.display())]
    DuplicateTensor {
        /// The index.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The folder has weights, but in another format.
    #[error("{} holds {found}, but neither model.safetensors nor pytorch_model.bin; save the model again with safe serialization", folder.display())]
    WeightsFormat {
        /// The folder.
        folder: PathBuf,
        /// The file that is there.
        found: &'static str,
    },
    /// config.json does not parse, or lacks a key.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where there is one.
        reason: serde_json::Error,
    },
    /// A family that is not supported.
    #[error("{}: model_type is `{found}`; supported: {}", path.display(), supported.join(", "))]
    Family {
        /// The file.
        path: PathBuf,
        /// The model type.
        found: String,
        /// Those that are.
        supported: Vec<&'static str>,
    },
    /// Attention heads that do not divide the features.
    #[error("{}: {n_heads} attention heads do not divide {d_model} features; expected a divisor of at least 1", path.display())]
    Heads {
        /// The file.
        path: PathBuf,
        /// Features of a hidden state.
        d_model: usize,
        /// Number of heads.
        n_heads: usize,
    },
    /// A head that the family does not have.
    #[error("the family of {} has no {head}; choose another task or another model", path.display())]
    Head {
        /// The weights.
        path: PathBuf,
        /// The head.
        head: &'static str,
    },
    /// A setting of config.json that is not supported.
    #[error("{}: {key} is `{found}`; supported: {supported}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// Those that are.
        supported: &'static str,
    },
    /// Weights that the model needs are not in the file.
    #[error(
        "{} lacks {} of the tensors that config.json promises: {}; it may belong to another model",
        path.display(), names.len(), first(names)
    )]
    MissingWeights {
        /// The file.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// Weights that are larger than the memory that is free.
    #[error(
        "the weights of `{}` take {needed}, but only {available} of memory is free; {advice}",
        path.display()
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// What they take.
        needed: GiB,
        /// What there is.
        available: GiB,
        /// What takes less.
        advice: &'static str,
    },
    /// Weights that nothing gives: they would be random numbers.
    #[error(
        "{} lacks {}, and nothing else holds them: the model would compute with random numbers; give the model that was trained, \
         or train these parts and save them with the adapter",
        path.display(), first(names)
    )]
    NewWeights {
        /// The weights.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// A tensor of the wrong shape.
    #[error("{}: tensor `{name}` has shape {found:?}; config.json promises {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Shape by config.json.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Neither a folder nor in the cache.
    #[error("`{name}` is no folder here and not in the hub's cache at {}; {fix}", cache.display())]
    NotFound {
        /// Path or hub id, as given.
        name: String,
        /// The cache folder.
        cache: PathBuf,
        /// What to do.
        fix: &'static str,
    },
    /// The hub did not give a file.
    #[error(
        "`{name}` is no folder here and not whole in the hub's cache at {}, and the hub did not give {file}: {reason}; check the name and \
         the network, or give a folder that exists",
        cache.display()
    )]
    Hub {
        /// Hub id.
        name: String,
        /// The cache folder.
        cache: PathBuf,
        /// The file.
        file: String,
        /// What the client says.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn first(names: &[String]) -> String {
    let mut shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 3 {
        shown.push_str(", …");
    }
    shown
}
