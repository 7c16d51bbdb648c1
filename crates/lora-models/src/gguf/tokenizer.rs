//! `tokenizer.json` from the vocabulary of a GGUF file: byte-level BPE (`gpt2`) with the word patterns of the models
//! supported here, and SentencePiece's BPE (`llama`).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::error::GgufError;
use super::reader::{Gguf, Setting};

/// How words are told apart before merging, by llama.cpp's names.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const PATTERNS: &str = "default, gpt-2, smollm, llama-bpe, qwen2";

/// Token types of GGUF.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// The tokenizer of a file, as Hugging Face's library reads it.
pub(super) fn tokenizer_json(gguf: &Gguf) -> Result<Vec<u8>, GgufError> {
    let key = "tokenizer.ggml.model";
    let model = text(gguf, key)?;
    let tokens = texts(gguf, "tokenizer.ggml.tokens")?;
    let (model, normalizer, pre_tokenizer, decoder) = match model {
        "gpt2" => byte_level(gguf, &tokens)?,
        "llama" => sentence_piece(gguf, &tokens)?,
        other => {
            return Err(GgufError::Unsupported {
                path: gguf.origin().to_owned(),
                key: key.to_owned(),
                found: other.to_owned(),
                supported: "gpt2, llama",
            });
        }
    };
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added_tokens(gguf, &tokens),
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(gguf, &tokens), "decoder": decoder, "model": model,
    });
    Ok(document.to_string().into_bytes())
}

type Parts = (Value, Value, Value, Value);

fn byte_level(gguf: &Gguf, tokens: &[&str]) -> Result<Parts, GgufError> {
    let merges = texts(gguf, "tokenizer.ggml.merges")?;
    let key = "tokenizer.ggml.pre";
    let pattern = gguf.setting(key).and_then(Setting::as_text).unwrap_or("default");
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |regex: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}, bytes(false)]})
    };
    let pre_tokenizer = match pattern {
        "default" | "gpt-2" => bytes(true),
        "smollm" => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true}, bytes(true)]}),
        "llama-bpe" => split(LLAMA3),
        "qwen2" => split(QWEN2),
        other => {
            return Err(GgufError::Unsupported {
                path: gguf.origin().to_owned(),
                key: key.to_owned(),
                found: other.to_owned(),
                supported: PATTERNS,
            });
        }
    };
    // LLaMA 3 takes a word that is a token as it is, whatever the merges say.
    let model = json!({"type": "BPE", "vocab": vocabulary(tokens), "merges": merges, "ignore_merges": pattern == "llama-bpe"});
    Ok((model, Value::Null, pre_tokenizer, bytes(true)))
}

fn sentence_piece(gguf: &Gguf, tokens: &[&str]) -> Result<Parts, GgufError> {
    let key = "tokenizer.ggml.scores";
    let scores = gguf.setting(key).and_then(Setting::as_list);
    let scores: Option<Vec<f64>> = scores.and_then(|scores| scores.iter().map(Setting::as_float).collect());
    let scores = scores.filter(|scores| scores.len() == tokens.len());
    let scores = scores.ok_or_else(|| missing(gguf, key, "a list with a number for each token"))?;
    let unknown = gguf
        .setting("tokenizer.ggml.unknown_token_id")
        .and_then(Setting::as_integer);
    let unknown = tokens.get(unknown.and_then(|id| usize::try_from(id).ok()).unwrap_or(0));
    let with_space = gguf
        .setting("tokenizer.ggml.add_space_prefix")
        .and_then(Setting::as_bool);
    let with_space = with_space.unwrap_or(true);
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if with_space {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let model = json!({"type": "BPE", "vocab": vocabulary(tokens), "merges": merges_by_score(tokens, &scores),
        "unk_token": unknown, "fuse_unk": true, "byte_fallback": true});
    Ok((
        model,
        json!({"type": "Sequence", "normalizers": normalizers}),
        Value::Null,
        json!({"type": "Sequence", "decoders": decoders}),
    ))
}

/// Every way to make a token of two others, the token with the highest score first: SentencePiece merges by score.
fn merges_by_score(tokens: &[&str], scores: &[f64]) -> Vec<Value> {
    let ids: HashMap<&str, usize> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (*token, id))
        .collect();
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        for (cut, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(cut);
            if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                merges.push((id, *left, *right));
            }
        }
    }
    merges.sort_by(|one, other| {
        let by_score = scores[other.0].total_cmp(&scores[one.0]);
        by_score.then((one.1, one.2).cmp(&(other.1, other.2)))
    });
    merges
        .into_iter()
        .map(|(_, left, right)| json!([tokens[left], tokens[right]]))
        .collect()
}

fn vocabulary(tokens: &[&str]) -> serde_json::Map<String, Value> {
    let entry = |(id, token): (usize, &&str)| ((*token).to_owned(), id.into());
    tokens.iter().enumerate().map(entry).collect()
}

fn added_tokens(gguf: &Gguf, tokens: &[&str]) -> Vec<Value> {
    let kinds = gguf
        .setting("tokenizer.ggml.token_type")
        .and_then(Setting::as_list);
    let kinds = kinds
        .unwrap_or_default()
        .iter()
        .map(|kind| kind.as_integer().unwrap_or(0));
    tokens
        .iter()
        .zip(kinds)
        .enumerate()
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
        let id = usize::try_from(id).ok().filter(|id| *id < tokens.len())?;
        (gguf.setting(flag).and_then(Setting::as_bool)?).then_some((tokens[id], id))
    };
    let first = token("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id");
    let last = token("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id");
    if first.is_none() && last.is_none() {
        return Value::Null;
    }
    let special = |token: Option<(&str, usize)>, kind: usize| {
        token.map(|(token, _)| json!({"SpecialToken": {"id": token, "type_id": kind}}))
    };
    let around = |sequence: &str, kind: usize| {
        let sequence = json!({"Sequence": {"id": sequence, "type_id": kind}});
        special(first, kind)
            .into_iter()
            .chain([sequence])
            .chain(special(last, kind))
            .collect::<Vec<_>>()
    };
    let named: serde_json::Map<String, Value> = [first, last]
        .into_iter()
        .flatten()
        .map(|(token, id)| {
            (
                token.to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        })
        .collect();
    let pair = [around("A", 0), around("B", 1)].concat();
    json!({"type": "TemplateProcessing", "single": around("A", 0), "pair": pair,
        "special_tokens": named})
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
