//! What each way of tuning trains, on a whole model: gradients, steps, files.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use lora_core::peft::{AdapterError, TaskType, trained_tensors};
use lora_core::{
    Adapted, BiasMode, BottleneckConfig, ConfigError, HeadConfig, HostTensor, Linears, LoraConfig,
    MergeError, Model, Pass, Placement, TUNED_TENSOR_FILE, Targets, TunedFolder, Tuning,
};
use lora_data::{Batch, Targets as Labels};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::{TrainConfig, Trainer, backward};

const D_MODEL: usize = 12;
const LAYERS: usize = 2;
const SIZE: usize = 5;

fn model() -> Transformer {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/golden/training/tiny_bert_full/base");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let head = HeadOptions {
        kind: HeadKind::Sequence { outputs: 3 },
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
        targets: Labels::Classes(vec![0, 2, 1]),
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
    let config = LoraConfig::new(2, 5.0, Targets::names(targets.iter().copied()));
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
        TunedFolder::write(folder.path(), &adapted, TaskType::SeqCls, Some("base")).unwrap();
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
    let tuning = lora(&["word_embeddings"], BiasMode::None);
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
    let config = LoraConfig::new(2, 5.0, Targets::all_linear());
    let (_, report) = Adapted::attach(model(), config, 3).unwrap();
    assert!(report.adapted.iter().all(|path| !path.contains("_embeddings")));
    let targets = LoraConfig::new(2, 5.0, Targets::names(["no_such"]));
    assert!(matches!(
        Adapted::attach(model(), targets, 3),
        Err(ConfigError::NoTarget { .. })
    ));
}
