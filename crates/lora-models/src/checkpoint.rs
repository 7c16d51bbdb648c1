//! The files of a Hugging Face checkpoint.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use lora_core::TensorFile;
use serde::Deserialize;
use serde_json::Value;

use crate::error::LoadError;
use crate::weight_files::WeightFiles;

/// Config, weights and tokenizer of one model.
#[derive(Debug)]
pub struct Checkpoint {
    /// The folder, or the name of embedded bytes.
    pub origin: PathBuf,
    /// `config.json`.
    pub config: Value,
    /// The tensors, in whatever files they are.
    pub weights: WeightFiles,
    /// `tokenizer.json`, as it is; `None` if the folder has none.
    pub tokenizer: Option<Cow<'static, [u8]>>,
}

impl Checkpoint {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a file is missing or corrupt.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let config_path = folder.join("config.json");
        if !config_path.is_file() {
            return Err(LoadError::MissingFile {
                folder: folder.to_owned(),
                file: "config.json",
            });
        }
        let config = fs::read(&config_path).map_err(|source| LoadError::Read {
            path: config_path,
            source,
        })?;
        let tokenizer_path = folder.join("tokenizer.json");
        let tokenizer = match fs::read(&tokenizer_path) {
            Ok(bytes) => Some(Cow::Owned(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(LoadError::Read {
                    path: tokenizer_path,
                    source,
                });
            }
        };
        Self::from_parts(folder, &config, WeightFiles::open(folder)?, tokenizer)
    }

    /// A checkpoint from bytes in the program; `name` stands for the folder in messages.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a part is corrupt.
    pub fn from_bytes(
        name: &str,
        config: &[u8],
        weights: &'static [u8],
        tokenizer: &'static [u8],
    ) -> Result<Self, LoadError> {
        let weights = TensorFile::from_bytes(weights, &Path::new(name).join("model.safetensors"))?;
        Self::from_parts(
            Path::new(name),
            config,
            WeightFiles::of_safetensors(weights),
            Some(Cow::Borrowed(tokenizer)),
        )
    }

    /// The path of its `config.json`, for messages.
    pub fn config_path(&self) -> PathBuf {
        self.origin.join("config.json")
    }

    /// `config.json` as a type of its own.
    ///
    /// # Errors
    ///
    /// [`LoadError::Config`] if a key is missing or has a value of another kind.
    pub fn parse_config<T: for<'de> Deserialize<'de>>(&self) -> Result<T, LoadError> {
        T::deserialize(&self.config).map_err(|reason| LoadError::Config {
            path: self.config_path(),
            reason,
        })
    }

    /// Checks a setting that has one supported value.
    ///
    /// # Errors
    ///
    /// [`LoadError::Setting`].
    pub fn expect(&self, key: &'static str, found: &str, supported: &'static str) -> Result<(), LoadError> {
        if found == supported {
            return Ok(());
        }
        Err(self.unsupported(key, found, supported))
    }

    /// The error of a setting that is not supported.
    pub fn unsupported(&self, key: &'static str, found: &str, supported: &'static str) -> LoadError {
        LoadError::Setting {
            path: self.config_path(),
            key,
            found: found.to_owned(),
            supported,
        }
    }

    /// Checks that attention heads divide the features of a hidden state.
    ///
    /// # Errors
    ///
    /// [`LoadError::Heads`].
    pub fn expect_heads(&self, d_model: usize, n_heads: usize) -> Result<(), LoadError> {
        if n_heads > 0 && d_model.is_multiple_of(n_heads) {
            return Ok(());
        }
        Err(LoadError::Heads {
            path: self.config_path(),
            d_model,
            n_heads,
        })
    }

    /// How many classes `config.json` names; 2 if it names none, as in Hugging Face.
    pub fn outputs(&self) -> usize {
        let named = self.config["id2label"].as_object().map(serde_json::Map::len);
        let counted = self.config["num_labels"].as_u64().map(|count| count as usize);
        named.or(counted).unwrap_or(2)
    }

    fn from_parts(
        origin: &Path,
        config: &[u8],
        weights: WeightFiles,
        tokenizer: Option<Cow<'static, [u8]>>,
    ) -> Result<Self, LoadError> {
        let config = serde_json::from_slice(config).map_err(|reason| LoadError::Config {
            path: origin.join("config.json"),
            reason,
        })?;
        Ok(Self {
            origin: origin.to_owned(),
            config,
            weights,
            tokenizer,
        })
    }
}
