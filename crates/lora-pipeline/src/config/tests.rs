//! The settings of a training: keys, defaults, what follows from them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::keys::{KEYS, REQUIRED};
use super::*;

fn smallest() -> RunConfig {
    let text = r#"{"model_name_or_path": "m", "output_dir": "o", "learning_rate": 1e-3, "num_train_epochs": 1,
        "per_device_train_batch_size": 8}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_table_of_keys_is_the_fields_in_their_order() {
    let value = serde_json::to_value(smallest()).unwrap();
    let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(keys, fields);
    assert_eq!(keys[keys.len() - TrainConfig::KEYS.len()..], TrainConfig::KEYS);
}

#[test]
fn the_required_keys_are_those_without_default() {
    for missing in REQUIRED {
        let mut value = serde_json::to_value(smallest()).unwrap();
        value.as_object_mut().unwrap().remove(missing);
        let error = serde_json::from_value::<RunConfig>(value)
            .unwrap_err()
            .to_string();
        assert!(error.contains(missing), "{error}");
    }
}

#[test]
fn defaults_are_plain_lora_with_pefts_numbers() {
    let lora = smallest().lora(&["classifier".to_owned()], &["query", "value"]);
    let expected = LoraConfig::new(8, 8.0, TargetModules::names(["query", "value"]))
        .with_modules_to_save(["classifier"]);
    assert_eq!(lora, expected);
    assert_eq!(smallest().ensemble(), None);
}

#[test]
fn masks_bring_an_ensemble_unless_it_is_turned_off() {
    let masked = RunConfig {
        mask_probability: MaskProbability::Fixed(0.5),
        ..smallest()
    };
    assert_eq!(masked.ensemble().unwrap().members, DEFAULT_MEMBERS);
    assert_eq!(
        RunConfig {
            ensemble_members: Some(0),
            ..masked
        }
        .ensemble(),
        None
    );
}
