//! Settings that are fine alone and make no sense together.

use lora_train::TrainError;
use serde_json::{Value, json};

use super::keys::{KEYS, Key, smallest};
use super::{Origins, PeftType, RunConfig, TuningKind};
use crate::error::Result;

/// Early stopping, which needs validation rows.
pub(super) fn check_patience(config: &RunConfig, origins: &Origins) -> Result<()> {
    let has_validation = config.data.validation_file.is_some() || config.data.validation_fraction > 0.0;
    if let Some(patience) = config.train.early_stopping_patience.filter(|_| !has_validation) {
        let message = format!(
            "early_stopping_patience is {patience}, but there are no validation rows (validation_fraction is 0): give a \
             validation_file, raise validation_fraction, or remove early_stopping_patience"
        );
        return Err(origins.at("early_stopping_patience", message));
    }
    Ok(())
}

/// Settings of masks where nobody said that there are masks. A probability of 0, said, is a plain LoRA to compare with.
pub(super) fn check_masks(config: &RunConfig, origins: &Origins) -> Result<()> {
    if config.mask_probability.has_masks() || origins.of("mask_probability").is_some() {
        return Ok(());
    }
    // The draws of BLoB are counted and shared out as masks are.
    let of_masks = match &config.blob {
        None => &["mask_rescale", "mask_axes", "mask_grouping", "masks_per_step"][..],
        Some(_) => &["mask_rescale", "mask_axes"],
    };
    match of_masks.iter().find(|key| origins.of(key).is_some()) {
        Some(key) => {
            let message = format!(
                "{key} is a setting of LoRA Dropout, but mask_probability is not given, so there are no masks; give \
                 mask_probability (0.5 is the paper's; 0 for plain LoRA), or remove {key}"
            );
            Err(origins.at(key, message))
        }
        None => Ok(()),
    }
}

/// `BLoB` beside adapters that have no factor A of its kind, and its own settings.
pub(super) fn check_blob(config: &RunConfig, origins: &Origins) -> Result<()> {
    let Some(settings) = &config.blob else {
        return Ok(());
    };
    if config.use_dora || config.peft_type == PeftType::AdaLora {
        let message = "blob learns a Gaussian over LoRA's factors A, which DoRA and AdaLoRA do not have in this form; remove it, or \
                       use_dora and peft_type";
        return Err(origins.at("blob", message));
    }
    if config.train.hidden_key.is_some() {
        return Err(origins.at("hidden_key", TrainError::HiddenKeyAndVariational));
    }
    settings.validate().map_err(|error| origins.at("blob", error))
}

/// SWAG beside another Gaussian, and its own settings.
pub(super) fn check_swag(config: &RunConfig, origins: &Origins) -> Result<()> {
    let Some(settings) = &config.swag else {
        return Ok(());
    };
    if config.blob.is_some() {
        let message = "swag and blob are two Gaussians over the same parameters, and a folder holds one; remove one of them";
        return Err(origins.at("swag", message));
    }
    settings.validate().map_err(|error| origins.at("swag", error))
}

/// Keys of one form of adapter beside another form.
pub(super) fn check_form(config: &RunConfig, origins: &Origins) -> Result<()> {
    if config.peft_type == PeftType::AdaLora {
        let sole = [("use_dora", config.use_dora), ("use_rslora", config.use_rslora)];
        if let Some((key, _)) = sole.into_iter().find(|(_, given)| *given) {
            let message = format!(
                "{key} does not go with peft_type ADALORA, which has a form and a scale of its own; remove one of them"
            );
            return Err(origins.at(key, message));
        }
        return Ok(());
    }
    match config.adalora.first_given() {
        Some(key) => {
            let message = format!(
                "{key} is a setting of AdaLoRA, but peft_type is LORA; set peft_type to ADALORA, or remove {key}"
            );
            Err(origins.at(key, message))
        }
        None => Ok(()),
    }
}

/// Keys of one way of tuning beside another one.
pub(super) fn check_tuning(config: &RunConfig, origins: &Origins) -> Result<()> {
    const OF_BOTTLENECKS: [&str; 2] = ["bottleneck_size", "bottleneck_activation"];
    let is_bottleneck = matches!(config.tuning, TuningKind::Houlsby | TuningKind::Pfeiffer);
    let belongs = |key: &Key| match key.name {
        "tuning" | "modules_to_save" | "temperature_scaling" => true,
        name if OF_BOTTLENECKS.contains(&name) => is_bottleneck,
        "loraplus_lr_ratio" | "masks_per_step" | "mask_grouping" => config.tuning == TuningKind::Lora,
        _ => config.tuning == TuningKind::Lora || !key.is_of_adapter(),
    };
    // A resolved configuration that was printed holds every key: defaults are no wishes.
    let (given, defaults) = (json!(config), default_values());
    let is_wish = |key: &Key| origins.of(key.name).is_some() && given[key.name] != defaults[key.name];
    let Some(key) = KEYS.iter().find(|key| is_wish(key) && !belongs(key)) else {
        return Ok(());
    };
    let name = key.name;
    let owner = if OF_BOTTLENECKS.contains(&name) {
        "bottleneck adapters (tuning houlsby or pfeiffer)"
    } else {
        "LoRA (tuning lora)"
    };
    let tuning = serde_json::to_value(config.tuning).unwrap_or_default();
    Err(origins.at(
        name,
        format!(
            "{name} is a setting of {owner}, but tuning is {}; change tuning, or remove {name}",
            tuning.as_str().unwrap_or_default()
        ),
    ))
}

/// The default of every key.
pub fn default_values() -> Value {
    let defaults: Result<RunConfig, _> = serde_json::from_value(smallest());
    defaults.map_or(Value::Null, |defaults| json!(defaults))
}
