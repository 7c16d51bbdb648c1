//! An adapter folder, written anew.

use std::path::Path;

use lora_core::atomic::write_file;

use super::adapter::OpenedAdapter;
use super::task_file::TASK_FILE;
use crate::bail;
use crate::base::checkpoint::public_name;
use crate::base::task_type;
use crate::calibration::CALIBRATION_FILE;
use crate::card::{CARD_FILE, ModelCard};
use crate::error::Result;
use crate::files::folder_swap::write_folder;
use crate::files::output::json_text;
use crate::score::ScoredMethod;
use crate::train::checkpoints::Saving;

impl OpenedAdapter {
    /// Writes a new folder: a PEFT adapter with `task.json`, which holds labels and temperatures, `calibration.json`, the posterior
    /// that the model carries, and a model card with `scores` by split. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// If something is there already, or a file cannot be written.
    pub fn save(&self, folder: &Path, scores: &[(String, Vec<ScoredMethod>)]) -> Result<()> {
        let Some(task) = &self.task_file else {
            bail!("the predictor was loaded from a folder of another program; it is saved there already");
        };
        let text = json_text(task)?;
        let saving = Saving {
            folder,
            task_type: task_type(&self.task),
            base_model: public_name(&self.base.name),
            ensemble: self.ensemble,
            model_folder: &self.model_folder,
            run: &serde_json::Value::Null,
            task: &text,
        };
        let card = ModelCard {
            folder,
            tuning: self.adapted.tuning(),
            task: &self.task,
            task_file: task,
            posterior: self.adapted.posterior(),
            calibration: self.calibration.as_ref(),
            training: None,
            scores,
        };
        let card = card.text()?;
        write_folder(folder, |beside| {
            saving.write_tuned(beside, &self.adapted)?;
            if let Some(calibration) = &self.calibration {
                write_file(&beside.join(CALIBRATION_FILE), calibration.text()?.as_bytes())?;
            }
            write_file(&beside.join(CARD_FILE), card.as_bytes())?;
            Ok(write_file(&beside.join(TASK_FILE), text.as_bytes())?)
        })
    }
}
