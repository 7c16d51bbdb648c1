#![doc = include_str!("../README.md")]
//!
//! The sets of the field are read by name: [`tasks`].
//!
//! Nothing here prints, reads flags or the environment, or knows a tensor library: a [`Batch`] is plain vectors with
//! their shape. All randomness is a function of a seed given by the caller. Bad input ends in a [`DataError`] that says
//! which file, line and key it is about, and how to fix it.

mod batch;
mod batches;
#[cfg(doctest)]
mod book;
pub mod counted;
mod dataset;
mod duplicates;
mod error;
mod labels;
mod readers;
mod seeded;
mod snippets;
mod split;
mod suggest;
mod targets;
mod task;
pub mod tasks;
mod tokenizer;

pub use batch::{Batch, Encoded, Padding};
pub use batches::{TrainBatches, eval_batches, train_batches};
pub use dataset::{Dataset, EncodedDataset, Example, Target};
pub use duplicates::{RepeatedTexts, RowText, SharedTexts};
pub use error::{
    ColumnError, DataError, EncodingError, LabelNamesError, LikelyEncoding, TaskError, TokenizerError,
};
pub use labels::LabelNames;
pub use readers::{
    Cells, ColumnSelector, Columns, Completion, CompletionColumns, Format, JoinedLabels, LabelRule,
    ReadCompletions, ReadFile, ReadOptions, ResolvedColumn, ResolvedColumns, ResolvedCompletionColumns,
    Separator, decode_text, read_completions, read_file, read_str,
};
pub use snippets::{
    Domain, NEUTRAL_BAND, RatedText, read_snippets, sentiment_class, sentiment_labels, snippet_dataset,
};
pub use split::{grouped_split, stratified_split, training_split};
pub use targets::{ChoiceTarget, Targets};
pub use task::{ProblemType, Task};
pub use tokenizer::{
    EncodedChoices, EncodedCompletions, EncodedWords, SpecialToken, TextStream, TextTokenizer, Window,
    Windows, WordPlace, window_dataset,
};
