//! `task.json`: what an adapter folder must know, beside PEFT's files, to be used again.

use std::path::Path;

use lora_core::gaussian::PosteriorMethod;
use lora_core::peft::EnsembleSettings;
use lora_data::tasks::{self, AnswerSettings};
use lora_data::{ColumnSelector, Columns, LabelNames, ProblemType, Task};
use lora_eval::predictions::TEMPERATURES;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::inference_kind::InferenceKind;
use crate::bail;
use crate::base::BaseModel;
use crate::config::Lengths;
use crate::error::{Context, Result};

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
    pub text_column: ColumnSelector,
    /// Column of the second text.
    #[serde(default)]
    pub text_pair_column: Option<ColumnSelector>,
    /// Column of the label.
    pub label_column: ColumnSelector,
    /// Columns of 0 and 1 in its place, whose names are labels any number of which may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_columns: Vec<ColumnSelector>,
    /// Base model, as it was given.
    pub base_model: String,
    /// Branch, tag or commit of a hub id.
    #[serde(default)]
    pub revision: Option<String>,
    /// The benchmark it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// For answers in a context: tokens that two windows share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc_stride: Option<usize>,
    /// For answers in a context: longest answer in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_answer_length: Option<usize>,
    /// Temperatures fitted on validation rows.
    #[serde(default)]
    pub temperature: FittedValues,
    /// For answers in a context: above this lead of "no answer" an answer is empty, tuned on validation rows.
    #[serde(default, skip_serializing_if = "FittedValues::are_none")]
    pub no_answer_threshold: FittedValues,
    /// The ensemble that was scored.
    #[serde(default)]
    pub ensemble: Option<EnsembleSettings>,
    /// Which of mean pass and ensemble was better on the validation rows; none: the ensemble, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<InferenceKind>,
    /// On how many validation rows their losses differed by no more than chance; none where they differed beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_told_apart_on: Option<usize>,
    /// Where the Gaussian beside the adapter comes from: with this, its files must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<PosteriorMethod>,
}

fn has_header() -> bool {
    true
}

/// A number fitted for each way to predict: what calibrates one pass does not calibrate an ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FittedValues {
    /// For the mean pass.
    pub mean: Option<f64>,
    /// For the ensemble of `task.json`.
    pub ensemble: Option<f64>,
}

impl FittedValues {
    fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What is fitted on validation rows after training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FittedRules {
    /// What logits are divided by.
    pub temperature: FittedValues,
    /// When an answer is empty.
    pub threshold: FittedValues,
}

impl TaskFile {
    /// Of an adapter of which nothing else is known: texts and labels in columns of these names, nothing fitted.
    pub fn new(task: &Task, base: &BaseModel, max_seq_length: usize) -> Self {
        Self {
            format: 1,
            problem_type: task.problem_type(),
            id2label: task.labels().map(id2label),
            max_seq_length,
            header: true,
            text_column: "text".into(),
            text_pair_column: None,
            label_column: "label".into(),
            label_columns: Vec::new(),
            base_model: base.name.clone(),
            revision: base.revision.clone(),
            task_name: None,
            doc_stride: None,
            max_answer_length: None,
            temperature: FittedValues::default(),
            no_answer_threshold: FittedValues::default(),
            ensemble: None,
            inference: None,
            not_told_apart_on: None,
            posterior: None,
        }
    }

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
        task.task().with_context(|| format!("`{shown}`"))?;
        let FittedValues { mean, ensemble } = task.temperature;
        if let Some(found) = [mean, ensemble]
            .into_iter()
            .flatten()
            .find(|found| !TEMPERATURES.contains(found))
        {
            bail!(
                "`{shown}`: temperature is {found}; expected numbers from {:e} to {:e}, or null for none: train again, or correct it there",
                TEMPERATURES.start(),
                TEMPERATURES.end()
            );
        }
        Ok(Some(task))
    }

    /// What is predicted, with the names of classes, labels or tags in the order of the model's outputs.
    ///
    /// # Errors
    ///
    /// If names are missing or not numbered 0, 1, 2…, or the benchmark is unknown.
    pub fn task(&self) -> Result<Task> {
        let benchmark = self.task_name.as_deref().map(tasks::find).transpose()?;
        Ok(match self.problem_type {
            ProblemType::SingleLabelClassification => Task::Classification {
                labels: self.labels()?,
            },
            ProblemType::MultiLabelClassification => Task::MultiLabel {
                labels: self.labels()?,
            },
            ProblemType::Regression => Task::Regression,
            ProblemType::QuestionAnswering => Task::question_answering(benchmark),
            ProblemType::TokenClassification => Task::Tagging { tags: self.labels()? },
            ProblemType::MultipleChoice => Task::multiple_choice(benchmark),
            ProblemType::CausalLm => Task::Completion,
        })
    }

    /// How many tokens rows have; `longest` is what a flag says.
    pub fn lengths(&self, longest: Option<usize>) -> Lengths {
        let longest = longest.unwrap_or(self.max_seq_length);
        Lengths {
            longest,
            overlap: self.doc_stride.unwrap_or(longest / 3).min(longest / 2),
            answer: self
                .max_answer_length
                .unwrap_or(AnswerSettings::default().longest),
        }
    }

    fn labels(&self) -> Result<LabelNames> {
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
        Ok(LabelNames::new(in_order.collect::<Result<Vec<_>>>()?)?)
    }

    /// Fitted temperatures and thresholds, where they were fitted for what runs now: another number of members or another average is
    /// another predictor, and needs others.
    pub fn rules_for(&self, ensemble: Option<EnsembleSettings>) -> FittedRules {
        let kind = |settings: EnsembleSettings| (settings.members, settings.average);
        let fits = ensemble.is_some() && ensemble.map(kind) == self.ensemble.map(kind);
        FittedRules {
            temperature: FittedValues {
                mean: self.temperature.mean,
                ensemble: self.temperature.ensemble.filter(|_| fits),
            },
            threshold: FittedValues {
                mean: self.no_answer_threshold.mean,
                ensemble: self.no_answer_threshold.ensemble.filter(|_| fits),
            },
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

/// Class names by index, as Hugging Face writes them.
fn id2label(labels: &LabelNames) -> Map<String, Value> {
    let names = labels.names().iter().enumerate();
    names
        .map(|(id, name)| (id.to_string(), Value::from(name.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    /// As a training of an earlier version wrote it.
    fn file(problem_type: &str, labels: &Value) -> TaskFile {
        serde_json::from_value(json!({
            "format": 1, "problem_type": problem_type, "id2label": labels, "max_seq_length": 64, "text_column": "text",
            "label_column": "label", "base_model": "minilm-l6", "temperature": {"mean": 1.5, "ensemble": 2.5},
            "ensemble": {"members": 3, "seed": 7, "average": "probabilities"},
        }))
        .unwrap()
    }

    #[test]
    fn every_problem_type_is_a_task() {
        let names = json!({"1": "good", "0": "bad"});
        let labels = LabelNames::new(["bad", "good"]).unwrap();
        let cases = [
            (
                "single_label_classification",
                Task::Classification {
                    labels: labels.clone(),
                },
            ),
            (
                "multi_label_classification",
                Task::MultiLabel {
                    labels: labels.clone(),
                },
            ),
            ("token_classification", Task::Tagging { tags: labels }),
            ("regression", Task::Regression),
            ("question_answering", Task::question_answering(None)),
            ("multiple_choice", Task::multiple_choice(None)),
            ("causal_lm", Task::Completion),
        ];
        for (problem, expected) in cases {
            assert_eq!(file(problem, &names).task().unwrap(), expected);
            assert_eq!(expected.problem_type().name(), problem);
        }
        for wrong in [json!(null), json!({"0": "bad", "2": "good"})] {
            assert!(file("token_classification", &wrong).task().is_err());
        }
    }

    #[test]
    fn a_temperature_by_which_nothing_can_be_divided_is_refused_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TASK_FILE);
        let read = |temperature: f64| {
            let mut file = file("regression", &json!(null));
            file.temperature.ensemble = Some(temperature);
            std::fs::write(&path, serde_json::to_string(&file).unwrap()).unwrap();
            TaskFile::read(folder.path())
        };
        assert!(read(2.5).is_ok());
        for damaged in [0.0, -1.0, 1e300] {
            let refusal = read(damaged).unwrap_err().to_string();
            assert!(
                refusal.contains(&path.display().to_string()) && refusal.contains("temperature is"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_temperature_is_for_the_ensemble_that_it_was_fitted_to() {
        let file = file("regression", &json!(null));
        let of = |ensemble| file.rules_for(ensemble).temperature;
        assert_eq!(of(None).ensemble, None);
        assert_eq!(
            of(Some(EnsembleSettings::new(3, 99))).ensemble,
            Some(2.5),
            "another seed"
        );
        assert_eq!(
            of(Some(EnsembleSettings::new(4, 7))).ensemble,
            None,
            "another number of members"
        );
        assert_eq!(of(None).mean, Some(1.5));
    }
}
