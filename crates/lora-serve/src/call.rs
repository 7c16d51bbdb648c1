//! What a request asks, checked: every mistake with its field and the reason.

use axum::http::StatusCode;
use lora_data::Example;
use lora_eval::conformal::ConformityScore;
use lora_pipeline::calibration::SetRequest;
use serde_json::{Map, Value};

use crate::error::CallError;

/// What `POST /predict` asks.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictCall {
    /// The adapter; none: the only one.
    pub adapter: Option<String>,
    /// The texts.
    pub examples: Vec<Example>,
    /// Which prediction sets are wanted.
    pub sets: Option<SetRequest>,
}

/// What `POST /adapters` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadCall {
    /// What it will be called; none: the last part of the folder.
    pub name: Option<String>,
    /// The folder, on the server.
    pub folder: String,
}

const PREDICT_FIELDS: [&str; 7] = [
    "text",
    "text_pair",
    "texts",
    "adapter",
    "coverage",
    "conformity",
    "per_class",
];

impl PredictCall {
    /// Reads a body with at most so many texts.
    ///
    /// # Errors
    ///
    /// [`CallError`] with the field that is wrong.
    pub fn parse(body: &[u8], most_texts: usize) -> Result<Self, CallError> {
        let fields = Fields::parse(body, &PREDICT_FIELDS)?;
        let examples = match (fields.get("text"), fields.get("texts")) {
            (Some(_), Some(_)) => {
                return Err(CallError::field(
                    "texts",
                    "text and texts exclude each other; give one",
                ));
            }
            (None, None) => {
                return Err(CallError::field(
                    "text",
                    "is missing; give a text, or a list of texts as texts",
                ));
            }
            (Some(_), None) => vec![example("", &fields.0)?],
            (None, Some(_)) if fields.get("text_pair").is_some() => {
                return Err(CallError::field(
                    "text_pair",
                    r#"belongs to text; in texts a pair is {"text": …, "text_pair": …}"#,
                ));
            }
            (None, Some(Value::Array(texts))) => listed(texts, most_texts)?,
            (None, Some(_)) => {
                return Err(CallError::field(
                    "texts",
                    r#"expected a list of texts; one text is "text": …"#,
                ));
            }
        };
        Ok(Self {
            adapter: fields.string("adapter")?,
            examples,
            sets: sets(&fields)?,
        })
    }
}

impl LoadCall {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`CallError`] with the field that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, CallError> {
        let fields = Fields::parse(body, &["name", "folder"])?;
        let folder = fields.string("folder")?;
        Ok(Self {
            name: fields.string("name")?,
            folder: folder
                .ok_or_else(|| CallError::field("folder", "is missing; give the adapter's folder"))?,
        })
    }
}

/// The object of a body.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(body: &[u8], known: &[&str]) -> Result<Self, CallError> {
        let value = serde_json::from_slice(body).map_err(|error| {
            CallError::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}"))
        })?;
        let Value::Object(fields) = value else {
            return Err(CallError::new(
                StatusCode::BAD_REQUEST,
                format!(
                    "the body is no JSON object; it has the fields {}",
                    known.join(", ")
                ),
            ));
        };
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(CallError::field(
                name.clone(),
                format!("is no field here; there are {}", known.join(", ")),
            )),
            None => Ok(Self(fields)),
        }
    }

    /// A value; `null` is none.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn string(&self, name: &str) -> Result<Option<String>, CallError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(CallError::field(name, "expected a string")),
        }
    }
}

fn listed(texts: &[Value], most: usize) -> Result<Vec<Example>, CallError> {
    if texts.is_empty() {
        return Err(CallError::field("texts", "is empty; give at least one text"));
    }
    if texts.len() > most {
        return Err(CallError::field(
            "texts",
            format!(
                "has {} texts, and a request may have {most}; send several requests",
                texts.len()
            ),
        ));
    }
    let text = |(place, value): (usize, &Value)| {
        let field = format!("texts[{place}]");
        match value {
            Value::Object(fields) => {
                let known = ["text", "text_pair"];
                match fields.keys().find(|name| !known.contains(&name.as_str())) {
                    Some(name) => Err(CallError::field(
                        format!("{field}.{name}"),
                        "is no field here; there are text, text_pair",
                    )),
                    None => example(&format!("{field}."), fields),
                }
            }
            Value::String(text) => Ok(Example {
                text: filled(&field, text)?,
                text_pair: None,
                target: None,
            }),
            _ => Err(CallError::field(
                field,
                r#"expected a string, or {"text": …, "text_pair": …} for a pair"#,
            )),
        }
    };
    texts.iter().enumerate().map(text).collect()
}

/// A text and perhaps its pair; `place` stands before the names of the fields.
fn example(place: &str, fields: &Map<String, Value>) -> Result<Example, CallError> {
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => filled(&format!("{place}{name}"), text).map(Some),
        Some(_) => Err(CallError::field(format!("{place}{name}"), "expected a string")),
    };
    let Some(first) = text("text")? else {
        return Err(CallError::field(
            format!("{place}text"),
            "is missing; give a text",
        ));
    };
    Ok(Example {
        text: first,
        text_pair: text("text_pair")?,
        target: None,
    })
}

fn filled(field: &str, text: &str) -> Result<String, CallError> {
    if text.trim().is_empty() {
        return Err(CallError::field(field, "is empty; leave it out"));
    }
    Ok(text.to_owned())
}

fn sets(fields: &Fields) -> Result<Option<SetRequest>, CallError> {
    let score = match fields.string("conformity")?.as_deref() {
        None | Some("lac") => ConformityScore::Lac,
        Some("aps") => ConformityScore::Aps,
        Some("raps") => ConformityScore::RAPS,
        Some(_) => return Err(CallError::field("conformity", "expected lac, aps or raps")),
    };
    let per_class = match fields.get("per_class") {
        None => false,
        Some(Value::Bool(per_class)) => *per_class,
        Some(_) => return Err(CallError::field("per_class", "expected true or false")),
    };
    let Some(coverage) = fields.get("coverage") else {
        let of_sets = ["conformity", "per_class"];
        return match of_sets.into_iter().find(|name| fields.get(name).is_some()) {
            Some(name) => Err(CallError::field(
                name,
                "is about prediction sets; give coverage too",
            )),
            None => Ok(None),
        };
    };
    let within = coverage
        .as_f64()
        .filter(|coverage| *coverage > 0.0 && *coverage < 1.0);
    match within {
        Some(coverage) => Ok(Some(SetRequest {
            coverage,
            score,
            per_class,
        })),
        None => Err(CallError::field(
            "coverage",
            "expected a number above 0 and below 1",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<PredictCall, CallError> {
        PredictCall::parse(body.as_bytes(), 3)
    }

    fn texts(body: &str) -> Vec<(String, Option<String>)> {
        let call = parse(body).expect(body);
        call.examples
            .into_iter()
            .map(|example| (example.text, example.text_pair))
            .collect()
    }

    #[test]
    fn one_text_or_several_alone_or_in_pairs() {
        assert_eq!(texts(r#"{"text": "a"}"#), [("a".into(), None)]);
        assert_eq!(
            texts(r#"{"text": "a", "text_pair": "b"}"#),
            [("a".into(), Some("b".into()))]
        );
        assert_eq!(
            texts(r#"{"texts": ["a", {"text": "b", "text_pair": "c"}], "adapter": null}"#),
            [("a".into(), None), ("b".into(), Some("c".into()))]
        );
    }

    #[test]
    fn sets_are_asked_for_by_coverage() {
        let call = parse(r#"{"text": "a", "coverage": 0.9, "conformity": "raps", "per_class": true}"#);
        let expected = SetRequest {
            coverage: 0.9,
            score: ConformityScore::RAPS,
            per_class: true,
        };
        assert_eq!(call.ok().and_then(|call| call.sets), Some(expected));
    }

    #[test]
    fn every_mistake_names_its_field() {
        let cases = [
            (r"{}", "text"),
            (r#"{"text": null}"#, "text"),
            (r#"{"text": 3}"#, "text"),
            (r#"{"text": " \n"}"#, "text"),
            (r#"{"txt": "a"}"#, "txt"),
            (r#"{"text": "a", "texts": ["b"]}"#, "texts"),
            (r#"{"texts": "a"}"#, "texts"),
            (r#"{"texts": []}"#, "texts"),
            (r#"{"texts": ["a", "b", "c", "d"]}"#, "texts"),
            (r#"{"texts": ["a", ""]}"#, "texts[1]"),
            (r#"{"texts": ["a", 2]}"#, "texts[1]"),
            (r#"{"texts": [{"text_pair": "a"}]}"#, "texts[0].text"),
            (
                r#"{"texts": [{"text": "a", "text_pair": ""}]}"#,
                "texts[0].text_pair",
            ),
            (r#"{"texts": [{"text": "a", "pair": "b"}]}"#, "texts[0].pair"),
            (r#"{"texts": ["a"], "text_pair": "b"}"#, "text_pair"),
            (r#"{"text": "a", "adapter": 1}"#, "adapter"),
            (r#"{"text": "a", "coverage": 1}"#, "coverage"),
            (r#"{"text": "a", "coverage": "0.9"}"#, "coverage"),
            (
                r#"{"text": "a", "coverage": 0.9, "conformity": "LAC"}"#,
                "conformity",
            ),
            (r#"{"text": "a", "conformity": "lac"}"#, "conformity"),
            (r#"{"text": "a", "coverage": 0.9, "per_class": 1}"#, "per_class"),
        ];
        for (body, field) in cases {
            let error = parse(body).expect_err(body);
            assert_eq!(error.field.as_deref(), Some(field), "{body}: {error:?}");
            assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert!(!error.reason.is_empty());
        }
    }

    #[test]
    fn what_is_no_object_is_a_bad_request() {
        for body in ["", "{", "[]", "3", "\"a\"", "{\"text\": \"a\"} x", "\u{0}"] {
            let error = parse(body).expect_err(body);
            assert_eq!(
                (error.status, error.field),
                (StatusCode::BAD_REQUEST, None),
                "{body}"
            );
        }
        assert_eq!(
            PredictCall::parse(b"{\"text\": \"\xff\"}", 3).map_err(|error| error.status),
            Err(StatusCode::BAD_REQUEST)
        );
    }
}
