//! `tokenizer.json` from the vocabulary of a GGUF file: byte-level BPE (`gpt2`) with the word patterns of the models
//! supported here, and SentencePiece's BPE (`llama`).

use serde_json::{Value, json};

use super::error::GgufError;
use super::reader::{Gguf, Setting};
use crate::sentence_piece::{Algorithm, Piece, PieceKind, SentencePiece, template};

/// How words are told apart before merging, by llama.cpp's names.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const PATTERNS: &str = "default, gpt-2, smollm, llama-bpe, qwen2";

const TOKENS: &str = "tokenizer.ggml.tokens";

/// Token types of GGUF.
pub(super) const CONTROL: i64 = 3;
pub(super) const USER_DEFINED: i64 = 4;

/// The tokenizer of a file, as Hugging Face's library reads it.
pub(super) fn tokenizer_json(gguf: &Gguf) -> Result<Vec<u8>, GgufError> {
    let key = "tokenizer.ggml.model";
    let document = match text(gguf, key)? {
        "gpt2" => byte_level(gguf)?,
        "llama" => sentence_piece(gguf)?,
        other => {
            return Err(GgufError::Unsupported {
                path: gguf.origin().to_owned(),
                key: key.to_owned(),
                found: other.to_owned(),
                supported: "gpt2, llama",
            });
        }
    };
    Ok(document.to_string().into_bytes())
}

fn byte_level(gguf: &Gguf) -> Result<Value, GgufError> {
    let tokens = texts(gguf, TOKENS)?;
    let merges = texts(gguf, "tokenizer.ggml.merges")?;
    let key = "tokenizer.ggml.pre";
    let pattern = gguf.setting(key).and_then(Setting::as_text).unwrap_or("default");
    let pre_tokenizer = pre_tokenizer(pattern).ok_or_else(|| GgufError::Unsupported {
        path: gguf.origin().to_owned(),
        key: key.to_owned(),
        found: pattern.to_owned(),
        supported: PATTERNS,
    })?;
    // LLaMA 3 takes a word that is a token as it is, whatever the merges say.
    let ids = tokens.iter().enumerate();
    let vocabulary: serde_json::Map<String, Value> =
        ids.map(|(id, token)| ((*token).to_owned(), id.into())).collect();
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": pattern == "llama-bpe"});
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added_tokens(gguf, &tokens),
        "normalizer": null, "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(gguf, &tokens), "decoder": bytes(true), "model": model,
    }))
}

/// How words are told apart, by llama.cpp's name of it.
pub(super) fn pre_tokenizer(pattern: &str) -> Option<Value> {
    let split = |regex: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}, bytes(false)]})
    };
    Some(match pattern {
        "default" | "gpt-2" => bytes(true),
        "smollm" => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true}, bytes(true)]}),
        "llama-bpe" => split(LLAMA3),
        "qwen2" => split(QWEN2),
        _ => return None,
    })
}

fn bytes(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn sentence_piece(gguf: &Gguf) -> Result<Value, GgufError> {
    let tokens = texts(gguf, TOKENS)?;
    let key = "tokenizer.ggml.scores";
    let scores = gguf.setting(key).and_then(Setting::as_list);
    let scores: Option<Vec<f64>> = scores.and_then(|scores| scores.iter().map(Setting::as_float).collect());
    let scores = scores.filter(|scores| scores.len() == tokens.len());
    let scores = scores.ok_or_else(|| missing(gguf, key, "a list with a number for each token"))?;
    let kinds = kinds(gguf).chain(std::iter::repeat(1));
    let pieces = tokens
        .iter()
        .zip(scores)
        .zip(kinds)
        .map(|((token, score), kind)| Piece {
            text: (*token).to_owned(),
            score,
            kind: PieceKind::of_code(kind),
        });
    let id = gguf.setting("tokenizer.ggml.unknown_token_id");
    let id = id.and_then(Setting::as_integer).unwrap_or(0);
    let space_before = gguf.setting("tokenizer.ggml.add_space_prefix");
    let model = SentencePiece {
        pieces: pieces.collect(),
        algorithm: Algorithm::BytePairs,
        unknown: usize::try_from(id).unwrap_or(0),
        byte_fallback: true,
        replacements: Vec::new(),
        space_before: space_before.and_then(Setting::as_bool).unwrap_or(true),
        one_space: false,
    };
    Ok(model.document(false, false, &post_processor(gguf, &tokens)))
}

/// What tokens are for, by SentencePiece's numbers.
fn kinds(gguf: &Gguf) -> impl Iterator<Item = i64> + '_ {
    let kinds = gguf.setting("tokenizer.ggml.token_type");
    let kinds = kinds.and_then(Setting::as_list).unwrap_or_default();
    kinds.iter().map(|kind| kind.as_integer().unwrap_or(0))
}

fn added_tokens(gguf: &Gguf, tokens: &[&str]) -> Vec<Value> {
    let tokens = tokens.iter().zip(kinds(gguf)).enumerate();
    tokens
        .filter(|(_, (_, kind))| [CONTROL, USER_DEFINED].contains(kind))
        .map(|(id, (token, kind))| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": kind == CONTROL})
        })
        .collect()
}

/// Adds the tokens for beginning and end, where the file says so.
fn post_processor(gguf: &Gguf, tokens: &[&str]) -> Value {
    let token = |flag: &str, id: &str| {
        let id = gguf.setting(id).and_then(Setting::as_integer)?;
        let token = *tokens.get(usize::try_from(id).ok()?)?;
        gguf.setting(flag).and_then(Setting::as_bool)?.then_some(token)
    };
    let first = token("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id");
    let last = token("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id");
    let around = |text: &'static str, kind: usize| {
        let parts = first.into_iter().chain([text]).chain(last);
        parts.map(|part| (part, kind)).collect::<Vec<_>>()
    };
    let id = |token: &str| tokens.iter().position(|known| *known == token);
    template(&around("$A", 0), &[around("$A", 0), around("$B", 1)].concat(), id)
}

fn text<'a>(gguf: &'a Gguf, key: &str) -> Result<&'a str, GgufError> {
    let value = gguf.setting(key).and_then(Setting::as_text);
    value.ok_or_else(|| missing(gguf, key, "a text"))
}

fn texts<'a>(gguf: &'a Gguf, key: &str) -> Result<Vec<&'a str>, GgufError> {
    let items = gguf.setting(key).and_then(Setting::as_list);
    let items: Option<Vec<&str>> = items.and_then(|items| items.iter().map(Setting::as_text).collect());
    items.ok_or_else(|| missing(gguf, key, "a list of texts"))
}

fn missing(gguf: &Gguf, key: &str, expected: &'static str) -> GgufError {
    GgufError::Setting {
        path: gguf.origin().to_owned(),
        key: key.to_owned(),
        expected,
    }
}
