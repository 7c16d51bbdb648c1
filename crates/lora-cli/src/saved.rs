//! What a training left: an adapter, tuned tensors, or a whole model. `eval`, `predict` and the others take all three.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::module::Module;
use lora_core::peft::{AdapterError, AdapterFolder, CONFIG_FILE, EnsembleSettings, TaskType};
use lora_core::{Adapted, HeadConfig, Linears, TUNING_FILE, TunedFolder, Tuning};
use lora_models::Checkpoint;

use crate::model_folder::MODEL_CONFIG_FILE;

/// A folder that a training wrote, or PEFT, or Transformers.
#[derive(Debug)]
pub enum Saved {
    /// LoRA in PEFT's form.
    Adapter(AdapterFolder),
    /// The trained tensors of another tuner.
    Tuned(TunedFolder),
    /// A model that was trained as a whole: it is its own base model.
    Model {
        /// The folder.
        folder: PathBuf,
    },
}

impl Saved {
    /// Reads a folder, whose kind is told by its files.
    ///
    /// # Errors
    ///
    /// If it is none of the three, or a file is missing or corrupt.
    pub fn read(folder: &Path) -> Result<Self> {
        let has = |file: &str| folder.join(file).is_file();
        if has(TUNING_FILE) {
            return Ok(Self::Tuned(TunedFolder::read(folder)?));
        }
        if has(MODEL_CONFIG_FILE) && !has(CONFIG_FILE) {
            let folder = folder.to_owned();
            return Ok(Self::Model { folder });
        }
        Ok(Self::Adapter(AdapterFolder::read(folder)?))
    }

    /// As [`Saved::read`], for what is LoRA's alone.
    ///
    /// # Errors
    ///
    /// If the folder holds no LoRA.
    pub fn read_adapter(folder: &Path) -> Result<AdapterFolder> {
        match Self::read(folder)? {
            Self::Adapter(adapter) => Ok(adapter),
            Self::Tuned(tuned) => bail!(
                "`{}` was trained with tuning {}, which has no form in LoRA; give a folder of LoRA",
                folder.display(),
                tuned.tuning.name()
            ),
            Self::Model { .. } => bail!(
                "`{}` is a whole model, which has no form in LoRA; give a folder of LoRA",
                folder.display()
            ),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Adapter(folder) => folder.path(),
            Self::Tuned(folder) => folder.path(),
            Self::Model { folder } => folder,
        }
    }

    /// The base model that the folder names; a whole model names itself.
    pub fn base_model(&self) -> Option<String> {
        match self {
            Self::Adapter(folder) => folder.base_model.clone(),
            Self::Tuned(folder) => folder.base_model.clone(),
            Self::Model { folder } => Some(folder.display().to_string()),
        }
    }

    /// What it is for, in PEFT's words.
    pub fn task_type(&self) -> Option<TaskType> {
        match self {
            Self::Adapter(folder) => folder.task_type,
            Self::Tuned(folder) => folder.task_type,
            Self::Model { .. } => None,
        }
    }

    /// The ensemble that the folder recommends.
    pub fn ensemble(&self) -> Option<EnsembleSettings> {
        match self {
            Self::Adapter(folder) => folder.ensemble,
            Self::Tuned(_) | Self::Model { .. } => None,
        }
    }

    /// The first axis of the saved tensor of this name: how many outputs a head has.
    pub fn outputs(&self, name: &str, checkpoint: &Checkpoint) -> Option<usize> {
        let shape = match self {
            Self::Adapter(folder) => folder.shape(name),
            Self::Tuned(folder) => folder.shape(name),
            Self::Model { .. } => checkpoint.weights.shape(name),
        };
        shape.and_then(|shape| shape.first().copied())
    }

    /// Puts what was trained on the base model.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if the two do not fit each other.
    ///
    /// # Panics
    ///
    /// Never: full tuning fits every model.
    pub fn attach_to<M: Module + Linears>(&self, model: M) -> Result<Adapted<M>, AdapterError> {
        match self {
            Self::Adapter(folder) => folder.attach_to(model),
            Self::Tuned(folder) => folder.attach_to(model),
            Self::Model { .. } => {
                let full = Adapted::attach(model, Tuning::Full(HeadConfig::default()), 0);
                Ok(full.expect("full tuning fits every model").0)
            }
        }
    }
}
