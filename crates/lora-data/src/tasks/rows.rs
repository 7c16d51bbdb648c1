//! The rows of a split, whatever their shape.

use super::{Benchmark, ChoiceQuestion, Instruction, PromptStyle, Spans, TaggedWords, TaskMetric};
use crate::dataset::Dataset;
use crate::readers::Completion;
use crate::task::{ProblemType, Task};

/// The rows of a split, in one of six shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Texts, or pairs of texts, with a class or a number.
    Texts(Dataset),
    /// Questions whose answer is a part of a context.
    Spans(Spans),
    /// Sentences with a tag for each word.
    Words(TaggedWords),
    /// Questions with choices.
    Choices(Vec<ChoiceQuestion>),
    /// Instructions and what should follow them.
    Instructions(Vec<Instruction>),
    /// Prompts and the texts that follow them.
    Completions(Vec<Completion>),
}

macro_rules! from_rows {
    ($($rows:ty => $variant:ident),*) => {
        $(impl From<$rows> for Rows {
            fn from(rows: $rows) -> Self {
                Self::$variant(rows)
            }
        })*
    };
}

from_rows!(Dataset => Texts, Spans => Spans, TaggedWords => Words, Vec<ChoiceQuestion> => Choices, Vec<Completion> => Completions);

impl Task {
    /// Answers in a context by the rules of a benchmark; without, there may be none.
    pub fn question_answering(benchmark: Option<&Benchmark>) -> Self {
        let metric = benchmark.map(|benchmark| benchmark.metric);
        Self::QuestionAnswering {
            may_lack_answer: metric != Some(TaskMetric::SquadV1),
        }
    }

    /// Questions with choices as a benchmark writes them; without, they are answered by letter.
    pub fn multiple_choice(benchmark: Option<&Benchmark>) -> Self {
        let style = benchmark.and_then(Benchmark::prompt_style);
        Self::MultipleChoice {
            style: style.unwrap_or(PromptStyle::Letters),
        }
    }
}

impl Rows {
    /// What is predicted of them, as the benchmark says if they are those of one.
    pub fn task(&self, benchmark: Option<&Benchmark>) -> Task {
        match self {
            Self::Texts(dataset) => dataset.task.clone(),
            Self::Spans(_) => Task::question_answering(benchmark),
            Self::Words(words) => Task::Tagging {
                tags: words.tags.clone(),
            },
            Self::Choices(_) => Task::multiple_choice(benchmark),
            Self::Instructions(_) | Self::Completions(_) => Task::Completion,
        }
    }

    /// What is predicted of them, without the names of labels.
    pub fn problem_type(&self) -> ProblemType {
        self.task(None).problem_type()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(dataset) => dataset.len(),
            Self::Spans(spans) => spans.questions.len(),
            Self::Words(words) => words.sentences.len(),
            Self::Choices(questions) => questions.len(),
            Self::Instructions(instructions) => instructions.len(),
            Self::Completions(completions) => completions.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the truth is known, as it is not where a benchmark keeps it back: of every row, or for questions about contexts of any
    /// (a question without answer cannot be told from one whose answer is hidden).
    pub fn is_labelled(&self) -> bool {
        match self {
            Self::Texts(dataset) => dataset.examples.iter().all(|example| example.target.is_some()),
            Self::Spans(spans) => spans
                .questions
                .iter()
                .any(|question| !question.answers.is_empty()),
            Self::Words(words) => words.sentences.iter().all(|sentence| sentence.tags.is_some()),
            Self::Choices(questions) => questions.iter().all(|question| question.answer.is_some()),
            Self::Instructions(_) | Self::Completions(_) => true,
        }
    }

    /// What a draw keeps in proportion: the class of each text. Of other rows all are alike, for the letter of a right choice is a place,
    /// not a class.
    pub fn strata(&self) -> Vec<usize> {
        match self {
            Self::Texts(dataset) => dataset.strata(),
            _ => vec![0; self.len()],
        }
    }

    /// The rows with these numbers, in this order.
    ///
    /// # Panics
    /// When a number is not below [`Rows::len`].
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        fn chosen<T: Clone>(all: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| all[row].clone()).collect()
        }
        match self {
            Self::Texts(dataset) => Self::Texts(dataset.select(rows)),
            Self::Spans(spans) => Self::Spans(spans.select(rows)),
            Self::Words(words) => Self::Words(TaggedWords {
                sentences: chosen(&words.sentences, rows),
                tags: words.tags.clone(),
            }),
            Self::Choices(questions) => Self::Choices(chosen(questions, rows)),
            Self::Instructions(instructions) => Self::Instructions(chosen(instructions, rows)),
            Self::Completions(completions) => Self::Completions(chosen(completions, rows)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::tasks::SpanQuestion;

    #[test]
    fn every_shape_but_texts_is_read_from_own_files() {
        for problem in [
            ProblemType::QuestionAnswering,
            ProblemType::TokenClassification,
            ProblemType::MultipleChoice,
            ProblemType::CausalLm,
        ] {
            assert_eq!(
                crate::tasks::of_own_files(problem).unwrap().problem_type(),
                problem
            );
        }
        assert!(crate::tasks::of_own_files(ProblemType::SingleLabelClassification).is_none());
    }

    #[test]
    fn questions_about_one_context_stay_together() {
        let question = |row: usize| SpanQuestion {
            id: row.to_string(),
            question: format!("question {row}"),
            context: row % 7,
            answers: Vec::new(),
        };
        let spans = Spans {
            contexts: (0..7).map(|context| format!("context {context}")).collect(),
            questions: (0..30).map(question).collect(),
        };
        let parts = Rows::Spans(spans.clone()).split_places(&[0.3], 5).unwrap();
        let [left, off] = [spans.select(&parts[0]), spans.select(&parts[1])];
        // 0.3 of 7 contexts, rounded.
        assert_eq!((left.contexts.len(), off.contexts.len()), (5, 2));
        assert_eq!(left.questions.len() + off.questions.len(), 30);
        assert!(
            off.contexts
                .iter()
                .all(|context| !left.contexts.contains(context))
        );
        for (index, question) in off.questions.iter().enumerate() {
            let before = spans
                .questions
                .iter()
                .position(|old| old.id == question.id)
                .unwrap();
            assert_eq!(off.context(index), spans.context(before));
        }
        assert!(Rows::Spans(spans).split_places(&[0.5, 0.5], 5).is_err());
    }
}
