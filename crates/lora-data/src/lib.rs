//! Labelled text on its way to a model: files are read into [`Example`]s, tokenized, and put together into
//! padded, length-bucketed [`Batch`]es.
//!
//! ```text
//! CSV, TSV, JSONL, JSON, Parquet ──read_file──▶ Dataset ──encode_dataset──▶ EncodedDataset ──batch──▶ Batch
//!                                                 │                              ▲
//!                                          split, select            train_batches, eval_batches
//! ```
//!
//! The sets of the field are read by name: [`tasks`].
//!
//! Nothing here prints, reads flags or the environment, or knows a tensor library: a [`Batch`] is plain vectors with
//! their shape. All randomness is a function of a seed given by the caller. Bad input ends in a [`DataError`] that says
//! which file, line and key it is about, and how to fix it.
//!
//! ```
//! use lora_data::{Columns, Dataset, Format, LabelRule, Padding, ReadOptions, read_str, train_batches};
//!
//! let file = "sentence\tlabel\na gripping film\tgood\ndull and far too long , sadly\tbad\nI laughed\tgood\n";
//! let read = read_str(file, "reviews.tsv", Format::Tsv, &ReadOptions::default())?;
//! assert_eq!(read.columns.to_string(), "text `sentence`, label `label`");
//! let dataset: Dataset = read.dataset;
//! assert_eq!(dataset.task.labels().unwrap().names(), ["bad", "good"]);
//!
//! // A word-level tokenizer, small enough to stand here; `TextTokenizer::from_file` reads a real one.
//! let tokenizer = br#"{"version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null,
//!     "decoder": null, "truncation": null, "padding": null, "pre_tokenizer": {"type": "Whitespace"},
//!     "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1, "film": 2}}}"#;
//! let tokenizer = lora_data::TextTokenizer::from_bytes(tokenizer, "tokenizer.json")?.with_max_length(16)?;
//! let encoded = tokenizer.encode_dataset(&dataset)?;
//!
//! let padding = Padding::with(tokenizer.pad_id()?);
//! for rows in train_batches(&encoded.lengths(), 2, 42, 0) {
//!     let batch = encoded.batch(&rows, padding);
//!     assert_eq!(batch.input_ids.len(), batch.batch * batch.seq);
//! }
//! # Ok::<(), lora_data::DataError>(())
//! ```

mod batch;
mod batches;
#[cfg(doctest)]
mod book;
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
    decode_text, read_completions, read_file, read_str,
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
