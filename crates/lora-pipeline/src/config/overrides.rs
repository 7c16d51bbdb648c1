//! Settings that are given as texts, as flags are.

use serde_json::{Map, Value};

use super::keys::{Key, KeyForm};
use crate::error::{Error, Result};

/// The keys that were given as flags, with their texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    given: Vec<(&'static Key, String)>,
}

impl Overrides {
    /// Keys given by a program rather than by flags.
    pub fn from_pairs(given: Vec<(&'static Key, String)>) -> Self {
        Self { given }
    }

    /// Keys and values, in the order of the table.
    ///
    /// # Errors
    ///
    /// If a text does not have its key's form.
    pub fn values(&self) -> Result<Vec<(&'static Key, Value)>> {
        self.given
            .iter()
            .map(|(key, text)| Ok((*key, value_of(key, text)?)))
            .collect()
    }
}

fn value_of(key: &Key, text: &str) -> Result<Value> {
    Ok(match key.form {
        KeyForm::Text | KeyForm::Newest => Value::from(text),
        KeyForm::Scalar | KeyForm::Switch => scalar(text),
        KeyForm::List => list(text, scalar),
        KeyForm::Names if text == "all-linear" || !is_names(text) => Value::from(text),
        KeyForm::Names => list(text, word),
        KeyForm::PairsOrWord if !text.contains(['=', '{']) => Value::from(text.trim()),
        KeyForm::Pairs | KeyForm::PairsOrWord => pairs(text).ok_or_else(|| {
            Error::input(format!(
                "flag --{}: `{text}` is no list of pairs; write name=value,name=value or a JSON object",
                key.flag()
            ))
        })?,
    })
}

/// A number or a truth value where it is one, else the text.
fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::from(text),
    }
}

fn word(text: &str) -> Value {
    Value::from(text)
}

fn list(text: &str, item: fn(&str) -> Value) -> Value {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(item)
        .collect()
}

/// Whether a text can only be names: no character that means something in a pattern, but for the dot of a path.
fn is_names(text: &str) -> bool {
    text.chars()
        .all(|character| character.is_alphanumeric() || "_.-, ".contains(character))
}

fn pairs(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str::<Map<String, Value>>(text)
            .ok()
            .map(Value::Object);
    }
    let pair = |part: &str| {
        let (name, value) = part.rsplit_once('=')?;
        Some((name.trim().to_owned(), scalar(value.trim())))
    };
    let pairs: Option<Map<String, Value>> = text.split(',').map(pair).collect();
    pairs.map(Value::Object)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    fn value(name: &str, text: &str) -> Value {
        value_of(Key::named(name).unwrap(), text).unwrap()
    }

    #[test]
    fn a_flag_becomes_the_value_that_a_file_would_have() {
        assert_eq!(value("learning_rate", "5e-4"), json!(5e-4));
        assert_eq!(value("seed", "7"), json!(7));
        assert_eq!(value("model_name_or_path", "7"), json!("7"));
        assert_eq!(value("text_column", "2"), json!(2));
        assert_eq!(value("text_column", "sentence"), json!("sentence"));
        assert_eq!(value("use_rslora", "true"), json!(true));
        assert_eq!(value("layers_to_transform", "0, 3"), json!([0, 3]));
        assert_eq!(
            value("rank_pattern", "query=4,layer.0.value=2"),
            json!({"query": 4, "layer.0.value": 2})
        );
        assert_eq!(value("rank_pattern", r#"{"query": 4}"#), json!({"query": 4}));
        assert_eq!(value("class_weights", "balanced"), json!("balanced"));
        assert_eq!(
            value("class_weights", "spam=4,ham=0.5"),
            json!({"spam": 4, "ham": 0.5})
        );
    }

    #[test]
    fn targets_are_names_unless_they_can_only_be_a_pattern() {
        assert_eq!(value("target_modules", "query,value"), json!(["query", "value"]));
        assert_eq!(value("target_modules", "query"), json!(["query"]));
        assert_eq!(value("target_modules", "all-linear"), json!("all-linear"));
        assert_eq!(value("target_modules", r".*\.0\..*"), json!(r".*\.0\..*"));
    }

    #[test]
    fn pairs_without_a_value_are_refused_by_flag() {
        let error = value_of(Key::named("rank_pattern").unwrap(), "query")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--rank-pattern") && error.contains("name=value"),
            "{error}"
        );
    }
}
