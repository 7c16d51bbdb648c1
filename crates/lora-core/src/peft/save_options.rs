//! What is written about an adapter beside its tensors and its settings.

use super::task_type::TaskType;
use crate::ensemble::EnsembleSettings;

/// What [`Adapted::save`](crate::Adapted::save) writes beside tensors and settings. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SaveOptions {
    /// What the adapter is for.
    pub task_type: Option<TaskType>,
    /// The base model: a folder or a hub id, by which PEFT finds it.
    pub base_model: Option<String>,
    /// The ensemble that the adapter is meant for. Written for LoRA Dropout; other adapters have no masks to draw.
    pub ensemble: Option<EnsembleSettings>,
}

impl SaveOptions {
    /// For an adapter of this task.
    pub fn new(task_type: TaskType) -> Self {
        Self {
            task_type: Some(task_type),
            ..Self::default()
        }
    }

    /// The same options with the base model's folder or hub id.
    #[must_use]
    pub fn with_base_model(mut self, base_model: impl Into<String>) -> Self {
        self.base_model = Some(base_model.into());
        self
    }

    /// The same options with the ensemble that the adapter is meant for.
    #[must_use]
    pub fn with_ensemble(mut self, ensemble: EnsembleSettings) -> Self {
        self.ensemble = Some(ensemble);
        self
    }
}
