//! `README.md` of an adapter folder: a model card, with the metadata that the Hugging Face hub reads.
//!
//! A card says nothing that the folder's other files do not hold, and names no path of the machine that it was written on: it is for those
//! to whom the folder is given.

mod body;
mod metadata;
#[cfg(test)]
mod tests;

use std::path::Path;

use lora_core::Tuning;
use lora_core::atomic::WriteError;
use lora_core::gaussian::Gaussian;
use lora_data::Task;
use lora_train::History;

use crate::base::checkpoint::public_name;
use crate::calibration::CalibrationFile;
use crate::config::RunConfig;
use crate::error::Result;
use crate::files::output::remove_file;
use crate::saved::task_file::TaskFile;
use crate::score::ScoredMethod;
use crate::score::comparison::method_in_use;

/// Name of the file.
pub const CARD_FILE: &str = "README.md";
/// The line by which a card of ours is known. Whoever takes it out owns the card.
const MARK: &str =
    "<!-- Written by lora, and written anew by the next training here unless this line is removed. -->";

/// What a card says.
#[derive(Clone, Copy, Debug)]
pub struct ModelCard<'a> {
    /// The folder that it is for; its last name is that of the model.
    pub folder: &'a Path,
    /// What was trained.
    pub tuning: &'a Tuning,
    /// What is predicted.
    pub task: &'a Task,
    /// Base model, lengths, temperatures, and how the folder is used.
    pub task_file: &'a TaskFile,
    /// What members are drawn from, where they are no masks.
    pub posterior: Option<&'a Gaussian>,
    /// What validation rows said about probabilities.
    pub calibration: Option<&'a CalibrationFile>,
    /// How it was trained, where that is known.
    pub training: Option<CardTraining<'a>>,
    /// Scores of each split, where there are any.
    pub scores: &'a [(String, Vec<ScoredMethod>)],
}

/// How a model was trained.
#[derive(Clone, Copy, Debug)]
pub struct CardTraining<'a> {
    /// The settings.
    pub config: &'a RunConfig,
    /// Rows of the training, validation and test split.
    pub rows: [usize; 3],
    /// What happened.
    pub history: &'a History,
}

impl ModelCard<'_> {
    /// The whole file.
    ///
    /// # Errors
    ///
    /// If a score is not finite.
    pub fn text(&self) -> Result<String> {
        Ok(format!(
            "---\n{}---\n\n# {}\n\n{MARK}\n\n{}",
            self.metadata()?,
            self.name(),
            self.body()?
        ))
    }

    /// The whole file, unless a README of the user's is in the folder.
    ///
    /// # Errors
    ///
    /// As [`ModelCard::text`].
    pub fn text_where_free(&self) -> Result<Option<String>> {
        is_free(self.folder).then(|| self.text()).transpose()
    }

    fn name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(
            || "adapter".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// The base model's name, where it is one on the hub and no folder or file here.
    fn hub_id(&self) -> Option<&str> {
        let name = public_name(&self.task_file.base_model);
        let is_plain = |part: &str| {
            let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
        };
        let is_id = name.split('/').count() <= 2 && name.split('/').all(is_plain);
        (is_id && !Path::new(name).exists()).then_some(name)
    }

    /// Of the ways to predict on a split, the one that `lora predict` takes.
    fn in_use<'m>(&self, methods: &'m [ScoredMethod]) -> Option<&'m ScoredMethod> {
        method_in_use(methods, self.task_file.inference)
    }

    /// Those splits that a reader wants to know of: not the rows that were trained on.
    fn held_out(&self) -> impl Iterator<Item = (&str, &[ScoredMethod])> {
        let splits = self.scores.iter().filter(|(name, _)| name != "training");
        splits.map(|(name, methods)| (name.as_str(), methods.as_slice()))
    }
}

/// Whether a card may be written into a folder: there is none, or one of ours.
fn is_free(folder: &Path) -> bool {
    let path = folder.join(CARD_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.lines().any(|line| line == MARK),
        Err(_) => !path.exists(),
    }
}

/// Removes the card of an earlier run; a README of the user's stays.
///
/// # Errors
///
/// [`WriteError`].
pub fn remove_card(folder: &Path) -> std::result::Result<(), WriteError> {
    if is_free(folder) {
        remove_file(&folder.join(CARD_FILE))?;
    }
    Ok(())
}
