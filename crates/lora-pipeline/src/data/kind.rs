//! The kinds of task that are trained and scored: which head a model needs, and what its outputs mean.

use lora_core::peft::TaskType;
use lora_data::tasks::{Benchmark, PromptStyle, Rows, RowsKind, TaskMetric};
use lora_data::{LabelNames, Task};
use lora_eval::squad::SquadVersion;
use lora_models::HeadKind;

use crate::bail;
use crate::config::ProblemType;
use crate::error::Result;

/// A kind of task.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A class, or a number, of a text or two.
    Texts(Task),
    /// Start and end of the answer in a context.
    Spans(SquadVersion),
    /// A tag for each word.
    Words(LabelNames),
    /// The letter of the right choice, said by a language model.
    Choices(PromptStyle),
}

impl Kind {
    /// The kind of rows, which are those of the benchmark if there is one.
    ///
    /// # Errors
    ///
    /// For instructions: they teach a language model to write, and are not of these kinds.
    pub fn of(rows: &Rows, benchmark: Option<&Benchmark>) -> Result<Self> {
        Ok(match rows {
            Rows::Texts(dataset) => Self::Texts(dataset.task.clone()),
            Rows::Spans(_) => Self::Spans(squad_version(benchmark)),
            Rows::Words(words) => Self::Words(words.tags.clone()),
            Rows::Choices(_) => Self::Choices(prompt_style(benchmark)),
            Rows::Instructions(_) => {
                bail!("instructions have no labels to score; use lora generate --adapter")
            }
        })
    }

    /// The shape of its rows.
    pub fn rows(&self) -> RowsKind {
        match self {
            Self::Texts(_) => RowsKind::Texts,
            Self::Spans(_) => RowsKind::Spans,
            Self::Words(_) => RowsKind::Words,
            Self::Choices(_) => RowsKind::Choices,
        }
    }

    /// The head of its model.
    pub fn head(&self) -> HeadKind {
        match self {
            Self::Texts(task) => HeadKind::Sequence {
                outputs: task.outputs(),
            },
            Self::Spans(_) => HeadKind::Spans,
            Self::Words(tags) => HeadKind::Tokens { outputs: tags.len() },
            Self::Choices(_) => HeadKind::CausalLm,
        }
    }

    /// PEFT's name for it.
    pub fn task_type(&self) -> TaskType {
        match self {
            Self::Texts(_) => TaskType::SeqCls,
            Self::Spans(_) => TaskType::QuestionAns,
            Self::Words(_) => TaskType::TokenCls,
            Self::Choices(_) => TaskType::CausalLm,
        }
    }

    /// Hugging Face's name for it, and ours where it has none.
    pub fn problem_type(&self) -> ProblemType {
        match self {
            Self::Texts(Task::Regression) => ProblemType::Regression,
            Self::Texts(Task::MultiLabel { .. }) => ProblemType::MultiLabelClassification,
            other => ProblemType::of_rows(other.rows()),
        }
    }

    /// What classes are called; none where there are no fixed ones.
    pub fn labels(&self) -> Option<&LabelNames> {
        match self {
            Self::Texts(task) => task.labels(),
            Self::Words(tags) => Some(tags),
            Self::Spans(_) | Self::Choices(_) => None,
        }
    }

    /// What `config.json` says about the outputs.
    pub fn task(&self) -> Option<Task> {
        match self {
            Self::Texts(task) => Some(task.clone()),
            Self::Words(tags) => Some(Task::Classification { labels: tags.clone() }),
            Self::Spans(_) | Self::Choices(_) => None,
        }
    }
}

/// By which rules a benchmark is scored; one's own questions may have no answer.
pub fn squad_version(benchmark: Option<&Benchmark>) -> SquadVersion {
    match benchmark.map(|benchmark| benchmark.metric) {
        Some(TaskMetric::SquadV1) => SquadVersion::V1,
        _ => SquadVersion::V2,
    }
}

/// How a benchmark's questions are put.
pub fn prompt_style(benchmark: Option<&Benchmark>) -> PromptStyle {
    benchmark
        .and_then(Benchmark::prompt_style)
        .unwrap_or(PromptStyle::Letters)
}
