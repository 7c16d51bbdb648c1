//! Folders of what a tuner other than LoRA trained.
//!
//! | file | holds |
//! |---|---|
//! | `tuning.json` | the [`Tuning`], what it is for, and the base model |
//! | `tuned.safetensors` | the trained tensors alone, under the names and in the orientation of the base model's checkpoint |
//!
//! Of a bottleneck after the linear at PATH: `PATH.adapter_down.weight`, `.adapter_down.bias`, `.adapter_up.weight`,
//! `.adapter_up.bias`. These names are our own; no other program reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::adapted::Adapted;
use crate::atomic::{WriteError, write_file};
use crate::filling::Waiting;
use crate::gaussian::read_posterior;
use crate::json_file::read_json;
use crate::model::Linears;
use crate::peft::{AdapterError, SaveOptions, TaskType, trained_tensors, write_tensors};
use crate::tensors::TensorFile;
use crate::tuning::Tuning;

/// Name of the settings' file.
pub const TUNING_FILE: &str = "tuning.json";
/// Name of the tensors' file.
pub const TUNED_TENSOR_FILE: &str = "tuned.safetensors";

/// A folder that was read and not yet put on a model.
#[derive(Debug)]
pub struct TunedFolder {
    /// How the model was tuned.
    pub tuning: Tuning,
    /// What for.
    pub task_type: Option<TaskType>,
    /// The base model that the file names.
    pub base_model: Option<String>,
    folder: PathBuf,
    tensors: TensorFile,
}

/// The content of `tuning.json`.
#[derive(Serialize, Deserialize)]
struct TuningFile {
    /// Version of this file's layout.
    format: u32,
    tuning: Tuning,
    task_type: Option<TaskType>,
    base_model_name_or_path: Option<String>,
}

impl TunedFolder {
    /// Reads a folder written by [`Adapted::save`].
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if a file is missing or corrupt, or a setting cannot be used.
    pub fn read(folder: &Path) -> Result<Self, AdapterError> {
        let path = folder.join(TUNING_FILE);
        let file: TuningFile = read_json(&path)?;
        if file.format != 1 {
            return Err(AdapterError::Setting {
                path,
                key: "format",
                found: file.format.to_string(),
                supported: "1",
            });
        }
        file.tuning.validate().map_err(|reason| AdapterError::Config {
            path: path.clone(),
            reason,
        })?;
        let tensors = TensorFile::open(&folder.join(TUNED_TENSOR_FILE))?;
        if let Tuning::Bottleneck(config) = &file.tuning
            && config.size > tensors.longest_axis()
        {
            // Bottlenecks start as random numbers of the size in the settings: memory is taken for no more than the tensors hold.
            return Err(AdapterError::Setting {
                path,
                key: "size",
                found: config.size.to_string(),
                supported: "a size that the tensors beside it have",
            });
        }
        Ok(Self {
            tuning: file.tuning,
            task_type: file.task_type,
            base_model: file.base_model_name_or_path,
            folder: folder.to_owned(),
            tensors,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The shape of a tensor by its name: tells how many classes the head has.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.shape(name)
    }

    /// Names and shapes of its tensors.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .names()
            .map(|name| (name, self.tensors.shape(name).unwrap_or_default()))
    }

    /// Reads every tensor, one after the other, for whoever has no model to put them on.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Tensors`], [`AdapterError::Number`] for a value that is not finite.
    pub fn check_tensors(&self) -> Result<(), AdapterError> {
        let names = self.names();
        let waiting = Waiting::new(&self.tensors, &names, "");
        names.keys().try_for_each(|name| waiting.read(name).map(drop))
    }

    /// The model's name of each tensor, and the one in the file: they are the same.
    fn names(&self) -> BTreeMap<String, String> {
        let names = self.tensors.names();
        names.map(|name| (name.to_owned(), name.to_owned())).collect()
    }

    /// Puts what was trained on a model.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if a tensor is missing, unknown or of the wrong shape, or the tuning does not fit the model.
    pub fn attach_to<M: Module + Linears>(&self, model: M) -> Result<Adapted<M>, AdapterError> {
        let (adapted, _) =
            Adapted::attach(model, self.tuning.clone(), 0).map_err(|reason| AdapterError::Config {
                path: self.folder.join(TUNING_FILE),
                reason,
            })?;
        let names = self.names();
        let mut waiting = Waiting::new(&self.tensors, &names, "");
        let adapted = waiting.fill(adapted)?;
        waiting.finish()?;
        let posterior = read_posterior(&self.folder, &adapted)?;
        Ok(adapted.with_posterior(posterior))
    }
}

/// Writes a folder: the settings last, so that a folder with settings is a whole one.
pub(crate) fn write_folder<M: Module + Linears>(
    folder: &Path,
    adapted: &Adapted<M>,
    options: &SaveOptions,
) -> Result<(), WriteError> {
    write_tensors(&folder.join(TUNED_TENSOR_FILE), trained_tensors(adapted))?;
    let file = TuningFile {
        format: 1,
        tuning: adapted.tuning().clone(),
        task_type: options.task_type,
        base_model_name_or_path: options.base_model.clone(),
    };
    let mut text = serde_json::to_string_pretty(&file).expect("settings are plain data");
    text.push('\n');
    write_file(&folder.join(TUNING_FILE), text.as_bytes())
}
