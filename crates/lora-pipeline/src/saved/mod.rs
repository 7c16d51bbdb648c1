//! What a training left: an adapter, tuned tensors, or a whole model. `eval`, `predict` and the others take all three.

pub mod adapter;
mod inference_kind;
pub(crate) mod missing;
pub mod source;
pub mod task_file;
mod task_of;
pub mod trained_on;
mod writing;

use std::path::{Path, PathBuf};

use burn::module::Module;
use lora_core::peft::{AdapterError, AdapterFolder, CONFIG_FILE, EnsembleSettings, TaskType};
use lora_core::tuned::{TUNING_FILE, TunedFolder};
use lora_core::{Adapted, HeadConfig, Linears, Tuning};
use lora_models::{Checkpoint, LoadReport, Transformer};

pub use self::missing::did_you_mean;
use crate::bail;
use crate::base::checkpoint::embedded_name;
use crate::base::model_folder::MODEL_CONFIG_FILE;
use crate::error::{Context, Result};

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
        if let Some(why) = missing::no_adapter(folder) {
            bail!("{why}");
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

    /// Whether a tensor of this name was trained and saved. A whole model is its own checkpoint, and adds none.
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::Adapter(folder) => folder.shape(name).is_some(),
            Self::Tuned(folder) => folder.shape(name).is_some(),
            Self::Model { .. } => false,
        }
    }

    /// Puts what was trained on a loaded model, which must have every weight that neither its files nor this folder hold. `name` is
    /// the model's, `flag` the one that names another.
    ///
    /// # Errors
    ///
    /// If the two do not fit each other; the message says so if the folder is for another model.
    pub fn put_on(
        &self,
        model: Transformer,
        loaded: &LoadReport,
        name: &str,
        flag: &str,
    ) -> Result<Adapted<Transformer>> {
        let attached = loaded
            .expect_all_in(|tensor| self.holds(tensor))
            .map_err(crate::error::Error::from)
            .and_then(|()| Ok(self.attach_to(model)?));
        match self.of_another_model(name, flag) {
            Some(why) => attached.context(why),
            None => attached,
        }
    }

    /// Why the folder does not fit a model of this name, if it names another one, or none.
    pub fn of_another_model(&self, name: &str, flag: &str) -> Option<String> {
        let folder = self.path().display();
        match self.base_model().filter(|base| !base.is_empty()) {
            Some(base) if embedded_name(&base) == embedded_name(name) => None,
            Some(base) => Some(format!(
                "`{folder}` was trained on `{base}` and does not fit `{name}`; give its own base model with {flag}"
            )),
            None => Some(format!(
                "`{folder}` names no base model and does not fit `{name}`; give the one that it was trained on with {flag}"
            )),
        }
    }

    /// The tensors of modules that were trained in full.
    pub fn tensors_in_full(&self) -> Vec<&str> {
        match self {
            Self::Adapter(folder) => folder.tensors_in_full().collect(),
            Self::Tuned(_) | Self::Model { .. } => Vec::new(),
        }
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
