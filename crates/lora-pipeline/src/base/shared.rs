//! Base models in memory once, however many adapters are on them.

use burn::tensor::Device;
use lora_data::{LabelNames, Task};
use lora_models::{Checkpoint, Transformer};

use super::{BaseModel, OpenedBase, TextReader};
use crate::error::Result;

/// Base models that adapters have been put on. All are on one device, in one precision.
#[derive(Debug, Default)]
pub struct SharedBases(Vec<(BaseModel, Transformer)>);

impl SharedBases {
    /// A base model with the head of a task; its backbone is loaded if it is not there.
    ///
    /// # Errors
    ///
    /// As [`OpenedBase::load`].
    pub fn open(
        &mut self,
        base: &BaseModel,
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
    pub fn retain(&mut self, used: &[BaseModel]) {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use crate::base::checkpoint::{EMBEDDED_MODEL, open_checkpoint};
    use crate::base::hub::hub_options;

    #[test]
    fn a_second_head_stands_on_the_backbone_that_is_there() {
        let files = open_checkpoint(EMBEDDED_MODEL, &hub_options(None)).unwrap();
        let classes = Task::Classification {
            labels: LabelNames::new(["a", "b", "c"]).unwrap(),
        };
        let mut bases = SharedBases::default();
        // Of one parameter of the backbone: clones have the same number.
        let mut opened = |name: &str, task: &Task| {
            let reader = TextReader::of(&files, task, Some(16)).unwrap();
            let opened = bases.open(
                &BaseModel::new(name),
                &files,
                reader,
                (task, task.labels()),
                &Device::default(),
            );
            opened.unwrap().model.backbone.token_table().base.weight.id
        };
        let first = opened("one", &Task::Regression);
        assert_eq!(opened("one", &classes), first);
        assert_ne!(opened("other", &classes), first);
        assert_eq!(bases.len(), 2);
        bases.retain(&[BaseModel::new("other")]);
        assert_eq!(bases.len(), 1);
    }
}
