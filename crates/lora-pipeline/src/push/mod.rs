//! An adapter folder to the Hugging Face hub.

mod hub;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use lora_core::gaussian::{POSTERIOR_FILE, POSTERIOR_TENSOR_FILE};
use lora_core::peft::{CONFIG_FILE, SIDE_FILE, TENSOR_FILE};
use lora_core::tuned::{TUNED_TENSOR_FILE, TUNING_FILE};
use serde::Serialize;
use thiserror::Error;

pub use self::hub::PushedCommit;
use crate::bail;
use crate::calibration::CALIBRATION_FILE;
use crate::card::CARD_FILE;
use crate::error::Result;
use crate::http::HttpError;
use crate::saved::Saved;
use crate::saved::task_file::TASK_FILE;

/// What may be pushed, whatever else a folder holds: scores, settings, rows and checkpoints of a run stay.
const OF_ADAPTERS: [&str; 10] = [
    CARD_FILE,
    CONFIG_FILE,
    TENSOR_FILE,
    SIDE_FILE,
    TASK_FILE,
    CALIBRATION_FILE,
    POSTERIOR_FILE,
    POSTERIOR_TENSOR_FILE,
    TUNING_FILE,
    TUNED_TENSOR_FILE,
];

/// Why nothing, or not everything, is on the hub.
#[derive(Debug, Error)]
pub enum PushError {
    /// Nobody is logged in.
    #[error(
        "there is no token for {endpoint}: set HF_TOKEN, or log in with `hf auth login`; it must be one that may write"
    )]
    NoToken {
        /// The hub.
        endpoint: String,
    },
    /// The hub does not take it.
    #[error("{repo} was not changed: {source}{}", advice(source))]
    Hub {
        /// The repository.
        repo: String,
        /// What was asked and answered.
        source: HttpError,
    },
    /// The hub refuses a file.
    #[error("{repo} was not changed: the hub does not take {file}: {message}")]
    File {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// What it says.
        message: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

fn advice(source: &HttpError) -> &'static str {
    if source.is_status(401) || source.is_status(403) {
        "; the token must be one that may write there (HF_TOKEN, or `hf auth login`)"
    } else {
        ""
    }
}

/// What goes where.
#[derive(Clone, Debug, Serialize)]
pub struct PushPlan {
    /// `user/name`.
    pub repo: String,
    /// The folder.
    pub folder: PathBuf,
    /// Files of it, by name, with their bytes.
    pub files: Vec<PushedFile>,
    /// The base model, where it is a folder or file of this machine, which means nothing to others.
    pub local_base: Option<String>,
}

/// A file of an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushedFile {
    /// Its name, here and there.
    pub name: &'static str,
    /// How large it is.
    pub bytes: u64,
}

impl PushPlan {
    /// The files of an adapter folder, for this repository.
    ///
    /// # Errors
    ///
    /// If the folder holds no adapter, a part of it is corrupt, or the name is none of a repository.
    pub fn of(folder: &Path, repo: &str) -> Result<Self> {
        check_repo(repo)?;
        let saved = Saved::read(folder)?;
        if let Saved::Model { .. } = saved {
            bail!(
                "`{}` is a whole model, and adapters alone are pushed; for a model use `hf upload {repo} {0}`",
                folder.display()
            );
        }
        let mut files = Vec::new();
        for name in OF_ADAPTERS {
            let path = folder.join(name);
            if let Ok(found) = path.metadata() {
                let bytes = found.len();
                files.push(PushedFile { name, bytes });
            }
        }
        Ok(Self {
            repo: repo.to_owned(),
            folder: folder.to_owned(),
            files,
            local_base: saved.base_model().filter(|base| Path::new(base).exists()),
        })
    }
}

/// A user or an organization, and a name, as the hub spells them.
fn check_repo(repo: &str) -> Result<()> {
    let is_name = |name: &str| {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !name.is_empty() && name.len() <= 96 && !name.starts_with(['-', '.']) && name.chars().all(is_allowed)
    };
    match repo.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) => Ok(()),
        _ => bail!(
            "`{repo}` is no repository of the hub: expected USER/NAME, of letters, digits, hyphens, underscores and dots"
        ),
    }
}
