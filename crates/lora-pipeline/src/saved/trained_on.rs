//! Whether rows that an adapter is scored on are those that it was trained or chosen on, as far as `run.json` tells.

use std::fs;
use std::path::Path;

use lora_data::tasks::Rows;
use lora_data::{RowText, SharedTexts};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::config::{DataConfig, Origins};
use crate::data::RowSource;
use crate::files::output::RUN_FILE;
use crate::progress::{Progress, Silent};

/// The key of `run.json` for the SHA-256 of each file of a training.
pub(crate) const HASHES: &str = "data_sha256";

/// What a training did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseInTraining {
    /// It trained on its rows, or on most of them.
    Training,
    /// It chose the model and the temperature by them.
    Validation,
    /// It trained on some of the texts in it.
    Partly {
        /// Rows with such a text.
        rows: usize,
        /// All rows.
        of: usize,
    },
}

impl UseInTraining {
    /// For results files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Partly { .. } => "training_in_part",
        }
    }

    /// How many of the rows have a text that was trained on, where that was counted.
    pub fn rows(self) -> Option<usize> {
        match self {
            Self::Partly { rows, .. } => Some(rows),
            Self::Training | Self::Validation => None,
        }
    }

    /// What the rows are, and what scores on them say.
    pub fn in_words(self) -> String {
        let words = match self {
            Self::Training => {
                "those that the adapter was trained on, so their scores say little about new texts; score it on others"
            }
            Self::Validation => {
                "the validation rows of the training, which chose the model and the temperature, so their scores flatter"
            }
            Self::Partly { rows, of } => {
                let have = if rows == 1 { "has" } else { "have" };
                return format!(
                    "in part those that the adapter was trained on ({rows} of {of} {have} such a text), so their scores flatter; remove these"
                );
            }
        };
        words.to_owned()
    }
}

/// Tells whoever scores an adapter on rows of its own training.
pub fn note_trained_on(
    adapter: &Path,
    data: &Path,
    rows: &Rows,
    progress: &dyn Progress,
) -> Option<UseInTraining> {
    let found = use_in_training(adapter, data).or_else(|| texts_in_training(adapter, rows))?;
    progress.note(&format!(
        "note: the rows of `{}` are {}",
        data.display(),
        found.in_words()
    ));
    Some(found)
}

/// What the training of an adapter did with a file, which is known by the hash of its content: paths may mean other files now.
pub fn use_in_training(adapter: &Path, data: &Path) -> Option<UseInTraining> {
    let run = run_of(adapter)?;
    let hash = hash_of(data)?;
    let is = |key: &str| run[HASHES][key] == hash.as_str();
    if is("train_file") || is("data_file") {
        Some(UseInTraining::Training)
    } else {
        is("validation_file").then_some(UseInTraining::Validation)
    }
}

/// How many rows have a text that the adapter was trained on, where the files of its training are still what and where they were.
fn texts_in_training(adapter: &Path, rows: &Rows) -> Option<UseInTraining> {
    let run = run_of(adapter)?;
    let config = &run["config"];
    let data = DataConfig {
        // No row of it is trained on.
        test_file: None,
        ..serde_json::from_value(config.clone()).ok()?
    };
    let hashes = hashes_of(&data);
    if hashes.is_empty() || run[HASHES] != Value::Object(hashes) {
        return None;
    }
    let source = RowSource {
        data: &data,
        origins: &Origins::default(),
        seed: config["seed"].as_u64()?,
        is_evaluated: config["eval_strategy"] != "no",
    };
    let trained = source.read(&Silent).ok()?.split.train;
    let shared = SharedTexts::find(&RowText::of_rows(&trained), &RowText::of_rows(rows))?;
    Some(UseInTraining::Partly {
        rows: shared.rows,
        of: shared.of,
    })
}

/// `run.json` of the training of an adapter.
fn run_of(adapter: &Path) -> Option<Value> {
    let read = |folder: &Path| fs::read(folder.join(RUN_FILE)).ok();
    // The last adapter, and those of checkpoints, are in folders of the run.
    let text = read(adapter).or_else(|| read(adapter.parent()?))?;
    serde_json::from_slice(&text).ok()
}

/// For [`HASHES`] of `run.json`: the files of a training.
pub(crate) fn hashes_of(data: &DataConfig) -> Map<String, Value> {
    let files = [
        ("train_file", &data.train_file),
        ("validation_file", &data.validation_file),
        ("data_file", &data.data_file),
    ];
    let hashes = files
        .into_iter()
        .filter_map(|(key, file)| Some((key.to_owned(), Value::from(hash_of(file.as_deref()?)?))));
    hashes.collect()
}

/// SHA-256 of a file; none of what is no file, such as the standard input.
fn hash_of(path: &Path) -> Option<String> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let hash = digest(&SHA256, &fs::read(path).ok()?);
    let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Some(digits.collect::<Vec<_>>().concat())
}
