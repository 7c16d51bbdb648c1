//! Examples, what is to be predicted about them, and their tokenized form.

use crate::batch::{Batch, Encoded, Padding};
use crate::error::DataError;
use crate::targets::Targets;
use crate::task::Task;

/// One text, or a pair of texts, and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The text, or the first of two.
    pub text: String,
    /// The second text of a pair: hypothesis, answer, paraphrase.
    pub text_pair: Option<String>,
    /// The truth, where it is known.
    pub target: Option<Target>,
}

/// The target of one example.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A class, as an index into the task's [`crate::LabelNames`].
    Class(usize),
    /// The labels that hold, any number of them: rising indices into the task's [`crate::LabelNames`].
    Labels(Vec<usize>),
    /// A finite number.
    Value(f32),
}

/// Examples of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The examples, in the order of the file.
    pub examples: Vec<Example>,
    /// What is predicted about them: a class, labels or a number.
    pub task: Task,
}

impl Dataset {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The examples of these rows, in this order.
    ///
    /// # Panics
    /// When a row is not below [`Dataset::len`].
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            examples: rows.iter().map(|&row| self.examples[row].clone()).collect(),
            task: self.task.clone(),
        }
    }

    /// The targets of all examples, or [`Targets::None`] when no example has one.
    ///
    /// # Errors
    /// [`DataError::MixedTargets`] when some examples have a target of the task's kind and others have not.
    pub fn targets(&self) -> Result<Targets, DataError> {
        if self.examples.iter().all(|example| example.target.is_none()) {
            return Ok(Targets::None);
        }
        let mut classes = Vec::new();
        let mut sets = Vec::new();
        let mut values = Vec::new();
        for (row, example) in self.examples.iter().enumerate() {
            match (&self.task, &example.target) {
                (Task::Classification { labels }, Some(Target::Class(class))) if *class < labels.len() => {
                    classes.push(*class);
                }
                (Task::MultiLabel { labels }, Some(Target::Labels(held)))
                    if held.iter().all(|label| *label < labels.len()) =>
                {
                    sets.push(held.clone());
                }
                (Task::Regression, Some(Target::Value(value))) => values.push(*value),
                (task, _) => {
                    let expected = match task {
                        Task::MultiLabel { .. } => "a set of labels",
                        Task::Regression => "a number",
                        _ => "a class",
                    };
                    return Err(DataError::MixedTargets { row, expected });
                }
            }
        }
        Ok(match self.task {
            Task::Classification { .. } => Targets::Classes(classes),
            Task::MultiLabel { .. } => Targets::Labels(sets),
            Task::Regression => Targets::Values(values),
            // Tasks of other rows, which have no target of these kinds.
            _ => Targets::None,
        })
    }

    /// One stratum an example, for [`stratified_split`](crate::stratified_split): its class; its rarest label, or a stratum of its own
    /// for no label, where any number may hold; or 0 for all examples of a regression or without a target.
    pub fn strata(&self) -> Vec<usize> {
        let mut rows = vec![0_usize; self.task.outputs()];
        for example in &self.examples {
            if let Some(Target::Labels(held)) = &example.target {
                for label in held {
                    rows[*label] += 1;
                }
            }
        }
        let stratum = |example: &Example| match &example.target {
            Some(Target::Class(class)) => *class,
            Some(Target::Labels(held)) => {
                let rarest = held.iter().min_by_key(|label| rows[**label]);
                rarest.copied().unwrap_or(rows.len())
            }
            Some(Target::Value(_)) | None => 0,
        };
        self.examples.iter().map(stratum).collect()
    }
}

/// A tokenized data set: what [`Batch`]es are cut from.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedDataset {
    /// The tokenized examples, in the order of the data set.
    pub encoded: Vec<Encoded>,
    /// Their targets.
    pub targets: Targets,
    /// What is predicted; `None` for a language model, which predicts tokens.
    pub task: Option<Task>,
    /// How many examples lost tokens because they were longer than the tokenizer's maximal length.
    pub truncated: usize,
}

impl EncodedDataset {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.encoded.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The number of tokens of each example: what [`train_batches`](crate::train_batches) and
    /// [`eval_batches`](crate::eval_batches) plan with.
    pub fn lengths(&self) -> Vec<usize> {
        self.encoded.iter().map(Encoded::len).collect()
    }

    /// One batch of these rows, in this order; [`Batch::rows`] is `rows`.
    ///
    /// # Panics
    /// When `rows` is empty or a row is not below [`EncodedDataset::len`].
    pub fn batch(&self, rows: &[usize], padding: Padding) -> Batch {
        let encoded: Vec<&Encoded> = rows.iter().map(|&row| &self.encoded[row]).collect();
        Batch::from_encoded(&encoded, padding)
            .with_rows(rows.to_vec())
            .with_targets(self.targets.select(rows))
    }
}
