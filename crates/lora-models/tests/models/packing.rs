//! Encoders compute nothing for padding: what real tokens give is what they give beside it, bit by bit.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::adapter::Adapter;
use lora_core::tensors::HostTensor;
use lora_core::{
    Adapted, Linears, LoraConfig, LoraDropout, MaskSampler, Model, Pass, PassNoise, Rescale, TargetModules,
};
use lora_data::{Batch, Encoded, Padding, Targets};
use lora_models::blocks::VisitLinears as _;
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

use crate::{device, is_on_flex};

/// One case of each family that packs.
const FAMILIES: [&str; 7] = [
    "bert_relu_seqcls",
    "xlmr_seqcls",
    "electra_seqcls",
    "distilbert_seqcls",
    "llama_yarn",
    "qwen2_yarn",
    "gpt2_causal",
];
const SEQUENCE: HeadKind = HeadKind::SequenceClassification { outputs: 3 };

/// The heads that a family can have.
fn heads(family: &str) -> Vec<HeadKind> {
    match family {
        "llama_yarn" | "qwen2_yarn" | "gpt2_causal" => vec![SEQUENCE, HeadKind::CausalLm],
        _ => vec![
            SEQUENCE,
            HeadKind::TokenClassification { outputs: 4 },
            HeadKind::MaskedLm,
        ],
    }
}
const LENGTHS: [usize; 5] = [3, 9, 1, 6, 8];

/// The family's tiny model with another head.
fn model(family: &str, kind: HeadKind) -> Transformer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/models")
        .join(family)
        .join("base");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let (model, _) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &device()).unwrap();
    model
}

/// LoRA everywhere below the head, with factors that do something.
fn adapted(family: &str, kind: HeadKind) -> Adapted<Transformer> {
    let model = model(family, kind);
    let mut names = Vec::new();
    model.backbone.visit_linears(&mut |linear| {
        let name = linear.path().rsplit('.').next().unwrap_or_default().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    });
    let config = LoraConfig::new(2, 5.0, TargetModules::names(&names)).with_dropout(0.4, Rescale::Plain);
    let (mut adapted, _) = Adapted::attach(model, config, 1).unwrap();
    adapted.model.visit_linears_mut(&mut |linear| {
        if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
            // A linear's B starts at zero, a table's A.
            factors.a = factors.a.clone().map(|a| a + 0.1);
            factors.b = factors.b.clone().map(|b| b + 0.2);
        }
    });
    adapted
}

fn row(length: usize, seed: usize) -> Encoded {
    Encoded {
        input_ids: (0..length)
            .map(|place| (5 + (place * 7 + seed * 11) % 20) as u32)
            .collect(),
        token_type_ids: vec![0; length],
    }
}

fn batch(rows: std::ops::Range<usize>) -> Batch {
    let encoded: Vec<Encoded> = rows.clone().map(|at| row(LENGTHS[at], at)).collect();
    let encoded: Vec<&Encoded> = encoded.iter().collect();
    Batch::from_encoded(&encoded, Padding::with(1)).with_rows(rows.collect())
}

fn masks(adapted: &Adapted<Transformer>, groups: usize, input_dropout: f64) -> PassNoise {
    let sampler = MaskSampler {
        seed: 5,
        dropout: Some(LoraDropout::new(0.4, Rescale::Plain)),
        input_dropout,
    };
    sampler.members(0..groups as u64, &adapted.adapter_shapes(), &device())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

/// Rows of `[batch · seq, outputs]` at real tokens, or all of `[batch, outputs]`.
fn real(batch: &Batch, outputs: Tensor<2>) -> Vec<f32> {
    let [rows, width] = outputs.dims();
    let outputs = numbers(outputs);
    if rows == batch.batch {
        return outputs;
    }
    let is_real = |(place, _): &(usize, &[f32])| batch.attention_mask[*place] == 1.0;
    let places = outputs.chunks(width).enumerate().filter(is_real);
    places.flat_map(|(_, outputs)| outputs.to_vec()).collect()
}

/// To the bit where padding is left out; other backends compute few rows in another order than many.
fn assert_same(found: &[f32], expected: &[f32], what: &str) {
    if is_on_flex() {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{what}: {found} and {expected}");
    }
}

#[test]
fn outputs_of_real_tokens_have_the_bits_that_they_have_beside_padding() {
    for family in FAMILIES {
        for kind in heads(family) {
            let adapted = adapted(family, kind);
            let batch = batch(0..5);
            for groups in [0, 1, 2, 5] {
                for input_dropout in [0.0, 0.3] {
                    let masks =
                        (groups > 0).then(|| masks(&adapted, groups, input_dropout).for_rows(&batch.rows));
                    let pass = masks.as_ref().map_or(Pass::Mean, Pass::Stochastic);
                    let packed = adapted.model.forward(&batch, &pass);
                    let padded = adapted.model.observed_forward(&batch, &pass, &mut |_| {});
                    let [packed, padded] = [packed, padded].map(|outputs| real(&batch, outputs));
                    let what = format!("{family}, {kind:?}, {groups} groups, {input_dropout}");
                    assert_same(&packed, &padded, &what);
                }
            }
        }
    }
}

/// Each row in a group of its own, so that the same masks can be drawn for it alone.
#[test]
fn a_row_has_the_same_bits_alone_and_in_any_batch() {
    for family in FAMILIES {
        let adapted = adapted(family, SEQUENCE);
        let together = batch(0..5);
        let all = masks(&adapted, 5, 0.0);
        let expected = numbers(adapted.model.forward(&together, &Pass::Stochastic(&all)));
        for at in 0..5 {
            let sampler = MaskSampler {
                seed: 5,
                dropout: Some(LoraDropout::new(0.4, Rescale::Plain)),
                input_dropout: 0.0,
            };
            let own = sampler.members(at as u64..at as u64 + 1, &adapted.adapter_shapes(), &device());
            let alone = numbers(adapted.model.forward(&batch(at..at + 1), &Pass::Stochastic(&own)));
            let expected = &expected[at * 3..][..3];
            assert_same(&alone, expected, &format!("{family}, row {at}"));
        }
    }
}

#[test]
fn gradients_of_a_loss_over_real_tokens_are_those_beside_padding() {
    for family in FAMILIES {
        for kind in heads(family) {
            let adapted = adapted(family, kind).map(Module::train);
            let batch = batch(0..5).with_targets(Targets::None);
            let masks = masks(&adapted, 5, 0.0);
            let gradients = |outputs: Tensor<2>| {
                let [rows, width] = outputs.dims();
                let weights: Vec<f32> = (0..rows * width)
                    .map(|at| {
                        let is_real = rows == batch.batch || batch.attention_mask[at / width] == 1.0;
                        if is_real { (at as f32).sin() } else { 0.0 }
                    })
                    .collect();
                let weights = Tensor::<1>::from_floats(weights.as_slice(), &outputs.device());
                let loss = (outputs * weights.reshape([rows, width])).sum();
                let gradients = loss.backward();
                let mut found = Vec::new();
                adapted.model.backbone.visit_linears(&mut |linear| {
                    if let Some(Adapter::LowRank(factors)) = &linear.adapter {
                        for factor in [&factors.a, &factors.b] {
                            let gradient = factor.val().grad(&gradients).unwrap();
                            found.push((linear.path().to_owned(), HostTensor::of(gradient).values));
                        }
                    }
                });
                found
            };
            let packed = gradients(adapted.model.forward(&batch, &Pass::Stochastic(&masks)));
            let padded = gradients(adapted.model.observed_forward(
                &batch,
                &Pass::Stochastic(&masks),
                &mut |_| {},
            ));
            assert!(packed.len() >= 20);
            for ((path, packed), (_, padded)) in packed.iter().zip(&padded) {
                let largest = padded.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
                for (packed, padded) in packed.iter().zip(padded) {
                    let difference = (packed - padded).abs();
                    assert!(
                        difference <= 2e-5 * largest,
                        "{family} {path}: {packed} and {padded}"
                    );
                }
            }
        }
    }
}
