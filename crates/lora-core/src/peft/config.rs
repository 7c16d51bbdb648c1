//! `adapter_config.json`, in and out.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::AdapterError;
use super::task_type::TaskType;
use crate::adalora::AdaLora;
use crate::config::{BiasMode, Form, Init, LoraConfig, Scaling};
use crate::targets::{TargetModules, TargetNames};

/// The fields of PEFT's `LoraConfig` that this crate acts on.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are PEFT's fields")]
pub(super) struct PeftConfig {
    peft_type: String,
    pub task_type: Option<TaskType>,
    pub base_model_name_or_path: Option<String>,
    #[serde(default)]
    r: Option<usize>,
    pub lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Option<NamesOrPattern>,
    exclude_modules: Option<NamesOrPattern>,
    layers_to_transform: Option<OneOrMany>,
    layers_pattern: Option<NamesOrPattern>,
    #[serde(default)]
    rank_pattern: Option<Value>,
    #[serde(default, deserialize_with = "alphas")]
    pub alpha_pattern: Vec<(String, f64)>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    lora_bias: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    init_lora_weights: Value,
    #[serde(flatten)]
    adalora: AdaLoraFields,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// What every method's file says.
#[derive(Deserialize)]
struct Method {
    peft_type: String,
}

/// The fields of PEFT's `AdaLoraConfig`; its defaults where one is absent.
#[derive(Debug, Deserialize)]
struct AdaLoraFields {
    target_r: Option<usize>,
    init_r: Option<usize>,
    tinit: Option<u64>,
    tfinal: Option<u64>,
    #[serde(rename = "deltaT")]
    delta_t: Option<u64>,
    beta1: Option<f64>,
    beta2: Option<f64>,
    orth_reg_weight: Option<f64>,
    total_step: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a list of names, or a text")]
enum NamesOrPattern {
    Names(Vec<String>),
    Pattern(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a layer number, or a list of them")]
enum OneOrMany {
    One(usize),
    Many(Vec<usize>),
}

/// What follows the path in AdaLoRA's rank pattern.
const RANK_KEY: &str = ".lora_E";

const LORA: &str = "LORA";
const ADALORA: &str = "ADALORA";
/// The methods that are read.
const PEFT_TYPES: [&str; 2] = [LORA, ADALORA];

/// Fields that change what an adapter computes. Any value but null, false or empty is refused.
const UNSUPPORTED: [&str; 12] = [
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
        let bad = |reason| AdapterError::Json {
            path: path.to_owned(),
            reason,
        };
        // First: another method's file has other keys, and which of ours it lacks says nothing.
        let Method { peft_type } = serde_json::from_slice(bytes).map_err(bad)?;
        if !PEFT_TYPES.contains(&peft_type.as_str()) {
            return Err(AdapterError::Setting {
                path: path.to_owned(),
                key: "peft_type",
                found: peft_type,
                supported: "LORA, ADALORA",
            });
        }
        serde_json::from_slice(bytes).map_err(bad)
    }

    /// Whether what was trained for one of two tied modules was written for the other too, which no other key names.
    pub fn ensures_tying(&self) -> bool {
        self.others.get("ensure_weight_tying").is_some_and(is_set)
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
        let is_adalora = self.peft_type == ADALORA;
        for key in UNSUPPORTED {
            if self.others.get(key).is_some_and(is_set) {
                return refuse(key, self.others[key].to_string(), "null or false");
            }
        }
        let init = match self.init_lora_weights.as_str() {
            // A start that leaves the base weight as it is does not matter to a reader; AdaLoRA passes the word over.
            Some(word) if !is_adalora && !["eva", "mica"].contains(&word) => match Init::from_word(word) {
                Some(init) => init,
                // The others absorb part of the base weight in a way that the file does not tell.
                None => {
                    return refuse(
                        "init_lora_weights",
                        word.to_owned(),
                        "true, false, gaussian, orthogonal, eva, mica, pissa, pissa_niter_N, olora",
                    );
                }
            },
            _ => Init::KaimingUniform,
        };
        let form = match (is_adalora, self.use_dora) {
            (true, true) => return refuse("use_dora", "true".to_owned(), "false with peft_type ADALORA"),
            (true, false) => Form::Svd(self.adalora(path)?),
            (false, true) => Form::WeightDecomposed,
            (false, false) => Form::LowRank,
        };
        let rank_pattern = if is_adalora { Vec::new() } else { self.ranks(path)? };
        let Some(rank) = self.r.or(is_adalora.then_some(8)) else {
            return refuse("r", "absent".to_owned(), "a rank of at least 1");
        };
        let bias = match self.bias.as_deref() {
            None | Some("none") => BiasMode::None,
            Some("lora_only") => BiasMode::LoraOnly,
            Some("all") => BiasMode::All,
            Some(other) => return refuse("bias", other.to_owned(), "none, lora_only, all"),
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
            rank,
            alpha: self.lora_alpha,
            scaling: if self.use_rslora {
                Scaling::RankStabilized
            } else {
                Scaling::Standard
            },
            dropout: None,
            input_dropout: self.lora_dropout,
            init,
            targets: TargetModules {
                modules: target_modules.to_target_names(),
                exclude: self.exclude_modules.as_ref().map(NamesOrPattern::to_target_names),
                layers: self.layers_to_transform.as_ref().map(|layers| match layers {
                    OneOrMany::One(layer) => vec![*layer],
                    OneOrMany::Many(layers) => layers.clone(),
                }),
                layers_pattern: match &self.layers_pattern {
                    None => Vec::new(),
                    Some(NamesOrPattern::Names(patterns)) => patterns.clone(),
                    Some(NamesOrPattern::Pattern(pattern)) if pattern.is_empty() => Vec::new(),
                    Some(NamesOrPattern::Pattern(pattern)) => vec![pattern.clone()],
                },
            },
            rank_pattern,
            alpha_pattern: self.alpha_pattern.clone(),
            form,
            lora_bias: self.lora_bias,
            fan_in_fan_out: self.fan_in_fan_out,
            bias,
            modules_to_save,
        };
        config.validate().map_err(|reason| AdapterError::Config {
            path: path.to_owned(),
            reason,
        })?;
        Ok(config)
    }

    /// LoRA's `rank_pattern`: ranks by pattern.
    fn ranks(&self, path: &Path) -> Result<Vec<(String, usize)>, AdapterError> {
        map_in_order(self.rank_pattern.clone().unwrap_or_default()).map_err(|reason| AdapterError::Json {
            path: path.to_owned(),
            reason,
        })
    }

    /// AdaLoRA's settings; its `rank_pattern` says for each `PATH.lora_E` which triplets are kept.
    fn adalora(&self, path: &Path) -> Result<AdaLora, AdapterError> {
        let kept: Vec<(String, Vec<bool>)> = map_in_order(self.rank_pattern.clone().unwrap_or_default())
            .map_err(|reason| AdapterError::Json {
                path: path.to_owned(),
                reason,
            })?;
        let rank_pattern = kept
            .into_iter()
            .map(|(key, kept)| {
                let key = key.strip_prefix("base_model.model.").unwrap_or(&key);
                let key = key.strip_suffix(".default").unwrap_or(key);
                (key.strip_suffix(RANK_KEY).unwrap_or(key).to_owned(), kept)
            })
            .collect();
        let default = AdaLora::default();
        let fields = &self.adalora;
        Ok(AdaLora {
            target_r: fields.target_r.unwrap_or(default.target_r),
            init_r: fields.init_r.unwrap_or(default.init_r),
            tinit: fields.tinit.unwrap_or(default.tinit),
            tfinal: fields.tfinal.unwrap_or(default.tfinal),
            delta_t: fields.delta_t.unwrap_or(default.delta_t),
            beta1: fields.beta1.unwrap_or(default.beta1),
            beta2: fields.beta2.unwrap_or(default.beta2),
            orth_reg_weight: fields.orth_reg_weight.unwrap_or(default.orth_reg_weight),
            total_step: fields.total_step,
            rank_pattern,
        })
    }
}

/// What PEFT needs to load an adapter. Fields that not every PEFT since 0.10 knows are written only where they are used: an
/// older one fails on them.
pub(super) fn to_json(config: &LoraConfig, task_type: Option<TaskType>, base_model: Option<&str>) -> Value {
    let factor = config.mean_factor();
    let mut fields = json!({
        "alpha_pattern": to_map(config.alpha_pattern.iter().map(|(key, alpha)| (key, number(alpha * factor)))),
        "base_model_name_or_path": base_model,
        "bias": config.bias.name(),
        "fan_in_fan_out": config.fan_in_fan_out,
        "inference_mode": true,
        "init_lora_weights": config.init.word().map_or(json!(true), Value::from),
        "layers_pattern": null,
        "layers_to_transform": config.targets.layers,
        "lora_alpha": number(config.alpha * factor),
        "lora_dropout": config.input_dropout,
        "modules_to_save": config.modules_to_save,
        "peft_type": LORA,
        "r": config.rank,
        "rank_pattern": to_map(config.rank_pattern.iter().map(|(key, rank)| (key, json!(rank)))),
        "revision": null,
        "target_modules": config.targets.modules.to_json(),
        "task_type": task_type,
        "use_dora": config.form == Form::WeightDecomposed,
        "use_rslora": config.scaling == Scaling::RankStabilized,
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(exclude) = &config.targets.exclude {
            fields.insert("exclude_modules".into(), exclude.to_json());
        }
        if !config.targets.layers_pattern.is_empty() {
            fields.insert("layers_pattern".into(), json!(config.targets.layers_pattern));
        }
        if config.lora_bias {
            fields.insert("lora_bias".into(), json!(true));
        }
        if let Some(adalora) = config.adalora() {
            fields.extend(adalora_fields(adalora));
        }
        fields.sort_keys();
    }
    fields
}

fn adalora_fields(adalora: &AdaLora) -> Map<String, Value> {
    let pattern = adalora
        .rank_pattern
        .iter()
        .map(|(path, kept)| (format!("{path}{RANK_KEY}"), json!(kept)))
        .collect::<Map<_, _>>();
    // PEFT refuses a missing number of steps, or one that the budget does not fit into.
    let least = adalora.steps_outside().saturating_add(1);
    let total_step = adalora.total_step.unwrap_or(least);
    let Value::Object(fields) = json!({
        "beta1": adalora.beta1,
        "beta2": adalora.beta2,
        "deltaT": adalora.delta_t,
        "init_r": adalora.init_r,
        "orth_reg_weight": adalora.orth_reg_weight,
        "peft_type": ADALORA,
        "rank_pattern": if pattern.is_empty() { Value::Null } else { Value::Object(pattern) },
        "target_r": adalora.target_r,
        "tfinal": adalora.tfinal,
        "tinit": adalora.tinit,
        "total_step": total_step,
    }) else {
        unreachable!("the literal is an object")
    };
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

/// A JSON object, or null, as pairs in the order of the file: the first pattern that matches wins.
fn map_in_order<T: for<'a> Deserialize<'a>>(value: Value) -> Result<Vec<(String, T)>, serde_json::Error> {
    let map = Option::<Map<String, Value>>::deserialize(value)?.unwrap_or_default();
    map.into_iter()
        .map(|(key, value)| Ok((key, T::deserialize(value)?)))
        .collect()
}

fn alphas<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
    map_in_order(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
