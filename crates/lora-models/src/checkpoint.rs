//! The files of a Hugging Face checkpoint.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lora_core::tensors::TensorFile;
use serde::Deserialize;
use serde_json::Value;

use crate::error::LoadError;
use crate::generation::{ChatError, ChatTemplate};
use crate::sentence_piece::{self, TokenizerConfig};
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
    /// `tokenizer.json`: as it is, or made of a SentencePiece model where the folder has only that; `None` if it has neither.
    pub tokenizer: Option<Cow<'static, [u8]>>,
    /// The chat template of a GGUF file; that of a folder stands in its files.
    pub gguf_template: Option<ChatTemplate>,
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
        let tokenizer = read_if_there(&folder.join("tokenizer.json"))?.map(Cow::Owned);
        let mut opened = Self::from_parts(folder, &config, WeightFiles::open(folder)?, tokenizer)?;
        if opened.tokenizer.is_none() {
            opened.tokenizer = opened.sentence_piece()?.map(Cow::Owned);
        }
        Ok(opened)
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

    /// How conversations are written.
    ///
    /// # Errors
    ///
    /// [`ChatError`] if there is no template, or its file cannot be read.
    pub fn chat_template(&self) -> Result<ChatTemplate, ChatError> {
        match &self.gguf_template {
            Some(template) => Ok(template.clone()),
            None if self.origin.is_file() => Err(ChatError::NoTemplate {
                folder: self.origin.clone(),
            }),
            None => ChatTemplate::of_folder(&self.origin),
        }
    }

    /// The path of its `config.json`, for messages.
    pub fn config_path(&self) -> PathBuf {
        self.origin.join("config.json")
    }

    /// A token to fill up short rows with, where the tokenizer names none: `pad_token_id` of `config.json`, else its first
    /// `eos_token_id`, as is usual for language models. What is filled up is masked, so the choice changes no number.
    pub fn padding_id(&self) -> Option<u32> {
        let first = |value: &Value| match value {
            Value::Array(ids) => ids.first().and_then(Value::as_u64),
            one => one.as_u64(),
        };
        let rows = self.config["vocab_size"].as_u64().unwrap_or(u64::MAX);
        ["pad_token_id", "eos_token_id"]
            .into_iter()
            .filter_map(|key| first(&self.config[key]))
            .find(|id| *id < rows)
            .and_then(|id| u32::try_from(id).ok())
    }

    /// Whether too long texts lose their beginning, as `truncation_side` of `tokenizer_config.json` says; `None` if it says nothing.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the file is corrupt.
    pub fn cuts_at_beginning(&self) -> Result<Option<bool>, LoadError> {
        if !self.origin.is_dir() {
            return Ok(None);
        }
        let settings: Value = self.tokenizer_settings()?;
        Ok(settings["truncation_side"].as_str().map(|side| side == "left"))
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

    /// `tokenizer.json`, made of the folder's SentencePiece model, if the family has such.
    fn sentence_piece(&self) -> Result<Option<Vec<u8>>, LoadError> {
        for file in sentence_piece::FILES {
            let path = self.origin.join(file);
            let Some(bytes) = read_if_there(&path)? else {
                continue;
            };
            let settings: TokenizerConfig = self.tokenizer_settings()?;
            let model_type = self.config["model_type"].as_str().unwrap_or_default();
            let made = sentence_piece::tokenizer_json(&bytes, model_type, &settings);
            return made.map_err(|problem| LoadError::SentencePiece { path, problem });
        }
        Ok(None)
    }

    /// `tokenizer_config.json`; the default where there is none.
    fn tokenizer_settings<T: Default + for<'de> Deserialize<'de>>(&self) -> Result<T, LoadError> {
        let path = self.origin.join("tokenizer_config.json");
        match read_if_there(&path)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|reason| LoadError::Config { path, reason })
            }
            None => Ok(T::default()),
        }
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
            gguf_template: None,
        })
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_filled_up_with_a_token_that_the_model_has() {
        let cases = [
            (json!({"pad_token_id": 3, "eos_token_id": 2}), Some(3)),
            (json!({"pad_token_id": null, "eos_token_id": [2, 5]}), Some(2)),
            // As LLaMA 1 has it.
            (json!({"pad_token_id": -1, "eos_token_id": 2}), Some(2)),
            // Named, but the table was not made larger for it.
            (
                json!({"pad_token_id": 9, "eos_token_id": 2, "vocab_size": 9}),
                Some(2),
            ),
            (json!({}), None),
        ];
        for (config, expected) in cases {
            let checkpoint = checkpoint(Path::new(""), config.clone());
            assert_eq!(checkpoint.padding_id(), expected, "{config}");
        }
    }

    #[test]
    fn texts_are_cut_on_the_side_that_the_tokenizers_settings_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = || checkpoint(folder.path(), json!({})).cuts_at_beginning();
        assert_eq!(found().expect("no settings are no mistake"), None);
        for (settings, expected) in [
            (r#"{"truncation_side": "left"}"#, Some(true)),
            (r#"{"truncation_side": "right"}"#, Some(false)),
            ("{}", None),
        ] {
            fs::write(folder.path().join("tokenizer_config.json"), settings).expect("a file");
            assert_eq!(found().expect("settings"), expected, "{settings}");
        }
        fs::write(folder.path().join("tokenizer_config.json"), "{").expect("a file");
        assert!(matches!(found(), Err(LoadError::Config { .. })));
    }

    fn checkpoint(origin: &Path, config: Value) -> Checkpoint {
        Checkpoint {
            origin: origin.to_owned(),
            config,
            weights: WeightFiles::of_safetensors(
                TensorFile::from_bytes(EMPTY, Path::new("empty")).expect("an empty file is a file"),
            ),
            tokenizer: None,
            gguf_template: None,
        }
    }

    /// A file without tensors: the length of its header, and the header.
    const EMPTY: &[u8] = b"\x02\0\0\0\0\0\0\0{}";
}
