//! Questions with their contexts as windows of tokens: a context that is too long is read in overlapping parts.

use tokenizers::{Encoding, TruncationDirection};

use super::{GROUP, TextTokenizer};
use crate::batch::Encoded;
use crate::dataset::EncodedDataset;
use crate::error::{DataError, TaskError, TokenizerError};
use crate::targets::Targets;
use crate::tasks::{Answer, Spans};

/// How contexts are cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The longest window in tokens, question and special tokens included.
    pub max_length: usize,
    /// Tokens of the context that a window shares with the one before it (`doc_stride` of the examples of Transformers).
    pub overlap: usize,
    /// The longest question in tokens; the rest of it is cut off.
    pub max_question: usize,
}

impl Default for Windows {
    /// 384, 128 and 64: what BERT was evaluated with on SQuAD.
    fn default() -> Self {
        Self {
            max_length: 384,
            overlap: 128,
            max_question: 64,
        }
    }
}

/// One window: a question, and a part of its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The tokens.
    pub encoded: Encoded,
    /// The question, as an index into [`Spans::questions`].
    pub question: usize,
    /// For each token the bytes of the context that it stands for; `None` outside of the context.
    pub offsets: Vec<Option<(usize, usize)>>,
    /// The tokens where the first true answer starts and ends; `(0, 0)`, the first token, where the window doesn't hold all of it, or
    /// there is none.
    pub target: (usize, usize),
}

/// Windows as a data set to train on: the targets are [`Targets::Spans`].
pub fn window_dataset(windows: &[Window]) -> EncodedDataset {
    EncodedDataset {
        encoded: windows.iter().map(|window| window.encoded.clone()).collect(),
        targets: Targets::Spans(windows.iter().map(|window| window.target).collect()),
        task: None,
        truncated: 0,
    }
}

impl TextTokenizer {
    /// Questions and contexts as windows of tokens, in the order of the questions. The maximal length of the tokenizer itself is not
    /// looked at.
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`]; [`TaskError::NoRoomForContext`] when a question leaves no more room than windows overlap.
    pub fn encode_windows(&self, spans: &Spans, windows: Windows) -> Result<Vec<Window>, DataError> {
        let special = self.special_tokens(true);
        let mut cut = Vec::with_capacity(spans.questions.len());
        for (group, questions) in spans.questions.chunks(GROUP).enumerate() {
            let first = group * GROUP;
            let failed = TokenizerError::in_rows(first, first + questions.len() - 1);
            // Questions of one context stand together: each context is tokenized once a group.
            let mut contexts: Vec<usize> = questions.iter().map(|question| question.context).collect();
            contexts.sort_unstable();
            contexts.dedup();
            let texts = contexts
                .iter()
                .map(|&context| spans.contexts[context].as_str())
                .collect();
            let texts = self.encode_each(texts).map_err(failed)?;
            let asked = questions
                .iter()
                .map(|question| question.question.as_str())
                .collect();
            let asked = self.encode_each(asked).map_err(failed)?;
            for (index, (question, mut asked)) in (first..).zip(questions.iter().zip(asked)) {
                asked.truncate(windows.max_question, 0, TruncationDirection::Right);
                asked.take_overflowing();
                let room = windows.max_length.saturating_sub(special + asked.len());
                if room <= windows.overlap {
                    let Windows {
                        max_length, overlap, ..
                    } = windows;
                    return Err(TaskError::NoRoomForContext {
                        max_length,
                        room,
                        overlap,
                    }
                    .into());
                }
                let context = &texts[contexts.partition_point(|&context| context < question.context)];
                let mut context = context.clone();
                context.set_type_ids(vec![1; context.len()]);
                context.truncate(room, windows.overlap, TruncationDirection::Right);
                let further = context.take_overflowing();
                for part in std::iter::once(context).chain(further) {
                    let whole = self
                        .inner
                        .post_process(asked.clone(), Some(part), true)
                        .map_err(failed)?;
                    cut.push(window(&whole, index, question.answers.first()));
                }
            }
        }
        Ok(cut)
    }
}

/// A window from its tokens: which stand for the context, and where the answer is.
fn window(whole: &Encoding, question: usize, answer: Option<&Answer>) -> Window {
    let sequences = whole.get_sequence_ids();
    let places = whole.get_offsets().iter().zip(sequences);
    let offsets: Vec<Option<(usize, usize)>> = places
        .map(|(offsets, sequence)| (sequence == Some(1)).then_some(*offsets))
        .collect();
    Window {
        encoded: Encoded::from(whole),
        question,
        target: answer
            .and_then(|answer| tokens_of(answer, &offsets))
            .unwrap_or_default(),
        offsets,
    }
}

/// The last token that starts at or before the answer, and the first that ends at or after it; `None` unless the tokens of the context
/// hold all of it.
fn tokens_of(answer: &Answer, offsets: &[Option<(usize, usize)>]) -> Option<(usize, usize)> {
    let (start, end) = (answer.start, answer.start + answer.text.len());
    let first = offsets
        .iter()
        .rposition(|place| place.is_some_and(|(first, _)| first <= start))?;
    let last = offsets
        .iter()
        .position(|place| place.is_some_and(|(_, last)| last >= end))?;
    // A window that starts behind the answer's start has no first token, one that ends before its end no last.
    (first <= last).then_some((first, last))
}
