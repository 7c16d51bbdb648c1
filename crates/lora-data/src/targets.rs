//! What is right about the rows of a batch or a data set.

use std::ops::Range;

/// The targets of a batch or a data set: one for each row, or none at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Nothing is known.
    None,
    /// Class indices `[batch]`.
    Classes(Vec<usize>),
    /// Labels any number of which may hold: for each row the indices of those that do, rising.
    Labels(Vec<Vec<usize>>),
    /// Numbers `[batch]`.
    Values(Vec<f32>),
    /// Class indices, one a position of each row without padding; `None` where the output does not count. For a causal
    /// language model the class is the next token, so the last position never has one.
    Positions(Vec<Vec<Option<u32>>>),
    /// The tokens where an answer starts and ends, `[batch]`: the places in the row, which are the classes of a span head.
    Spans(Vec<(usize, usize)>),
    /// One token among few, `[batch]`: the letter of the right choice.
    Choices(Vec<ChoiceTarget>),
}

/// The right one of the tokens that may follow a prompt: the scores of all other tokens do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceTarget {
    /// The position of the row whose output is judged: the last token of the prompt.
    pub place: usize,
    /// The tokens to choose from: at least one.
    pub tokens: Vec<u32>,
    /// The index of the right one in `tokens`.
    pub answer: usize,
}

impl Targets {
    /// The targets of these rows, in this order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::None => Self::None,
            Self::Classes(classes) => Self::Classes(rows.iter().map(|&row| classes[row]).collect()),
            Self::Labels(labels) => Self::Labels(rows.iter().map(|&row| labels[row].clone()).collect()),
            Self::Values(values) => Self::Values(rows.iter().map(|&row| values[row]).collect()),
            Self::Positions(positions) => {
                Self::Positions(rows.iter().map(|&row| positions[row].clone()).collect())
            }
            Self::Spans(spans) => Self::Spans(rows.iter().map(|&row| spans[row]).collect()),
            Self::Choices(choices) => Self::Choices(rows.iter().map(|&row| choices[row].clone()).collect()),
        }
    }

    /// How many targets there are, or `None` for [`Targets::None`].
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Classes(classes) => Some(classes.len()),
            Self::Labels(labels) => Some(labels.len()),
            Self::Values(values) => Some(values.len()),
            Self::Positions(positions) => Some(positions.len()),
            Self::Spans(spans) => Some(spans.len()),
            Self::Choices(choices) => Some(choices.len()),
        }
    }

    /// How many outputs are judged: one a row, or one a position that has a class.
    pub fn judged(&self) -> usize {
        match self {
            Self::Positions(positions) => positions.iter().flatten().flatten().count(),
            Self::None
            | Self::Classes(_)
            | Self::Labels(_)
            | Self::Values(_)
            | Self::Spans(_)
            | Self::Choices(_) => self.count().unwrap_or(0),
        }
    }

    pub(crate) fn repeat(&self, times: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Classes(classes) => Self::Classes(classes.repeat(times)),
            Self::Labels(labels) => Self::Labels(vec![&labels[..]; times].concat()),
            Self::Values(values) => Self::Values(values.repeat(times)),
            Self::Positions(positions) => Self::Positions(vec![&positions[..]; times].concat()),
            Self::Spans(spans) => Self::Spans(spans.repeat(times)),
            Self::Choices(choices) => Self::Choices(vec![&choices[..]; times].concat()),
        }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::None => Self::None,
            Self::Classes(classes) => Self::Classes(classes[range].to_vec()),
            Self::Labels(labels) => Self::Labels(labels[range].to_vec()),
            Self::Values(values) => Self::Values(values[range].to_vec()),
            Self::Positions(positions) => Self::Positions(positions[range].to_vec()),
            Self::Spans(spans) => Self::Spans(spans[range].to_vec()),
            Self::Choices(choices) => Self::Choices(choices[range].to_vec()),
        }
    }
}
