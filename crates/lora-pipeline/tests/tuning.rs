//! What each way of tuning trains, on a whole model: gradients, steps, files.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use lora_core::peft::{AdapterError, SaveOptions, TaskType, trained_tensors};
use lora_core::tensors::HostTensor;
use lora_core::tuned::{TUNED_TENSOR_FILE, TunedFolder};
use lora_core::{
    Adapted, BiasMode, BottleneckConfig, ConfigError, HeadConfig, Linears, LoraConfig, MergeError, Model,
    Pass, Placement, Rescale, TargetModules, Tuning,
};
use lora_data::{Batch, Targets};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::objective::backward;
use lora_train::{TrainConfig, Trainer};

const D_MODEL: usize = 12;
const LAYERS: usize = 2;
const SIZE: usize = 5;

fn model() -> Transformer {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/golden/training/tiny_bert_full/base");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let head = HeadOptions {
        kind: HeadKind::SequenceClassification { outputs: 3 },
        seed: 0,
    };
    Transformer::load(&checkpoint, head, &Device::flex()).unwrap().0
}

fn batch() -> Batch {
    Batch {
        batch: 3,
        seq: 4,
        input_ids: vec![3, 7, 1, 9, 2, 2, 30, 4, 11, 5, 0, 0],
        token_type_ids: vec![0; 12],
        attention_mask: vec![1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 0., 0.],
        targets: Targets::Classes(vec![0, 2, 1]),
        rows: vec![0, 1, 2],
    }
}

fn bottlenecks(placement: Placement) -> Tuning {
    let modules_to_save = vec!["classifier".to_owned()];
    let size = SIZE;
    Tuning::Bottleneck(BottleneckConfig {
        size,
        modules_to_save,
        ..BottleneckConfig::new(placement)
    })
}

fn lora(targets: &[&str], bias: BiasMode) -> Tuning {
    let config = LoraConfig::new(2, 5.0, TargetModules::names(targets.iter().copied()));
    Tuning::Lora(LoraConfig { bias, ..config }.with_modules_to_save(["classifier"]))
}

/// Every tensor of the pretrained model by its name.
fn pretrained<M: Module + Linears>(model: &M) -> BTreeMap<String, HostTensor> {
    let mut tensors = BTreeMap::new();
    model.visit_linears(&mut |linear| {
        linear.visit_base(&mut |name, param| {
            tensors.insert(name, param.to_file());
        });
    });
    model.tensor_names().visit(model, &mut |name, param| {
        tensors.insert(name.to_owned(), param.to_file());
    });
    tensors
}

fn logits(model: &Transformer) -> Vec<u32> {
    let logits = HostTensor::of(model.forward(&batch(), &Pass::Mean));
    logits.values.into_iter().map(f32::to_bits).collect()
}

/// A trainer for a few large steps. Weight decay moves what has no gradient, such as rows of tokens that do not come.
fn trainer(tuning: Tuning) -> Trainer<Transformer> {
    let (adapted, _) = Adapted::attach(model(), tuning, 3).unwrap();
    let config = TrainConfig {
        weight_decay: 0.1,
        ..TrainConfig::new(1e-2, 1.0, 3)
    };
    Trainer::new(adapted, config, 3).unwrap()
}

fn is_head(name: &str) -> bool {
    name.starts_with("classifier.")
}

fn is_bias(name: &str) -> bool {
    name.rsplit('.').next() == Some("bias")
}

type Rule = fn(&str) -> bool;

#[test]
fn gradients_reach_exactly_what_is_trained_and_every_other_tensor_keeps_its_bits() {
    let cases: [(Tuning, Rule, usize); 6] = [
        (Tuning::Full(HeadConfig::new(["classifier"])), |_| true, 0),
        (
            Tuning::BitFit(HeadConfig::new(["classifier"])),
            |name| is_head(name) || is_bias(name),
            0,
        ),
        (bottlenecks(Placement::Houlsby), is_head, 4 * 2 * LAYERS),
        (bottlenecks(Placement::Pfeiffer), is_head, 4 * LAYERS),
        (
            lora(&["query"], BiasMode::All),
            |name| is_head(name) || is_bias(name),
            2 * LAYERS,
        ),
        (
            lora(&["word_embeddings", "value"], BiasMode::None),
            is_head,
            2 + 2 * LAYERS,
        ),
    ];
    let before = pretrained(&model());
    assert!(before.contains_key("bert.embeddings.LayerNorm.bias"));
    for (tuning, is_trained, beside) in cases {
        let name = format!("{tuning:?}");
        let mut trainer = trainer(tuning);
        let expected: BTreeSet<&String> = before.keys().filter(|name| is_trained(name)).collect();
        assert_eq!(
            trained_tensors(&trainer.adapted()).len(),
            expected.len() + beside,
            "{name}"
        );

        let found = backward(&trainer.adapted().map(Module::train), &batch(), &Pass::Mean, 1.0);
        assert_eq!(found.gradients.len(), expected.len() + beside, "{name}");

        for _ in 0..3 {
            trainer.step(&[batch()]).unwrap();
        }
        let after = pretrained(&trainer.into_adapted().model);
        assert_eq!(after.len(), before.len());
        let changed: BTreeSet<&String> = before
            .keys()
            .filter(|name| before[*name] != after[*name])
            .collect();
        assert_eq!(changed, expected, "{name}");
    }
}

#[test]
fn a_new_bottleneck_changes_no_bit_of_the_output_and_has_the_size_of_its_formula() {
    for (placement, blocks) in [(Placement::Houlsby, 2), (Placement::Pfeiffer, 1)] {
        let (adapted, report) = Adapted::attach(model(), bottlenecks(placement), 3).unwrap();
        assert_eq!(logits(&adapted.model), logits(&model()));
        assert_eq!(report.adapted.len(), blocks * LAYERS);
        let one = 2 * D_MODEL * SIZE + SIZE + D_MODEL;
        assert_eq!(adapted.count().trained, blocks * LAYERS * one + 3 * (D_MODEL + 1));
    }
}

#[test]
fn a_folder_brings_back_every_bit_and_a_lie_in_it_is_refused_by_name() {
    for tuning in [
        Tuning::BitFit(HeadConfig::new(["classifier"])),
        bottlenecks(Placement::Houlsby),
        bottlenecks(Placement::Pfeiffer),
    ] {
        let mut trainer = trainer(tuning.clone());
        trainer.step(&[batch()]).unwrap();
        let adapted = trainer.into_adapted();
        let folder = tempfile::tempdir().unwrap();
        let options = SaveOptions::new(TaskType::SeqCls).with_base_model("base");
        adapted.save(folder.path(), &options).unwrap();
        let read = TunedFolder::read(folder.path()).unwrap();
        assert_eq!(
            (&read.tuning, read.base_model.as_deref()),
            (&tuning, Some("base"))
        );
        let again = read.attach_to(model()).unwrap();
        assert_eq!(logits(&again.model), logits(&adapted.model));

        let mut tensors = trained_tensors(&adapted);
        let lost = tensors.pop_first().unwrap().0;
        lora_core::peft::write_tensors(&folder.path().join(TUNED_TENSOR_FILE), tensors).unwrap();
        let error = TunedFolder::read(folder.path())
            .unwrap()
            .attach_to(model())
            .unwrap_err();
        assert!(
            matches!(&error, AdapterError::MissingTensor { name, .. } if *name == lost),
            "{error}"
        );
    }
}

#[test]
fn what_no_weight_can_stand_for_is_not_merged() {
    let (adapted, _) = Adapted::attach(model(), bottlenecks(Placement::Pfeiffer), 3).unwrap();
    assert!(matches!(adapted.merge(), Err(MergeError::Bottleneck { .. })));
    // The masked language model's decoder is the table of token embeddings.
    let tuning = LoraConfig::new(2, 5.0, TargetModules::names(["word_embeddings"]));
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/golden/training/tiny_bert_full/base");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let kind = HeadKind::MaskedLm;
    let (model, _) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &Device::flex()).unwrap();
    let (adapted, _) = Adapted::attach(model, tuning, 3).unwrap();
    assert!(
        matches!(adapted.merge(), Err(MergeError::Shared { path }) if path == "bert.embeddings.word_embeddings")
    );
}

#[test]
fn all_linear_adapts_no_table() {
    let config = LoraConfig::new(2, 5.0, TargetModules::all_linear());
    let (_, report) = Adapted::attach(model(), config, 3).unwrap();
    assert!(report.adapted.iter().all(|path| !path.contains("_embeddings")));
    let targets = LoraConfig::new(2, 5.0, TargetModules::names(["no_such"]));
    assert!(matches!(
        Adapted::attach(model(), targets, 3),
        Err(ConfigError::NoTarget { .. })
    ));
}

/// A trainer of LoRA with dropout on the upper layer, for many small steps.
fn upper_layer_trainer() -> Trainer<Transformer> {
    let mut config = LoraConfig::new(
        2,
        5.0,
        TargetModules::names(["query", "value", "intermediate.dense"]),
    );
    config.targets.layers = Some(vec![1]);
    let config = config
        .with_modules_to_save(["classifier"])
        .with_dropout(0.3, Rescale::Rescaled);
    let (adapted, _) = Adapted::attach(model(), config, 3).unwrap();
    Trainer::new(adapted, TrainConfig::new(1e-2, 3.0, 1), 9).unwrap()
}

#[test]
fn epochs_that_begin_above_the_frozen_layers_train_as_if_they_went_through_them() {
    let lengths = [4, 4, 2];
    let (mut whole, mut above) = (
        upper_layer_trainer(),
        upper_layer_trainer().with_rows_of(&lengths),
    );
    let (mut losses, mut expected) = (Vec::new(), Vec::new());
    for epoch in 0..3 {
        // Rows in another order, and in two batches, of which one needs no padding.
        for rows in [[0, 1], [2, 0], [1, 2]] {
            let [first, second] = rows.map(|row| batch().slice(row..row + 1));
            let batch = Batch {
                batch: 2,
                input_ids: [first.input_ids, second.input_ids].concat(),
                attention_mask: [first.attention_mask, second.attention_mask].concat(),
                token_type_ids: vec![0; 8],
                targets: Targets::Classes(rows.map(|row| [0, 2, 1][row]).to_vec()),
                rows: rows.to_vec(),
                seq: 4,
            };
            expected.push(whole.step(std::slice::from_ref(&batch)).unwrap().loss);
            losses.push(above.step(&[batch]).unwrap().loss);
            let known = above.states().unwrap().known();
            assert_eq!(known, if epoch == 0 && rows == [0, 1] { 2 } else { 3 });
        }
    }
    for (loss, expected) in losses.iter().zip(&expected) {
        assert!(
            (loss - expected).abs() < 1e-5,
            "{losses:?}, expected {expected:?}"
        );
    }
    assert!(expected[8] < 0.97 * expected[2], "the same rows: {expected:?}");
    let head = |trainer: Trainer<_>| {
        pretrained(&trainer.into_adapted().model)["classifier.weight"]
            .values
            .clone()
    };
    let (found, expected) = (head(above), head(whole));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4, "{found}, expected {expected}");
    }
}
