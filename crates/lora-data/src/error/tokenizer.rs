//! What can be wrong with a tokenizer and the texts that it is given.

use std::path::PathBuf;

use thiserror::Error;

/// Why there are no tokens. Examples are counted from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// Not a `tokenizer.json`.
    #[error("`{}`: not a tokenizer ({source}); give the tokenizer.json of the model", file.display())]
    BadTokenizer {
        /// The file.
        file: PathBuf,
        /// The error of the tokenizers crate.
        source: tokenizers::Error,
    },

    /// The maximal length leaves no room for text.
    #[error("max_seq_length {max_length} leaves no room for text beside {special} special tokens; give at least {}", special + 2)]
    MaxLengthTooSmall {
        /// The length asked for.
        max_length: usize,
        /// Special tokens that a pair of texts takes.
        special: usize,
    },

    /// The maximal length is more than the model has positions.
    #[error("max_seq_length is {max_length}, but the model takes at most {most} tokens (max_position_embeddings in `{}`); lower max_seq_length", config.display())]
    MaxLengthTooLarge {
        /// The length asked for.
        max_length: usize,
        /// Positions of the model.
        most: usize,
        /// The file that says so.
        config: PathBuf,
    },

    /// The tokenizer names no padding token.
    #[error("`{}`: the tokenizer has no padding token ([PAD] or <pad>); give the id of one", file.display())]
    NoPadToken {
        /// The tokenizer's file.
        file: PathBuf,
    },

    /// A token for which the model has no row.
    #[error("`{}`: the token `{token}` has the id {id}, but the model's table of tokens has {rows} rows (vocab_size in config.json); the tokenizer belongs to another model", file.display())]
    BeyondTable {
        /// The tokenizer's file.
        file: PathBuf,
        /// The token with the largest id.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the table.
        rows: usize,
    },

    /// The tokenizer failed on texts.
    #[error(
        "examples {first} to {last} (from 0) cannot be tokenized ({source}); look for the odd one among them"
    )]
    Tokenize {
        /// The first example of the group that failed.
        first: usize,
        /// The last one.
        last: usize,
        /// The error of the tokenizers crate.
        source: tokenizers::Error,
    },

    /// A text that the tokenizer makes nothing of.
    #[error(
        "example {row} (from 0) has no token: the tokenizer drops every character of `{text}`; remove the example"
    )]
    NoTokens {
        /// The example.
        row: usize,
        /// Its text.
        text: String,
    },

    /// Tokens that are no text.
    #[error("tokens cannot be turned into text ({source}); the tokenizer may belong to another model")]
    Decode {
        /// The error of the tokenizers crate.
        source: tokenizers::Error,
    },

    /// No prompt leaves room for its completion.
    #[error(
        "none of the {prompts} prompts leaves room for a completion within {max_length} tokens; raise the maximal length"
    )]
    NoRoom {
        /// How many there are.
        prompts: usize,
        /// Longest prompt and completion together.
        max_length: usize,
    },
}

impl TokenizerError {
    /// What turns an error of the tokenizers crate into [`TokenizerError::Tokenize`], for these rows.
    pub(crate) fn in_rows(first: usize, last: usize) -> impl Fn(tokenizers::Error) -> Self + Copy {
        move |source| Self::Tokenize { first, last, source }
    }
}
