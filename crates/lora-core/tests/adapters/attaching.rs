//! What adapters attach to: names that match nothing, and a model that carried adapters before.

use crate::support::{Tiny, config, fill_b};
use lora_core::peft::{AdapterFolder, SaveOptions, TaskType, trained_tensors};
use lora_core::{Adapted, BiasMode, ConfigError, LoraConfig, TargetModules};
use serde_json::{Value, json};

#[test]
fn a_module_to_save_that_is_no_linear_is_refused_by_name() {
    let settings = config().with_modules_to_save(["classifier", "embeddings.LayerNorm"]);
    let error = Adapted::attach(Tiny::new(), settings, 1).unwrap_err();
    assert!(matches!(&error, ConfigError::UnusedModule { name, .. } if name == "embeddings.LayerNorm"));
    let sentence = error.to_string();
    assert!(sentence.contains("query, value, classifier"), "{sentence}");
}

#[test]
fn one_of_several_targets_that_matches_nothing_is_refused_by_name() {
    let settings = LoraConfig {
        targets: TargetModules::names(["query", "valeu"]),
        ..config()
    };
    let error = Adapted::attach(Tiny::new(), settings, 1).unwrap_err();
    assert!(matches!(error, ConfigError::UnusedTarget { name, .. } if name == "valeu"));
}

/// PEFT writes `score` beside `classifier` whatever the model has, and attaches the targets that it finds.
#[test]
fn names_in_a_file_that_the_model_does_not_have_are_passed_over_and_kept() {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).unwrap();
    fill_b(&mut adapted.model);
    let folder = tempfile::tempdir().unwrap();
    adapted
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    let path = folder.path().join("adapter_config.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    settings["target_modules"] = json!(["query", "value", "query_key_value"]);
    settings["modules_to_save"] = json!(["classifier", "score"]);
    std::fs::write(&path, settings.to_string()).unwrap();

    let read = AdapterFolder::read(folder.path()).unwrap();
    let again = read.attach_to(Tiny::new()).unwrap();
    assert_eq!(trained_tensors(&again), trained_tensors(&adapted));
    assert_eq!(again.tuning().modules_to_save(), ["classifier", "score"]);
}

#[test]
fn a_second_adapter_trains_nothing_that_only_the_first_one_trained() {
    let first = LoraConfig {
        bias: BiasMode::LoraOnly,
        ..config()
    };
    let second = LoraConfig::new(2, 5.0, TargetModules::names(["query"]));
    let adapted = || Adapted::attach(Tiny::new(), first.clone(), 1).unwrap().0;
    for plain in [adapted().merge().unwrap(), adapted().detach()] {
        let (again, _) = Adapted::attach(plain, second.clone(), 1).unwrap();
        let names: Vec<String> = trained_tensors(&again).into_keys().collect();
        let expected = ["lora_A", "lora_B"].map(|factor| format!("net.layer.0.query.{factor}.weight"));
        assert_eq!(names, expected);
        assert_eq!(again.count().trained, 2 * (5 + 7));
    }
}

/// PEFT passes over such patterns; reading its files stays as silent as PEFT is.
#[test]
fn a_pattern_that_no_adapted_linear_has_is_refused_in_training_and_passed_over_in_a_file() {
    let settings = LoraConfig {
        rank_pattern: vec![("query".into(), 3)],
        alpha_pattern: vec![(r"layer\.1\.value".into(), 2.5)],
        ..config()
    };
    let (mut adapted, _) = Adapted::attach(Tiny::new(), settings.clone(), 1).unwrap();
    let typo = LoraConfig {
        alpha_pattern: vec![("qurey".into(), 2.5)],
        ..settings
    };
    let error = Adapted::attach(Tiny::new(), typo, 1).unwrap_err();
    let expected = ConfigError::UnusedPattern {
        key: "alpha_pattern",
        pattern: "qurey".into(),
        available: vec!["query".into(), "value".into()],
    };
    assert_eq!(error, expected);

    fill_b(&mut adapted.model);
    let folder = tempfile::tempdir().unwrap();
    adapted
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    let path = folder.path().join("adapter_config.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    settings["alpha_pattern"]["qurey"] = json!(7.5);
    std::fs::write(&path, settings.to_string()).unwrap();
    AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
}
