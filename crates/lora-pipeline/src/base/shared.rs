//! Base models in memory once, however many adapters are on them.

use burn::tensor::Device;
use lora_data::{LabelNames, Task};
use lora_models::{Checkpoint, Transformer};

use super::{OpenedBase, TextReader};
use crate::error::Result;

/// Base models that adapters have been put on. All are on one device, in one precision.
#[derive(Debug, Default)]
pub struct SharedBases(Vec<(SharedBase, Transformer)>);

/// Which base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBase {
    /// Folder, GGUF file, hub id, or the name of the embedded one.
    pub name: String,
    /// Branch, tag or commit of a hub id.
    pub revision: Option<String>,
}

impl SharedBases {
    /// A base model with the head of a task; its backbone is loaded if it is not there.
    ///
    /// # Errors
    ///
    /// As [`OpenedBase::load`].
    pub fn open(
        &mut self,
        base: &SharedBase,
        files: &Checkpoint,
        reader: TextReader,
        (task, labels): (&Task, Option<&LabelNames>),
        device: &Device,
    ) -> Result<OpenedBase> {
        if let Some((_, model)) = self.0.iter().find(|(known, _)| known == base) {
            return OpenedBase::load_on(model, files, reader, task, labels, device);
        }
        let opened = OpenedBase::load(files, reader, task, labels, 0, device)?;
        self.0.push((base.clone(), opened.model.clone()));
        Ok(opened)
    }

    /// Forgets the base models that are not among these.
    pub fn retain(&mut self, used: &[SharedBase]) {
        self.0.retain(|(base, _)| used.contains(base));
    }

    /// How many are in memory.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
