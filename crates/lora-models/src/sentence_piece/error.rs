//! Why a SentencePiece model cannot be used.

use thiserror::Error;

/// What is wrong with a SentencePiece model.
#[derive(Debug, Error, PartialEq)]
pub enum SentencePieceProblem {
    /// The file is another one, or damaged.
    #[error("no SentencePiece model ({0}); fetch it again, or give a folder with tokenizer.json")]
    NotOne(#[from] prost::DecodeError),
    /// The file holds no pieces.
    #[error(
        "no SentencePiece model: it holds no pieces; fetch it again, or give a folder with tokenizer.json"
    )]
    Empty,
    /// The unknown piece is none of the pieces.
    #[error("the unknown piece has id {id}, but there are {count} pieces; the file is damaged")]
    Unknown {
        /// Its id.
        id: i32,
        /// Number of pieces.
        count: usize,
    },
    /// A score that is no number.
    #[error("the score of the piece `{piece}` is {score}; expected a finite number")]
    Score {
        /// The piece.
        piece: String,
        /// Its score.
        score: f32,
    },
    /// A setting that is not supported.
    #[error("{key} is `{found}`; supported: {supported}; save the tokenizer as tokenizer.json")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: String,
        /// Those that are.
        supported: &'static str,
    },
}
