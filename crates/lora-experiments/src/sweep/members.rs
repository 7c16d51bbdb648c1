//! Outputs of the members of deep ensembles, stored beside the results file until their ensemble is scored: a sweep that was killed
//! trains none of them twice.

use std::fs;
use std::path::{Path, PathBuf};

use lora_core::atomic::write_file;
use lora_pipeline::error::{Context, Result};
use serde::{Deserialize, Serialize};

use super::file::Stopping;
use super::outputs::TrialOutputs;

/// A member on disk.
#[derive(Debug, Serialize, Deserialize)]
pub struct Member {
    /// Outputs of its mean pass.
    #[serde(rename = "said")]
    pub outputs: TrialOutputs,
    /// Wall time of its training.
    pub training_seconds: f64,
}

/// The folder of members: beside a results file, or one that workers share.
#[derive(Clone, Debug)]
pub struct Members {
    folder: PathBuf,
}

impl Members {
    /// Of a results file. The folder is made with its first member.
    pub fn beside(results: &Path) -> Self {
        let mut name = results.as_os_str().to_owned();
        name.push(".members");
        Self::in_folder(name.into())
    }

    /// In a folder, which is made with the first member.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, training: &str, stopping: Stopping) -> PathBuf {
        let which = match stopping {
            Stopping::Early => "",
            Stopping::Never => ".last",
        };
        self.folder.join(format!("{training}{which}.json"))
    }

    /// Whether a member is there.
    pub fn has(&self, training: &str, stopping: Stopping) -> bool {
        self.path(training, stopping).is_file()
    }

    /// Keeps a member.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn keep(&self, training: &str, stopping: Stopping, member: &Member) -> Result<()> {
        Ok(write_file(
            &self.path(training, stopping),
            &serde_json::to_vec(member)?,
        )?)
    }

    /// Reads a member.
    ///
    /// # Errors
    ///
    /// If it is not there, or damaged.
    pub fn read(&self, training: &str, stopping: Stopping) -> Result<Member> {
        let path = self.path(training, stopping);
        let shown = || format!("`{}`: remove it, its training is then repeated", path.display());
        let bytes = fs::read(&path).with_context(shown)?;
        serde_json::from_slice(&bytes).with_context(shown)
    }

    /// Removes all of them.
    pub fn clear(&self) {
        // What is left lies beside the results and harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
