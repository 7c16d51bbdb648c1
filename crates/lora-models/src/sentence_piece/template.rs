//! What is added around a text.

use serde_json::{Value, json};

/// The post-processor that puts special tokens around one text, `$A`, and around two, `$A` and `$B`; each part with its
/// `token_type_id`. `id` knows the special tokens; null if it lacks one of them, or there are none.
pub(crate) fn template(
    single: &[(&str, usize)],
    pair: &[(&str, usize)],
    id: impl Fn(&str) -> Option<usize>,
) -> Value {
    let parts = |parts: &[(&str, usize)]| -> Vec<Value> {
        let part = |(name, kind): &(&str, usize)| match name.strip_prefix('$') {
            Some(text) => json!({"Sequence": {"id": text, "type_id": kind}}),
            None => json!({"SpecialToken": {"id": name, "type_id": kind}}),
        };
        parts.iter().map(part).collect()
    };
    let mut tokens = serde_json::Map::new();
    for (name, _) in pair.iter().filter(|(name, _)| !name.starts_with('$')) {
        let Some(id) = id(name) else {
            return Value::Null;
        };
        tokens.insert(
            (*name).to_owned(),
            json!({"id": name, "ids": [id], "tokens": [name]}),
        );
    }
    if tokens.is_empty() {
        return Value::Null;
    }
    json!({"type": "TemplateProcessing", "single": parts(single), "pair": parts(pair), "special_tokens": tokens})
}
