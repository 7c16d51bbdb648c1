//! The YAML at the top of a card: what the hub searches, links and ranks by.

use lora_core::Tuning;
use lora_data::Task;
use lora_data::tasks::{self, Benchmark};
use serde::Serialize;

use super::ModelCard;
use crate::error::{Context, Result};
use crate::score::{ScoredMethod, TaskScores};

/// The keys that the hub knows, in the order in which its own cards have them.
#[derive(Serialize)]
struct CardMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    library_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_model_relation: Option<&'static str>,
    pipeline_tag: &'static str,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    datasets: Vec<&'static str>,
    #[serde(rename = "model-index", skip_serializing_if = "Vec::is_empty")]
    model_index: Vec<IndexEntry<'a>>,
}

#[derive(Serialize)]
struct IndexEntry<'a> {
    name: String,
    results: Vec<IndexResult<'a>>,
}

#[derive(Serialize)]
struct IndexResult<'a> {
    task: IndexTask,
    dataset: IndexDataset<'a>,
    metrics: Vec<IndexMetric>,
}

#[derive(Serialize)]
struct IndexTask {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct IndexDataset<'a> {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'static str>,
    split: &'a str,
}

#[derive(Serialize)]
struct IndexMetric {
    #[serde(rename = "type")]
    kind: &'static str,
    value: f64,
    name: String,
}

impl ModelCard<'_> {
    pub(super) fn metadata(&self) -> Result<String> {
        let base_model = self.hub_id();
        let (library_name, relation) = match self.tuning {
            Tuning::Lora(_) => (Some("peft"), "adapter"),
            Tuning::Full(_) => (Some("transformers"), "finetune"),
            // No library of the hub reads these.
            Tuning::BitFit(_) | Tuning::Bottleneck(_) => (None, "adapter"),
        };
        let benchmark = self.benchmark();
        let metadata = CardMetadata {
            library_name,
            base_model,
            base_model_relation: base_model.map(|_| relation),
            pipeline_tag: pipeline_tag(self.task),
            tags: self.tags(),
            datasets: benchmark
                .and_then(|set| set.hub)
                .map(|(id, _)| id)
                .into_iter()
                .collect(),
            model_index: self.model_index(benchmark),
        };
        serde_saphyr::to_string(&metadata).context("the card's metadata is no YAML")
    }

    /// The set that a name in `task.json` stands for.
    pub(super) fn benchmark(&self) -> Option<&'static Benchmark> {
        tasks::find(self.task_file.task_name.as_deref()?).ok()
    }

    fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        if let Tuning::Lora(lora) = self.tuning {
            tags.push("lora".to_owned());
            tags.extend(self.hub_id().map(|base| format!("base_model:adapter:{base}")));
            tags.extend(lora.dropout.map(|_| "lora-dropout".to_owned()));
        }
        if self.task_file.temperature.mean.is_some() || self.calibration.is_some() {
            tags.push("calibration".to_owned());
        }
        if self.task_file.ensemble.is_some() {
            tags.push("uncertainty".to_owned());
        }
        tags
    }

    fn model_index(&self, benchmark: Option<&Benchmark>) -> Vec<IndexEntry<'_>> {
        let name = self.data_name();
        let result = |(split, methods)| {
            let method = self.in_use(methods)?;
            Some(IndexResult {
                task: IndexTask {
                    kind: pipeline_tag(self.task),
                },
                dataset: IndexDataset {
                    // An identifier on the hub; for a file of the user's any will do.
                    kind: benchmark
                        .and_then(|set| set.hub)
                        .map_or_else(|| name.clone(), |(id, _)| id.to_owned()),
                    name: benchmark.map_or_else(|| name.clone(), |set| set.title.to_owned()),
                    config: benchmark.and_then(|set| set.hub).map(|(_, config)| config),
                    split,
                },
                metrics: metrics(method),
            })
        };
        let results: Vec<IndexResult<'_>> = self.held_out().filter_map(result).collect();
        if results.is_empty() {
            return Vec::new();
        }
        vec![IndexEntry {
            name: self.name(),
            results,
        }]
    }

    /// The file or set that it was trained on, without the folders that it lies in.
    pub(super) fn data_name(&self) -> String {
        if let Some(benchmark) = self.benchmark() {
            return benchmark.name.to_owned();
        }
        let file = self.training.and_then(|training| {
            let config = training.config;
            let path = config
                .data
                .data_file
                .as_ref()
                .or(config.data.train_file.as_ref())?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        });
        file.unwrap_or_else(|| "own data".to_owned())
    }
}

/// What the hub calls a task.
fn pipeline_tag(task: &Task) -> &'static str {
    match task {
        Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression => "text-classification",
        Task::QuestionAnswering { .. } => "question-answering",
        Task::Tagging { .. } => "token-classification",
        Task::MultipleChoice { .. } | Task::Completion => "text-generation",
    }
}

/// The scores of one way to predict, under the hub's names where it has one. A correlation of constants has no value.
fn metrics(method: &ScoredMethod) -> Vec<IndexMetric> {
    let found: Vec<(&'static str, &str, Option<f64>)> = match &method.scores {
        TaskScores::Classification(scores) => vec![
            ("accuracy", "accuracy", Some(scores.accuracy)),
            ("f1", "F1", Some(scores.f1)),
            (
                "matthews_correlation",
                "Matthews correlation",
                Some(scores.matthews),
            ),
            ("nll", "negative log-likelihood", Some(scores.nll)),
            ("ece", "expected calibration error", Some(scores.ece)),
            ("brier_score", "Brier score", Some(scores.brier)),
        ],
        TaskScores::Labels(scores) => vec![
            ("f1", "F1 (micro)", Some(scores.f1_micro)),
            ("exact_match", "exact match", Some(scores.exact_match)),
            ("nll", "negative log-likelihood", Some(scores.nll)),
            ("ece", "expected calibration error", Some(scores.ece)),
        ],
        TaskScores::Regression(scores) => vec![
            ("pearsonr", "Pearson correlation", scores.pearson),
            ("spearmanr", "Spearman correlation", scores.spearman),
            ("mse", "mean squared error", Some(scores.mse)),
            ("mae", "mean absolute error", Some(scores.mae)),
        ],
        TaskScores::Words(scores) => {
            let entities = scores.entities.as_ref();
            vec![
                ("accuracy", "accuracy of words", Some(scores.words.accuracy)),
                ("f1", "F1 of entities", entities.map(|entities| entities.f1)),
                ("nll", "negative log-likelihood", Some(scores.words.nll)),
                ("ece", "expected calibration error", Some(scores.words.ece)),
            ]
        }
        TaskScores::Spans(scores) => vec![
            ("exact_match", "exact match", Some(scores.squad.all.exact)),
            ("f1", "F1 of words", Some(scores.squad.all.f1)),
            ("nll", "negative log-likelihood", Some(scores.nll)),
            ("ece", "expected calibration error", Some(scores.ece)),
        ],
    };
    let named = |(kind, name, value): (&'static str, &str, Option<f64>)| {
        Some(IndexMetric {
            kind,
            value: value?,
            name: format!("{name} ({})", method.method),
        })
    };
    found.into_iter().filter_map(named).collect()
}
