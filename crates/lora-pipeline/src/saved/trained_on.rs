//! Whether rows that an adapter is scored on are those that it was trained or chosen on, as far as `run.json` tells.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::files::output::RUN_FILE;
use crate::progress::Progress;

/// What a training did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseInTraining {
    /// It trained on its rows, or on most of them.
    Training,
    /// It chose the model and the temperature by them.
    Validation,
}

impl UseInTraining {
    /// For results files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
        }
    }

    /// What the rows are, and what scores on them say.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Training => {
                "those that the adapter was trained on, so their scores say little about new texts; score it on others"
            }
            Self::Validation => {
                "the validation rows of the training, which chose the model and the temperature, so their scores flatter"
            }
        }
    }
}

/// Tells whoever scores an adapter on rows of its own training.
pub fn note_trained_on(adapter: &Path, data: &Path, progress: &dyn Progress) -> Option<UseInTraining> {
    let found = use_in_training(adapter, data)?;
    progress.note(&format!(
        "note: the rows of `{}` are {}",
        data.display(),
        found.in_words()
    ));
    Some(found)
}

/// What the training of an adapter did with a file. Files are compared by place and, if both are still there, by content.
pub fn use_in_training(adapter: &Path, data: &Path) -> Option<UseInTraining> {
    let read = |folder: &Path| fs::read(folder.join(RUN_FILE)).ok();
    // The last adapter, and those of checkpoints, are in folders of the run.
    let text = read(adapter).or_else(|| read(adapter.parent()?))?;
    let run: Value = serde_json::from_slice(&text).ok()?;
    let is = |key: &str| {
        let file = run["config"][key].as_str();
        file.is_some_and(|file| are_the_same(Path::new(file), data))
    };
    if is("train_file") || is("data_file") {
        Some(UseInTraining::Training)
    } else {
        is("validation_file").then_some(UseInTraining::Validation)
    }
}

/// Whether two files are one, or have the same content. What is no file, such as the standard input, is like none.
fn are_the_same(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| Some(fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len());
    match (length(one), length(other)) {
        (Some(first), Some(second)) if first == second => {
            let whole = |path: &Path| fs::canonicalize(path).ok();
            whole(one) == whole(other) || fs::read(one).ok() == fs::read(other).ok()
        }
        _ => false,
    }
}
