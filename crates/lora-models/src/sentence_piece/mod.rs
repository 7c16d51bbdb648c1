//! Tokenizers of SentencePiece, as Hugging Face's library runs them: for a folder that holds `spm.model`,
//! `sentencepiece.bpe.model` or `tokenizer.model`, but no `tokenizer.json`, and for GGUF files of the LLaMA kind.
//!
//! | file | holds |
//! |---|---|
//! | `model_file` | the protocol buffer of such a file |
//! | `families` | what a family adds: ids, special tokens, the template around a text |
//! | `template` | special tokens around one text, or two |
//! | `error` | [`SentencePieceProblem`] |

mod error;
mod families;
mod model_file;
mod template;

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

pub use error::SentencePieceProblem;
pub(crate) use families::{FILES, TokenizerConfig, tokenizer_json};
pub(crate) use template::template;

/// What stands for a space in pieces.
const SPACE: &str = "▁";

/// The pieces of a SentencePiece model, and what is done with a text before it is cut into them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SentencePiece {
    /// The pieces in the order of their ids.
    pub pieces: Vec<Piece>,
    /// How a text is cut.
    pub algorithm: Algorithm,
    /// The id of what no piece covers.
    pub unknown: usize,
    /// Whether what no piece covers is written in bytes.
    pub byte_fallback: bool,
    /// Replacements of characters, in SentencePiece's compiled form; empty for none.
    pub replacements: Vec<u8>,
    /// Whether a text gets a space before it.
    pub space_before: bool,
    /// Whether spaces around a text, and all but one of several, are taken out.
    pub one_space: bool,
}

/// One piece.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Its text, with `▁` for a space.
    pub text: String,
    /// Log-probability, or minus the rank of its merge.
    pub score: f64,
    /// What it is for.
    pub kind: PieceKind,
}

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// A part of texts.
    Text,
    /// No part of texts: the unknown piece, and those that mark beginning, end and the like.
    Control,
    /// A [`PieceKind::Control`] that takes the space before it.
    ControlAfterSpace,
    /// A text that is never cut.
    Whole,
}

/// How a text is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// The most probable pieces (Kudo 2018).
    Unigram,
    /// Neighbours are merged, those with the highest score first.
    BytePairs,
}

impl PieceKind {
    /// The numbers of SentencePiece's files, which GGUF has taken over.
    pub fn of_code(code: i64) -> Self {
        match code {
            2 | 3 => Self::Control,
            4 => Self::Whole,
            _ => Self::Text,
        }
    }
}

impl SentencePiece {
    /// `tokenizer.json` with what is to be added around a text. With `space_once`, only the text's own beginning gets a space,
    /// not what follows a special token in it.
    pub fn document(&self, lowercase: bool, space_once: bool, post_processor: &Value) -> Value {
        let mut normalizers = Vec::new();
        if lowercase {
            normalizers.push(json!({"type": "Lowercase"}));
        }
        if !self.replacements.is_empty() {
            let compiled = BASE64_STANDARD.encode(&self.replacements);
            normalizers.push(json!({"type": "Precompiled", "precompiled_charsmap": compiled}));
        }
        if self.one_space {
            normalizers.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            normalizers.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
        }
        let mut pre_tokenizer = Value::Null;
        if space_once && self.space_before {
            pre_tokenizer =
                json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": false});
        } else {
            if self.space_before {
                normalizers.push(json!({"type": "Prepend", "prepend": SPACE}));
            }
            normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}));
        }
        let mut decoders = vec![json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "})];
        if self.byte_fallback {
            decoders.push(json!({"type": "ByteFallback"}));
        }
        decoders.push(json!({"type": "Fuse"}));
        if self.space_before {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": self.added_tokens(),
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": self.model(),
        })
    }

    /// The id of a piece.
    pub fn id(&self, text: &str) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.text == text)
    }

    fn model(&self) -> Value {
        match self.algorithm {
            Algorithm::Unigram => {
                let vocabulary: Vec<Value> = self
                    .pieces
                    .iter()
                    .map(|piece| json!([piece.text, piece.score]))
                    .collect();
                json!({"type": "Unigram", "unk_id": self.unknown, "vocab": vocabulary,
                    "byte_fallback": self.byte_fallback})
            }
            Algorithm::BytePairs => {
                let ids = self.pieces.iter().enumerate();
                let vocabulary: serde_json::Map<String, Value> =
                    ids.map(|(id, piece)| (piece.text.clone(), id.into())).collect();
                json!({"type": "BPE", "vocab": vocabulary, "merges": self.merges(),
                    "unk_token": self.pieces.get(self.unknown).map(|piece| &piece.text),
                    "fuse_unk": true, "byte_fallback": self.byte_fallback})
            }
        }
    }

    /// Every way to make a piece of two others, the piece with the highest score first: SentencePiece merges by score.
    fn merges(&self) -> Vec<Value> {
        let ids: HashMap<&str, usize> = self
            .pieces
            .iter()
            .enumerate()
            .map(|(id, piece)| (piece.text.as_str(), id))
            .collect();
        let mut merges = Vec::new();
        for (id, piece) in self.pieces.iter().enumerate() {
            for (cut, _) in piece.text.char_indices().skip(1) {
                let (left, right) = piece.text.split_at(cut);
                if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                    merges.push((id, *left, *right));
                }
            }
        }
        let score = |id: usize| self.pieces[id].score;
        merges.sort_by(|one, other| {
            let by_score = score(other.0).total_cmp(&score(one.0));
            by_score.then((one.1, one.2).cmp(&(other.1, other.2)))
        });
        merges
            .into_iter()
            .map(|(_, left, right)| json!([self.pieces[left].text, self.pieces[right].text]))
            .collect()
    }

    fn added_tokens(&self) -> Vec<Value> {
        let added = self.pieces.iter().enumerate();
        added
            .filter(|(_, piece)| piece.kind != PieceKind::Text)
            .map(|(id, piece)| {
                let after_space = piece.kind == PieceKind::ControlAfterSpace;
                json!({"id": id, "content": piece.text, "single_word": false, "lstrip": after_space, "rstrip": false,
                    "normalized": false, "special": piece.kind != PieceKind::Whole})
            })
            .collect()
    }
}
