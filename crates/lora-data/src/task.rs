//! What is predicted: the one list of tasks, from which heads, scores, files and prompts follow.

use serde::{Deserialize, Serialize};

use crate::labels::LabelNames;
use crate::tasks::PromptStyle;

/// What is predicted about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// One class of several, of a text or two.
    Classification {
        /// The class names in the order of the model's outputs.
        labels: LabelNames,
    },
    /// Labels any number of which may hold, each with a probability of its own.
    MultiLabel {
        /// The label names in the order of the model's outputs.
        labels: LabelNames,
    },
    /// A number.
    Regression,
    /// Start and end of the answer in a context.
    QuestionAnswering {
        /// Whether the context may hold no answer, as in SQuAD 2.0; in SQuAD 1.1 it always does.
        may_lack_answer: bool,
    },
    /// A tag for each word.
    Tagging {
        /// The tag names in the order of the model's outputs.
        tags: LabelNames,
    },
    /// The letter of the right choice, by a language model.
    MultipleChoice {
        /// How the question is written.
        style: PromptStyle,
    },
    /// The text that follows a prompt, token by token.
    Completion,
}

/// The name of a task in files and settings, without the names of its labels: Hugging Face's `problem_type`, with names of ours where it has
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// [`Task::Classification`].
    SingleLabelClassification,
    /// [`Task::MultiLabel`].
    MultiLabelClassification,
    /// [`Task::Regression`].
    Regression,
    /// [`Task::QuestionAnswering`].
    QuestionAnswering,
    /// [`Task::Tagging`].
    TokenClassification,
    /// [`Task::MultipleChoice`].
    MultipleChoice,
    /// [`Task::Completion`].
    CausalLm,
}

impl Task {
    /// The number of outputs that a model has for a text, or for each word: one a class, label or tag; else one.
    pub fn outputs(&self) -> usize {
        self.labels().map_or(1, LabelNames::len)
    }

    /// The names of classes, labels or tags, where they are the same for all rows.
    pub fn labels(&self) -> Option<&LabelNames> {
        match self {
            Self::Classification { labels }
            | Self::MultiLabel { labels }
            | Self::Tagging { tags: labels } => Some(labels),
            Self::Regression
            | Self::QuestionAnswering { .. }
            | Self::MultipleChoice { .. }
            | Self::Completion => None,
        }
    }

    /// Its name in files and settings.
    pub fn problem_type(&self) -> ProblemType {
        match self {
            Self::Classification { .. } => ProblemType::SingleLabelClassification,
            Self::MultiLabel { .. } => ProblemType::MultiLabelClassification,
            Self::Regression => ProblemType::Regression,
            Self::QuestionAnswering { .. } => ProblemType::QuestionAnswering,
            Self::Tagging { .. } => ProblemType::TokenClassification,
            Self::MultipleChoice { .. } => ProblemType::MultipleChoice,
            Self::Completion => ProblemType::CausalLm,
        }
    }

    /// Whether a whole text, or two, is judged: a class, labels or a number of it.
    pub fn is_of_texts(&self) -> bool {
        self.problem_type().is_of_texts()
    }
}

impl ProblemType {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleLabelClassification => "single_label_classification",
            Self::MultiLabelClassification => "multi_label_classification",
            Self::Regression => "regression",
            Self::QuestionAnswering => "question_answering",
            Self::TokenClassification => "token_classification",
            Self::MultipleChoice => "multiple_choice",
            Self::CausalLm => "causal_lm",
        }
    }

    /// Whether a whole text, or two, is judged: a class, labels or a number of it.
    pub fn is_of_texts(self) -> bool {
        matches!(
            self,
            Self::SingleLabelClassification | Self::MultiLabelClassification | Self::Regression
        )
    }

    /// Whether files of both tasks have rows of one shape.
    pub fn has_rows_of(self, other: Self) -> bool {
        self == other || (self.is_of_texts() && other.is_of_texts())
    }

    /// Its rows, in words.
    pub fn rows(self) -> &'static str {
        match self {
            Self::SingleLabelClassification | Self::MultiLabelClassification | Self::Regression => {
                "texts with a class or a number"
            }
            Self::QuestionAnswering => "questions about a context",
            Self::TokenClassification => "sentences with tagged words",
            Self::MultipleChoice => "questions with choices",
            Self::CausalLm => "instructions",
        }
    }
}
