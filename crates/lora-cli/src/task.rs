//! `task.json`: what an adapter folder must know, beside PEFT's files, to be used again.

use std::path::Path;

use anyhow::{Context, Result, bail};
use lora_core::peft::EnsembleSettings;
use lora_data::{Column, Columns, LabelNames, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::ProblemType;

/// Name of the file.
pub const TASK_FILE: &str = "task.json";

/// The content of `task.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Version of this file's layout.
    pub format: u32,
    /// What is predicted.
    pub problem_type: ProblemType,
    /// Class names by index, as Hugging Face writes them; none for regression.
    #[serde(default)]
    pub id2label: Option<Map<String, Value>>,
    /// Longest text in tokens.
    pub max_seq_length: usize,
    /// Whether the first row of a CSV or TSV names the columns.
    #[serde(default = "has_header")]
    pub header: bool,
    /// Column of the text.
    pub text_column: Column,
    /// Column of the second text.
    #[serde(default)]
    pub text_pair_column: Option<Column>,
    /// Column of the label.
    pub label_column: Column,
    /// Base model, as it was given.
    pub base_model: String,
    /// Branch, tag or commit of a hub id.
    #[serde(default)]
    pub revision: Option<String>,
    /// Temperatures fitted on validation rows.
    #[serde(default)]
    pub temperature: Temperatures,
    /// The ensemble that was scored.
    #[serde(default)]
    pub ensemble: Option<EnsembleSettings>,
}

fn has_header() -> bool {
    true
}

/// Temperatures, one for each way to predict: what calibrates one pass does not calibrate an ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperatures {
    /// For the mean pass.
    pub mean: Option<f64>,
    /// For the ensemble of `task.json`.
    pub ensemble: Option<f64>,
}

impl TaskFile {
    /// Reads the file of an adapter folder; none if PEFT alone wrote the folder.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be used.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(TASK_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{shown}`"))?;
        let task = serde_json::from_slice::<Self>(&bytes);
        let task = task.with_context(|| {
            format!("`{shown}` is damaged; train again, or remove it and name the labels with --labels")
        })?;
        if task.format != 1 {
            bail!(
                "`{shown}` has format {}, this program reads format 1; use the program that wrote it",
                task.format
            );
        }
        if task.problem_type != ProblemType::CausalLm {
            task.task().with_context(|| format!("`{shown}`"))?;
        }
        Ok(Some(task))
    }

    /// What is predicted, with the class names in the order of the model's outputs.
    ///
    /// # Errors
    ///
    /// If the names are missing or not numbered 0, 1, 2….
    pub fn task(&self) -> Result<Task> {
        match self.problem_type {
            ProblemType::Regression => Ok(Task::Regression),
            ProblemType::CausalLm => {
                bail!(
                    "the adapter belongs to a language model, which has no labels; use `lora generate --adapter`"
                )
            }
            ProblemType::SingleLabelClassification => {
                let names = self
                    .id2label
                    .as_ref()
                    .context("id2label is missing; a classification needs it")?;
                let in_order = (0..names.len()).map(|id| {
                    let name = names.get(&id.to_string()).and_then(Value::as_str);
                    name.with_context(|| {
                        format!("id2label lacks the id \"{id}\"; number the classes 0, 1, 2 and so on")
                    })
                });
                let labels = LabelNames::new(in_order.collect::<Result<Vec<_>>>()?)?;
                Ok(Task::Classification { labels })
            }
        }
    }

    /// Fitted temperatures, where they were fitted for what runs now: another number of members or another average is
    /// another predictor, and needs another temperature.
    pub fn temperatures_for(&self, ensemble: Option<EnsembleSettings>) -> Temperatures {
        let kind = |settings: EnsembleSettings| (settings.members, settings.average);
        let fits = ensemble.is_some() && ensemble.map(kind) == self.ensemble.map(kind);
        Temperatures {
            mean: self.temperature.mean,
            ensemble: self.temperature.ensemble.filter(|_| fits),
        }
    }

    /// The columns to read from a file like that of the training.
    pub fn columns(&self) -> Columns {
        Columns {
            text: Some(self.text_column.clone()),
            text_pair: self.text_pair_column.clone(),
            label: Some(self.label_column.clone()),
        }
    }
}

/// Class names by index, as Hugging Face writes them; none for regression.
pub fn id2label(task: &Task) -> Option<Map<String, Value>> {
    let names = task.labels()?.names().iter().enumerate();
    Some(
        names
            .map(|(id, name)| (id.to_string(), Value::from(name.clone())))
            .collect(),
    )
}

/// The problem type of a task.
pub fn problem_type(task: &Task) -> ProblemType {
    match task {
        Task::Classification { .. } => ProblemType::SingleLabelClassification,
        Task::Regression => ProblemType::Regression,
    }
}
