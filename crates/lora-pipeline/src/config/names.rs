//! Values of keys that have several forms, as PEFT reads them.

use lora_core::{Init, TargetNames};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Names of modules, or a pattern on whole paths; `all-linear` is a word of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of names, a pattern, or all-linear")]
pub enum NamesOrPattern {
    /// Names.
    Names(Vec<String>),
    /// A pattern, or `all-linear`.
    Pattern(String),
}

impl NamesOrPattern {
    /// The form that adapters are resolved with.
    pub fn to_target_names(&self) -> TargetNames {
        match self {
            Self::Names(names) => TargetNames::Names(names.clone()),
            Self::Pattern(pattern) if pattern == "all-linear" => TargetNames::AllLinear,
            Self::Pattern(pattern) => TargetNames::Pattern(pattern.clone()),
        }
    }
}

impl NamesOrPattern {
    /// As a list.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Names(names) => names.clone(),
            Self::Pattern(pattern) => vec![pattern.clone()],
        }
    }
}

/// One layer or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a layer number or a list of them")]
pub enum Layers {
    /// One.
    One(usize),
    /// Several.
    Many(Vec<usize>),
}

impl Layers {
    /// The numbers.
    pub fn numbers(&self) -> Vec<usize> {
        match self {
            Self::One(layer) => vec![*layer],
            Self::Many(layers) => layers.clone(),
        }
    }
}

/// Where the events of a training go while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportTo {
    /// Nowhere: `results.json` holds them in the end.
    #[default]
    None,
    /// A TensorBoard event file in the output folder.
    TensorBoard,
    /// `events.jsonl` there, an object a line.
    Json,
    /// The same, and a run of an MLflow server.
    MlFlow,
}

/// How the model is tuned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TuningKind {
    /// LoRA and its forms; see `peft_type`.
    #[default]
    Lora,
    /// All weights.
    Full,
    /// All biases.
    BitFit,
    /// Bottlenecks after attention and feed-forward block.
    Houlsby,
    /// Bottlenecks after the feed-forward block.
    Pfeiffer,
}

/// PEFT's `peft_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PeftType {
    /// LoRA, or DoRA with `use_dora`.
    #[default]
    Lora,
    /// AdaLoRA.
    AdaLora,
}

/// PEFT's `init_lora_weights`, the forms that depend on the base model alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitWeights(pub Init);

impl Default for InitWeights {
    fn default() -> Self {
        Self(Init::KaimingUniform)
    }
}

impl Serialize for InitWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.word() {
            Some(word) => serializer.serialize_str(&word),
            None => serializer.serialize_bool(true),
        }
    }
}

impl<'de> Deserialize<'de> for InitWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (&value, value.as_str().and_then(Init::from_word)) {
            (Value::Bool(true), _) => Ok(Self::default()),
            (_, Some(init)) => Ok(Self(init)),
            _ => Err(serde::de::Error::custom(
                "expected true, gaussian, orthogonal, pissa, pissa_niter_N or olora",
            )),
        }
    }
}

/// Values by pattern, in the order in which they were written: the first that matches wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns<T>(pub Vec<(String, T)>);

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Patterns<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(pattern, value)| (pattern, value)))
    }
}

impl<'de, T: for<'a> Deserialize<'a>> Deserialize<'de> for Patterns<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::<String, Value>::deserialize(deserializer)?;
        map.into_iter()
            .map(|(pattern, value)| Ok((pattern, T::deserialize(value).map_err(serde::de::Error::custom)?)))
            .collect::<Result<_, D::Error>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_keep_their_order() {
        let text = r#"{"z": 1, "a": 2, "m": 3}"#;
        let patterns: Patterns<usize> = serde_json::from_str(text).unwrap();
        assert_eq!(patterns.0[0], ("z".to_owned(), 1));
        assert_eq!(
            serde_json::to_string(&patterns).unwrap(),
            text.replace(": ", ":").replace(", ", ",")
        );
    }

    #[test]
    fn starts_are_read_and_written_in_peft_s_words() {
        for value in [
            json!(true),
            json!("gaussian"),
            json!("pissa_niter_4"),
            json!("olora"),
        ] {
            let init: InitWeights = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(init).unwrap(), value);
        }
        for value in [json!(false), json!("loftq"), json!("pissa_niter_x")] {
            assert!(serde_json::from_value::<InitWeights>(value).is_err());
        }
    }
}
