//! GGUF's vocabulary from `tokenizer.json`, the other way round than [`tokenizer`](super::tokenizer): byte-level BPE with the word patterns
//! that are known there.

use serde_json::{Value, json};

use super::model::GgufModelError;
use super::tokenizer::{CONTROL, USER_DEFINED, pre_tokenizer};
use super::writing::GgufHeader;

/// llama.cpp's names of the patterns that a file may get. Its `default` is another than that of the reader.
const PATTERNS: [&str; 4] = ["gpt-2", "smollm", "llama-bpe", "qwen2"];
/// Token types beside those of the reader.
const NORMAL: i64 = 1;
const UNUSED: i64 = 5;

/// The tokens that have a part, by id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpecialIds {
    pub bos: Option<usize>,
    pub eos: Option<usize>,
    pub pad: Option<usize>,
    pub unk: Option<usize>,
}

/// What llama.cpp tokenizes with.
pub(super) struct GgufVocabulary {
    pattern: &'static str,
    tokens: Vec<String>,
    kinds: Vec<i32>,
    merges: Vec<String>,
    /// Token that begins every text, and one that ends it.
    first: Option<String>,
    last: Option<String>,
}

impl GgufVocabulary {
    /// Of a `tokenizer.json`, for a table of `size` tokens.
    pub fn of(tokenizer: &Value, size: usize) -> Result<Self, GgufModelError> {
        let refuse = |part, found: &Value| GgufModelError::Tokenizer {
            part,
            found: found.to_string().chars().take(60).collect(),
        };
        let model = &tokenizer["model"];
        if model["type"] != "BPE" || model["byte_fallback"] == true {
            return Err(refuse("model", &model["type"]));
        }
        let found = essence(&tokenizer["pre_tokenizer"]);
        let is_found =
            |pattern: &&str| pre_tokenizer(pattern).map(|known| essence(&known)).as_ref() == Some(&found);
        let pattern = PATTERNS.into_iter().find(is_found);
        let pattern = pattern.ok_or_else(|| refuse("pre_tokenizer", &tokenizer["pre_tokenizer"]))?;
        // llama.cpp knows no normalizer of these; Qwen's, which composes accents, it leaves out.
        let normalizer = &tokenizer["normalizer"];
        let is_left_out = pattern == "qwen2" && normalizer["type"] == "NFC";
        if !normalizer.is_null() && !is_left_out {
            return Err(refuse("normalizer", normalizer));
        }
        let mut tokens: Vec<Option<(String, i64)>> = vec![None; size];
        let mut put = |token: &str, id: Option<u64>, kind| {
            let place = id.and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
            let place = place.ok_or_else(|| refuse("vocab", &json!({ "content": token, "id": id })))?;
            *place = Some((token.to_owned(), kind));
            Ok::<(), GgufModelError>(())
        };
        for (token, id) in model["vocab"].as_object().into_iter().flatten() {
            put(token, id.as_u64(), NORMAL)?;
        }
        for added in tokenizer["added_tokens"].as_array().into_iter().flatten() {
            let kind = if added["special"] == true {
                CONTROL
            } else {
                USER_DEFINED
            };
            put(
                added["content"].as_str().unwrap_or_default(),
                added["id"].as_u64(),
                kind,
            )?;
        }
        let named = tokens.into_iter().enumerate();
        // Tables are often larger than their vocabulary.
        let named = named.map(|(id, token)| token.unwrap_or_else(|| (format!("[PAD{id}]"), UNUSED)));
        let (tokens, kinds) = named.map(|(token, kind)| (token, kind as i32)).unzip();
        let merges = model["merges"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|merge| match merge {
                // Since Tokenizers 0.20 a pair of texts, before one text.
                Value::Array(pair) => pair
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(" "),
                text => text.as_str().unwrap_or_default().to_owned(),
            });
        let [first, last] = around(&tokenizer["post_processor"]);
        Ok(Self {
            pattern,
            tokens,
            kinds,
            merges: merges.collect(),
            first,
            last,
        })
    }

    /// The place of a token.
    pub fn id(&self, token: &str) -> Option<usize> {
        self.tokens.iter().position(|known| known == token)
    }

    /// Puts the settings into a file.
    pub fn put(&self, special: SpecialIds, header: &mut GgufHeader) {
        header.text("tokenizer.ggml.model", "gpt2");
        header.text("tokenizer.ggml.pre", self.pattern);
        header.texts("tokenizer.ggml.tokens", &self.tokens);
        header.integers("tokenizer.ggml.token_type", &self.kinds);
        header.texts("tokenizer.ggml.merges", &self.merges);
        for (name, id) in [
            ("bos", special.bos),
            ("eos", special.eos),
            ("padding", special.pad),
            ("unknown", special.unk),
        ] {
            if let Some(id) = id {
                header.integer(&format!("tokenizer.ggml.{name}_token_id"), id);
            }
        }
        let is_added = |token: &Option<String>, id: Option<usize>| {
            let added = token.as_ref().and_then(|token| self.id(token));
            added.is_some() && added == id
        };
        header.truth("tokenizer.ggml.add_bos_token", is_added(&self.first, special.bos));
        header.truth("tokenizer.ggml.add_eos_token", is_added(&self.last, special.eos));
    }
}

/// What decides how texts are split, without what stands for nothing.
fn essence(pre_tokenizer: &Value) -> Value {
    match pre_tokenizer {
        Value::Object(fields) => {
            let parts = fields.get("pretokenizers").and_then(Value::as_array);
            if let Some([one]) = parts.map(Vec::as_slice) {
                return essence(one);
            }
            // Offsets are no tokens; a key that is not there has the library's default.
            let fields = fields.iter().filter(|(key, _)| *key != "trim_offsets");
            let mut kept: serde_json::Map<String, Value> =
                fields.map(|(key, value)| (key.clone(), essence(value))).collect();
            if kept.get("type").is_some_and(|kind| kind == "ByteLevel") {
                kept.entry("use_regex").or_insert(json!(true));
            }
            // Maps keep their order here.
            kept.sort_keys();
            Value::Object(kept)
        }
        Value::Array(items) => items.iter().map(essence).collect(),
        other => other.clone(),
    }
}

/// The tokens that a post-processor puts before and after every text.
fn around(post_processor: &Value) -> [Option<String>; 2] {
    let parts = post_processor["processors"].as_array();
    let mut parts = parts.into_iter().flatten().chain([post_processor]);
    let template = parts.find(|part| part["type"] == "TemplateProcessing");
    let single = template.and_then(|template| template["single"].as_array());
    let token = |part: Option<&Value>| Some(part?["SpecialToken"]["id"].as_str()?.to_owned());
    let single = single.map(Vec::as_slice).unwrap_or_default();
    [token(single.first()), token(single.last())]
}
