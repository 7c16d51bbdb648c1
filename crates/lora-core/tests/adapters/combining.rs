//! Adapters that cannot be combined are refused before anything is computed.

use crate::support::{Tiny, config, fill_b};
use lora_core::combine::{Combination, CombineError, OneSided, Rule, combine};
use lora_core::peft::{AdapterFolder, PlainLora, SaveOptions, TaskType};
use lora_core::{Adapted, BiasMode, LoraConfig, TargetModules};

fn plain(config: LoraConfig, base_model: Option<&str>) -> PlainLora {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
    fill_b(&mut adapted.model);
    let folder = tempfile::tempdir().unwrap();
    let options = SaveOptions {
        base_model: base_model.map(str::to_owned),
        ..SaveOptions::new(TaskType::SeqCls)
    };
    adapted.save(folder.path(), &options).unwrap();
    PlainLora::read(&AdapterFolder::read(folder.path()).unwrap()).unwrap()
}

#[test]
fn a_weight_that_is_no_number_is_refused_by_its_place() {
    let adapters = [plain(config(), None), plain(config(), None)];
    for found in [f64::NAN, f64::INFINITY] {
        let refused = combine(&adapters, &[1.0, found], Combination::Concatenate, 1).unwrap_err();
        assert!(
            matches!(refused, CombineError::Weight { index: 1, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("adapter 2"), "{refused}");
    }
}

#[test]
fn a_rank_of_zero_is_refused() {
    let svd = Combination::Updates {
        rule: Rule::Linear,
        rank: Some(0),
    };
    let refused = combine(&[plain(config(), None)], &[1.0], svd, 1).unwrap_err();
    assert_eq!(refused, CombineError::ZeroRank);
}

#[test]
fn adapters_with_other_biases_are_refused() {
    let with_biases = LoraConfig {
        bias: BiasMode::LoraOnly,
        ..config()
    };
    let adapters = [plain(config(), None), plain(with_biases, None)];
    let refused = combine(&adapters, &[1.0, 1.0], Combination::Concatenate, 1).unwrap_err();
    let expected = CombineError::BiasModes {
        first: "none",
        other: "lora_only",
    };
    assert_eq!(refused, expected);
}

#[test]
fn adapters_of_different_base_models_are_refused_by_name() {
    let of = |base| plain(config(), base);
    let adapters = [of(None), of(Some("org/one")), of(Some("org/other"))];
    let refused = combine(&adapters, &[1.0; 3], Combination::Concatenate, 1).unwrap_err();
    let expected = CombineError::BaseModels {
        first: "org/one".into(),
        other: "org/other".into(),
        apart: Vec::new(),
    };
    assert_eq!(refused, expected);
    // One that names none goes with any, and the result names the other's.
    let combined = combine(&adapters[..2], &[1.0; 2], Combination::Concatenate, 1).unwrap();
    assert_eq!(combined.base_model.as_deref(), Some("org/one"));
}

#[test]
fn adapters_without_a_linear_in_common_need_one_base_by_name() {
    let of = |target: &str, base| {
        let targets = TargetModules::names([target]);
        plain(LoraConfig { targets, ..config() }, base)
    };
    let both = |base| [of("query", base), of("value", base)];
    // PEFT writes an empty name for a model that it was not given by name.
    for base in [None, Some("")] {
        let refused = combine(&both(base), &[1.0; 2], Combination::Concatenate, 1).unwrap_err();
        let one_sided = |path: &str, d_input, d_output| OneSided {
            path: path.to_owned(),
            d_input,
            d_output,
        };
        let expected = CombineError::NothingShared {
            only_first: one_sided("net.layer.0.query", 5, 7),
            only_other: one_sided("net.layer.1.value", 7, 6),
        };
        assert_eq!(refused, expected);
    }
    let [query, value] = [of("query", Some("org/one")), of("value", Some("org/other"))];
    let refused = combine(&[query, value], &[1.0; 2], Combination::Concatenate, 1).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`net.layer.0.query` (5 → 7), the other `net.layer.1.value` (7 → 6)"),
        "{refused}"
    );
    // Different targets on one base are no mistake, and a reader finds the tensors of both.
    let combined = combine(&both(Some("org/one")), &[1.0; 2], Combination::Concatenate, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    combined.write(folder.path()).unwrap();
    let adapted = AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
    assert_eq!(adapted.adapter_shapes().len(), 2);
}
