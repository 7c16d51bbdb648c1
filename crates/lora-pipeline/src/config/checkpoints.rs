//! When a training writes what it takes to go on with it, and whether it goes on with another.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Origins, RunConfig};
use crate::error::Result;

/// When checkpoints are written, in the words of Transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaveStrategy {
    /// Never, not even where the training is interrupted.
    No,
    /// After every `save_steps` steps, and at the end.
    Steps,
    /// After every epoch, and at the end.
    Epoch,
}

/// What a training begins with, in the words of Transformers: true or `auto`, false, or a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum ResumeFrom {
    /// Nothing: at the first step.
    #[default]
    Nothing,
    /// The newest checkpoint in the output folder; without one, as [`ResumeFrom::Nothing`].
    Newest,
    /// This checkpoint.
    Folder(PathBuf),
}

/// As files have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected auto, or the folder of a checkpoint")]
enum Written {
    Truth(bool),
    Text(String),
}

/// The word for the newest checkpoint.
pub const NEWEST: &str = "auto";

impl From<Written> for ResumeFrom {
    fn from(written: Written) -> Self {
        match written {
            Written::Truth(false) => Self::Nothing,
            Written::Truth(true) => Self::Newest,
            Written::Text(text) if text == NEWEST => Self::Newest,
            Written::Text(text) => Self::Folder(text.into()),
        }
    }
}

impl From<ResumeFrom> for Written {
    fn from(from: ResumeFrom) -> Self {
        match from {
            ResumeFrom::Nothing => Self::Truth(false),
            ResumeFrom::Newest => Self::Text(NEWEST.to_owned()),
            ResumeFrom::Folder(folder) => Self::Text(folder.to_string_lossy().into_owned()),
        }
    }
}

impl fmt::Display for ResumeFrom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing"),
            Self::Newest => formatter.write_str(NEWEST),
            Self::Folder(folder) => folder.display().fmt(formatter),
        }
    }
}

/// Settings of checkpoints that make no sense alone or together.
pub(super) fn check_checkpoints(config: &RunConfig, origins: &Origins) -> Result<()> {
    match (config.save_strategy, config.save_steps) {
        (Some(SaveStrategy::Steps), None) => {
            let message =
                "save_strategy is steps, but save_steps is not given; give the steps between two checkpoints";
            return Err(origins.at("save_strategy", message));
        }
        (Some(SaveStrategy::Steps), Some(0)) => {
            let message = "save_steps is 0: expected the steps between two checkpoints, at least 1";
            return Err(origins.at("save_steps", message));
        }
        (Some(SaveStrategy::Steps), Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            let message = "save_steps is given, but save_strategy is not steps; give save_strategy: steps, or remove save_steps";
            return Err(origins.at("save_steps", message));
        }
    }
    if config.save_total_limit == Some(0) {
        let message =
            "save_total_limit is 0, which keeps no checkpoint; give 1 or more, or save_strategy: no";
        return Err(origins.at("save_total_limit", message));
    }
    Ok(())
}
