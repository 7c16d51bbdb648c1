//! Rows of a batch under masks of their own compute what each computes alone: also where a family reads something once for
//! all rows, as DeBERTa reads its table of relative positions.

use std::path::Path;

use burn::tensor::Tensor;
use lora_core::adapter::Adapter;
use lora_core::peft::AdapterFolder;
use lora_core::tensors::TensorFile;
use lora_core::{
    Adapted, Linears, LoraConfig, LoraDropout, MaskSampler, Model, Pass, Rescale, TargetModules,
};
use lora_data::{Batch, Targets};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

use crate::device;

const CASES: [&str; 4] = [
    "adapters/electra_seqcls_lora",
    "adapters/distilbert_seqcls_lora",
    "adapters/debertav2_seqcls_lora",
    "lora_dropout/debertav3_seqcls",
];

fn open(case: &str) -> (Adapted<Transformer>, Batch) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case);
    let checkpoint = Checkpoint::open(&folder.join("base")).unwrap();
    let kind = HeadKind::SequenceClassification {
        outputs: checkpoint.outputs(),
    };
    let (model, _) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &device()).unwrap();
    let adapter = AdapterFolder::read(&folder.join("adapter")).unwrap();
    let case = TensorFile::open(&folder.join("io.safetensors")).unwrap();
    let (shape, ids) = case.read_integers("input_ids").unwrap().unwrap();
    let (_, mask) = case.read_integers("attention_mask").unwrap().unwrap();
    let batch = Batch {
        batch: shape[0],
        seq: shape[1],
        token_type_ids: vec![0; ids.len()],
        input_ids: ids.into_iter().map(|id| id as i32).collect(),
        attention_mask: mask.into_iter().map(|keep| keep as f32).collect(),
        targets: Targets::None,
        rows: vec![40, 7, 12],
    };
    (adapter.attach_to(model).unwrap(), batch)
}

fn sampler(input_dropout: f64) -> MaskSampler {
    MaskSampler {
        seed: 5,
        dropout: Some(LoraDropout::new(0.4, Rescale::Plain)),
        input_dropout,
    }
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

#[test]
fn a_row_under_the_masks_of_its_group_computes_what_it_computes_alone() {
    for case in CASES {
        let (adapted, batch) = open(case);
        let shapes = adapted.adapter_shapes();
        for input_dropout in [0.0, 0.3] {
            let sampler = sampler(input_dropout);
            for groups in [1, 2, 3] {
                let masks = sampler.members(0..groups as u64, &shapes, &device());
                let masks = masks.for_rows(&batch.rows);
                let together = numbers(adapted.model.forward(&batch, &Pass::Stochastic(&masks)));
                let outputs = together.len() / batch.batch;
                for row in 0..batch.batch {
                    let member = (row * groups / batch.batch) as u64;
                    let masks = sampler.members(member..member + 1, &shapes, &device());
                    let masks = masks.for_rows(&batch.rows[row..=row]);
                    let alone = numbers(
                        adapted
                            .model
                            .forward(&batch.slice(row..row + 1), &Pass::Stochastic(&masks)),
                    );
                    for (a, b) in together[row * outputs..].iter().zip(&alone) {
                        assert!(
                            (a - b).abs() < 1e-5,
                            "{case}, {groups} groups, row {row}: {a} and {b}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn members_differ() {
    for case in CASES {
        let (adapted, batch) = open(case);
        let [one, other] = [0, 1].map(|member| {
            let masks = sampler(0.0).members(member..member + 1, &adapted.adapter_shapes(), &device());
            numbers(adapted.model.forward(&batch, &Pass::Stochastic(&masks)))
        });
        assert_ne!(one, other, "{case}");
    }
}

#[test]
fn masks_reach_every_linear_of_deberta() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models/debertav2_seqcls/base");
    let checkpoint = Checkpoint::open(&base).unwrap();
    let (_, batch) = open("adapters/debertav2_seqcls_lora");
    let load = || {
        let kind = HeadKind::SequenceClassification { outputs: 3 };
        Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &device())
            .unwrap()
            .0
    };
    let mut last_parts = Vec::new();
    load().visit_linears(&mut |linear| {
        let last = linear.path().rsplit('.').next().unwrap_or_default().to_owned();
        if !last_parts.contains(&last) {
            last_parts.push(last);
        }
    });
    assert!(last_parts.contains(&"embed_proj".to_owned()), "{last_parts:?}");
    for name in last_parts {
        let config = LoraConfig::new(2, 5.0, TargetModules::names([&name])).with_dropout(0.4, Rescale::Plain);
        let (mut adapted, _) = Adapted::attach(load(), config, 1).unwrap();
        adapted.model.visit_linears_mut(&mut |linear| {
            if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
                // A linear's B starts at zero, a table's A.
                factors.a = factors.a.clone().map(|a| a + 0.3);
                factors.b = factors.b.clone().map(|b| b + 0.5);
            }
        });
        let masks = sampler(0.0).members(0..1, &adapted.adapter_shapes(), &device());
        let masked = numbers(adapted.model.forward(&batch, &Pass::Stochastic(&masks)));
        assert_ne!(
            masked,
            numbers(adapted.model.forward(&batch, &Pass::Mean)),
            "{name}"
        );
    }
}

#[test]
fn leaving_out_tokens_that_the_head_does_not_read_changes_no_logits() {
    for case in CASES {
        let (adapted, batch) = open(case);
        for input_dropout in [0.0, 0.3] {
            let masks = sampler(input_dropout).members(0..3, &adapted.adapter_shapes(), &device());
            let masks = masks.for_rows(&batch.rows);
            for pass in [Pass::Mean, Pass::Stochastic(&masks)] {
                let read = numbers(adapted.model.forward(&batch, &pass));
                let all = numbers(adapted.model.observed_forward(&batch, &pass, &mut |_| {}));
                for (a, b) in read.iter().zip(&all) {
                    assert!((a - b).abs() < 1e-6, "{case}: {a} and {b}");
                }
            }
        }
    }
}

#[test]
fn members_computed_together_have_the_bits_of_each_computed_alone() {
    for case in CASES {
        let (mut adapted, batch) = open(case);
        let shapes = adapted.adapter_shapes();
        // Adapters in all layers, then in the upper ones alone.
        for lowest in [0, 1] {
            adapted.model.visit_linears_mut(&mut |linear| {
                if linear.path().contains("layer.0.") && lowest > 0 {
                    linear.adapter = None;
                }
            });
            for input_dropout in [0.0, 0.3] {
                let masks: Vec<_> = (0..3)
                    .map(|member| sampler(input_dropout).members(member..member + 1, &shapes, &device()))
                    .map(|masks| masks.for_rows(&batch.rows))
                    .collect();
                let passes: Vec<Pass> = masks.iter().map(Pass::Stochastic).chain([Pass::Mean]).collect();
                let together = adapted.model.forward_passes(&batch, None, &passes, None);
                let rows = adapted.model.forward_passes(&batch, Some(&[2, 0]), &passes, None);
                assert_eq!((together.len(), rows.len()), (4, 4));
                for ((together, rows), pass) in together.into_iter().zip(rows).zip(&passes) {
                    let alone = adapted.model.forward(&batch, pass);
                    let mut rows_alone = adapted
                        .model
                        .forward_passes(&batch, Some(&[2, 0]), &[*pass], None);
                    assert_eq!(numbers(rows), numbers(rows_alone.remove(0)), "{case}, rows");
                    assert_eq!(
                        numbers(together),
                        numbers(alone),
                        "{case}, from layer {lowest} on, input dropout {input_dropout}"
                    );
                }
            }
        }
    }
}
