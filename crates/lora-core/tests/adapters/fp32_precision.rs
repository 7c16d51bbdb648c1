//! Frozen weights that are held for another precision of products, as Flex can: other backends hold no weight in 16 bits beside
//! activations in f32.

use crate::support::{assert_close, device, is_on_flex, normal, numbers};
use burn::tensor::{DType, FloatDType, Tensor};
use lora_core::adapter::Adapter;
use lora_core::linear::BaseTraining;
use lora_core::{Fp32Precision, Init, LoraConfig, LoraEmbedding, LoraLinear, Pass, TargetModules};

const PRECISIONS: [Fp32Precision; 3] = [Fp32Precision::Ieee, Fp32Precision::Bf16x3, Fp32Precision::Bf16];

/// 45 → 38, and what its numbers are to the nearest bf16 number.
fn linear() -> LoraLinear {
    let [weight, bias] = [normal("w", [45, 38]), normal("bias", [1, 38])];
    LoraLinear::new("layer.query", weight, Some(bias.reshape([38])))
}

#[test]
fn only_bf16_holds_the_weight_in_bf16_and_what_is_trained_is_f32_again() {
    if !is_on_flex() {
        return;
    }
    for precision in PRECISIONS {
        let mut held = linear().in_precision(precision);
        let is_bf16 = precision == Fp32Precision::Bf16;
        let expected = if is_bf16 { DType::BF16 } else { DType::F32 };
        assert_eq!(held.base.weight.val().dtype(), expected);
        held.train_base(BaseTraining::Full);
        assert_eq!(held.base.weight.val().dtype(), DType::F32);
        assert_eq!(held.precision(), Fp32Precision::Ieee);
    }
}

/// The steps of bf16 are 2⁻⁸ of a number; sums of 45 products of numbers near 1 are near 7.
#[test]
fn adapted_outputs_are_near_those_of_f32() {
    if !is_on_flex() {
        return;
    }
    for (precision, part) in [(Fp32Precision::Bf16x3, 1e-4), (Fp32Precision::Bf16, 0.15)] {
        for use_dora in [false, true] {
            let config = LoraConfig {
                form: if use_dora {
                    lora_core::Form::WeightDecomposed
                } else {
                    lora_core::Form::LowRank
                },
                ..LoraConfig::new(3, 8.0, TargetModules::names(["query"]))
            };
            let [mut ieee, mut held] = [linear(), linear().in_precision(precision)];
            ieee.attach(&config, 7).unwrap();
            held.attach(&config, 7).unwrap();
            let x = normal("x", [9, 45]);
            let [expected, found] =
                [ieee, held].map(|linear| numbers(linear.forward(x.clone(), &Pass::Mean)));
            assert_close(&found, &expected, part);
        }
    }
}

/// What an initialization takes from the weight is in the adapter, and what is left is held in bf16: together they are near it.
#[test]
fn the_parts_of_a_weight_and_a_merged_one_are_near_the_weight() {
    if !is_on_flex() {
        return;
    }
    let config = LoraConfig {
        init: Init::Pissa,
        ..LoraConfig::new(3, 3.0, TargetModules::names(["query"]))
    };
    let mut held = linear().in_precision(Fp32Precision::Bf16);
    held.attach(&config, 7).unwrap();
    assert!(matches!(held.adapter, Some(Adapter::LowRank(_))));
    assert_eq!(held.base.weight.val().dtype(), DType::BF16);
    held.merge();
    let merged = held.base.weight.val();
    assert_eq!(merged.dtype(), DType::F32);
    assert_close(&numbers(merged), &numbers(linear().base.weight.val()), 0.05);
}

#[test]
fn rows_of_a_bf16_table_are_its_numbers_in_f32() {
    if !is_on_flex() {
        return;
    }
    let weight = normal("table", [11, 6]);
    let rounded = numbers(weight.clone().cast(FloatDType::BF16).cast(FloatDType::F32));
    let table = LoraEmbedding::new("words", weight).in_precision(Fp32Precision::Bf16);
    let ids = Tensor::from_ints([[10, 0, 3]], &device());
    let found = numbers(table.forward(ids, &Pass::Mean));
    let expected = [10, 0, 3].map(|row| &rounded[row * 6..][..6]).concat();
    assert_eq!(found, expected);
}
