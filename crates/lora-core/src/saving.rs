//! An adapted model, saved.

use std::path::Path;

use burn::module::Module;

use crate::adapted::Adapted;
use crate::atomic::WriteError;
use crate::gaussian::write_posterior;
use crate::model::Linears;
use crate::peft::{self, SaveOptions};
use crate::tuned;
use crate::tuning::Tuning;

impl<M: Module + Linears> Adapted<M> {
    /// Writes what is trained to a folder: for LoRA one that PEFT loads ([`AdapterFolder`](crate::peft::AdapterFolder) reads it), for
    /// other tunings one of ours ([`TunedFolder`](crate::tuned::TunedFolder) reads it). A Gaussian that the
    /// model carries is written beside it. The settings are written last, so a folder with
    /// settings is a whole one.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; no file is left half-written.
    ///
    /// # Panics
    ///
    /// Panics if two trained parameters have the same name, which no model's paths allow.
    pub fn save(&self, folder: &Path, options: &SaveOptions) -> Result<(), WriteError> {
        write_posterior(folder, self)?;
        match self.tuning() {
            Tuning::Lora(config) => peft::write_folder(folder, self, config, options),
            Tuning::Full(_) | Tuning::BitFit(_) | Tuning::Bottleneck(_) => {
                tuned::write_folder(folder, self, options)
            }
        }
    }
}
