//! `adapter_config.json`, in and out.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::AdapterError;
use super::folder::TaskType;
use crate::config::{BiasMode, Init, LoraConfig, Scaling};
use crate::targets::{TargetNames, Targets};

/// The fields of PEFT's `LoraConfig` that this crate acts on.
#[derive(Debug, Deserialize)]
pub(super) struct PeftConfig {
    peft_type: String,
    pub task_type: Option<TaskType>,
    pub base_model_name_or_path: Option<String>,
    r: usize,
    pub lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Option<NamesOrPattern>,
    exclude_modules: Option<NamesOrPattern>,
    layers_to_transform: Option<OneOrMany>,
    #[serde(default, deserialize_with = "map_in_order")]
    rank_pattern: Vec<(String, usize)>,
    #[serde(default, deserialize_with = "map_in_order")]
    pub alpha_pattern: Vec<(String, f64)>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    init_lora_weights: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NamesOrPattern {
    Names(Vec<String>),
    Pattern(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

/// Fields that change what an adapter computes. Any value but null, false or empty is refused. `fan_in_fan_out` is none of
/// them: it says how the base model stores its weights, which the model itself knows.
const UNSUPPORTED: [&str; 15] = [
    "use_dora",
    "lora_bias",
    "layers_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "use_qalora",
    "use_bdlora",
    "monteclora_config",
    "kasa_config",
    "lora_ga_config",
    "velora_config",
    "corda_config",
];

impl PeftConfig {
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, AdapterError> {
        serde_json::from_slice(bytes).map_err(|reason| AdapterError::Json {
            path: path.to_owned(),
            reason,
        })
    }

    /// Our settings; alpha as it stands in the file.
    pub fn to_lora_config(&self, path: &Path) -> Result<LoraConfig, AdapterError> {
        let refuse = |key: &'static str, found: String, supported: &'static str| {
            Err(AdapterError::Setting {
                path: path.to_owned(),
                key,
                found,
                supported,
            })
        };
        if self.peft_type != "LORA" {
            return refuse("peft_type", self.peft_type.clone(), "LORA");
        }
        for key in UNSUPPORTED {
            if self.others.get(key).is_some_and(is_set) {
                return refuse(key, self.others[key].to_string(), "null or false");
            }
        }
        if let Some(init) = self.init_lora_weights.as_str()
            && ["pissa", "olora", "corda", "loftq"]
                .iter()
                .any(|changes_base| init.starts_with(changes_base))
        {
            // These inits move part of the base weight into the adapter; the file alone does not undo that.
            return refuse(
                "init_lora_weights",
                init.to_owned(),
                "true, false, gaussian, orthogonal, eva",
            );
        }
        let bias = match self.bias.as_deref() {
            None | Some("none") => BiasMode::None,
            Some("lora_only") => BiasMode::LoraOnly,
            Some(other) => return refuse("bias", other.to_owned(), "none, lora_only"),
        };
        let Some(target_modules) = &self.target_modules else {
            return refuse(
                "target_modules",
                "null".to_owned(),
                "a list of names, a pattern, or all-linear",
            );
        };
        let mut modules_to_save: Vec<String> = Vec::new();
        for name in self.modules_to_save.iter().flatten() {
            // PEFT appends its defaults to what the user gave, so names come twice.
            if !modules_to_save.contains(name) {
                modules_to_save.push(name.clone());
            }
        }
        let config = LoraConfig {
            rank: self.r,
            alpha: self.lora_alpha,
            scaling: if self.use_rslora {
                Scaling::RankStabilized
            } else {
                Scaling::Standard
            },
            dropout: None,
            input_dropout: self.lora_dropout,
            init: Init::KaimingUniform,
            targets: Targets {
                modules: target_modules.to_target_names(),
                exclude: self.exclude_modules.as_ref().map(NamesOrPattern::to_target_names),
                layers: self.layers_to_transform.as_ref().map(|layers| match layers {
                    OneOrMany::One(layer) => vec![*layer],
                    OneOrMany::Many(layers) => layers.clone(),
                }),
            },
            rank_pattern: self.rank_pattern.clone(),
            alpha_pattern: self.alpha_pattern.clone(),
            bias,
            modules_to_save,
        };
        config.validate().map_err(|reason| AdapterError::Config {
            path: path.to_owned(),
            reason,
        })?;
        Ok(config)
    }
}

/// What PEFT needs to load an adapter. Only fields that every PEFT since 0.10 knows: an older one fails on others.
pub(super) fn to_json(config: &LoraConfig, task_type: TaskType, base_model: Option<&str>) -> Value {
    let factor = config.mean_factor();
    let mut fields = json!({
        "alpha_pattern": to_map(config.alpha_pattern.iter().map(|(key, alpha)| (key, number(alpha * factor)))),
        "base_model_name_or_path": base_model,
        "bias": match config.bias { BiasMode::None => "none", BiasMode::LoraOnly => "lora_only" },
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": match config.init { Init::KaimingUniform => json!(true), Init::Gaussian => json!("gaussian") },
        "layers_pattern": null,
        "layers_to_transform": config.targets.layers,
        "lora_alpha": number(config.alpha * factor),
        "lora_dropout": config.input_dropout,
        "modules_to_save": config.modules_to_save,
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": to_map(config.rank_pattern.iter().map(|(key, rank)| (key, json!(rank)))),
        "revision": null,
        "target_modules": config.targets.modules.to_json(),
        "task_type": task_type,
        "use_dora": false,
        "use_rslora": config.scaling == Scaling::RankStabilized,
    });
    if let (Some(exclude), Value::Object(fields)) = (&config.targets.exclude, &mut fields) {
        fields.insert("exclude_modules".into(), exclude.to_json());
        fields.sort_keys();
    }
    fields
}

impl NamesOrPattern {
    fn to_target_names(&self) -> TargetNames {
        match self {
            Self::Names(names) => TargetNames::Names(names.clone()),
            Self::Pattern(pattern) if pattern == "all-linear" => TargetNames::AllLinear,
            Self::Pattern(pattern) => TargetNames::Pattern(pattern.clone()),
        }
    }
}

impl TargetNames {
    fn to_json(&self) -> Value {
        match self {
            Self::Names(names) => json!(names),
            Self::Pattern(pattern) => json!(pattern),
            Self::AllLinear => json!("all-linear"),
        }
    }
}

/// Whole numbers are written as PEFT writes them: 16, not 16.0.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn to_map<'a>(entries: impl Iterator<Item = (&'a String, Value)>) -> Value {
    Value::Object(entries.map(|(key, value)| (key.clone(), value)).collect())
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// A JSON object as pairs in the order of the file: the first pattern that matches wins.
fn map_in_order<'de, D, T>(deserializer: D) -> Result<Vec<(String, T)>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: for<'a> Deserialize<'a>,
{
    let map = Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    map.into_iter()
        .map(|(key, value)| Ok((key, T::deserialize(value).map_err(serde::de::Error::custom)?)))
        .collect()
}
