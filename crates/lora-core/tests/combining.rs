//! Adapters that cannot be combined are refused before anything is computed.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use lora_core::combine::{Combination, CombineError, Rule, combine};
use lora_core::peft::{AdapterFolder, PlainLora, TaskType};
use lora_core::{Adapted, BiasMode, LoraConfig};
use support::{Tiny, config, fill_b};

fn plain(config: LoraConfig, base_model: Option<&str>) -> PlainLora {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
    fill_b(&mut adapted.model);
    let folder = tempfile::tempdir().unwrap();
    AdapterFolder::write(folder.path(), &adapted, TaskType::SeqCls, base_model, None).unwrap();
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
    };
    assert_eq!(refused, expected);
    // One that names none goes with any, and the result names the other's.
    let combined = combine(&adapters[..2], &[1.0; 2], Combination::Concatenate, 1).unwrap();
    assert_eq!(combined.base_model.as_deref(), Some("org/one"));
}
