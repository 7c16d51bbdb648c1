//! Adapter folders: out and in again without a bit lost, and every lie refused by name.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::support::{Tiny, assert_close, config, fill_b, normal, numbers};
use lora_core::ensemble::{Average, EnsembleSettings};
use lora_core::peft::{AdapterError, AdapterFolder, SaveOptions, TaskType, trained_tensors, write_tensors};
use lora_core::{Adapted, BiasMode, LoraConfig, LoraDropout, MaskAxes, Pass, Rescale, Scaling};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

const ENSEMBLE: EnsembleSettings = EnsembleSettings {
    members: 8,
    seed: 3,
    average: Average::Logits,
};

fn written(config: LoraConfig) -> (TempDir, Adapted<Tiny>) {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
    fill_b(&mut adapted.model);
    let folder = TempDir::new().unwrap();
    let options = SaveOptions::new(TaskType::SeqCls)
        .with_base_model("org/base")
        .with_ensemble(ENSEMBLE);
    adapted.save(folder.path(), &options).unwrap();
    (folder, adapted)
}

fn rows_alone() -> LoraConfig {
    LoraConfig {
        dropout: Some(LoraDropout::new(0.25, Rescale::Plain).on(MaskAxes::Rows)),
        ..config()
    }
}

#[test]
fn other_axes_than_the_papers_are_written_in_a_layout_that_older_readers_refuse() {
    let side = |config| json(written(config).0.path(), "lora_dropout.json");
    let papers = side(config().with_dropout(0.25, Rescale::Plain));
    assert_eq!((&papers["format"], papers.get("axes")), (&json!(1), None));
    let rows = side(rows_alone());
    assert_eq!((&rows["format"], &rows["axes"]), (&json!(2), &json!("rows")));
    // Alpha is 5; one mask leaves three quarters of the update on average.
    let (folder, _) = written(rows_alone());
    assert_eq!(json(folder.path(), "adapter_config.json")["lora_alpha"], 3.75);
}

fn json(folder: &Path, file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
}

#[test]
fn a_folder_comes_back_with_the_same_bits() {
    let patterns = LoraConfig {
        scaling: Scaling::RankStabilized,
        bias: BiasMode::LoraOnly,
        rank_pattern: vec![("query".into(), 3)],
        alpha_pattern: vec![("value".into(), 9.5)],
        ..config()
    };
    for config in [
        config(),
        patterns,
        config().with_dropout(0.3, Rescale::Plain),
        config().with_dropout(0.5, Rescale::Rescaled),
        rows_alone(),
    ] {
        let (folder, adapted) = written(config);
        let read = AdapterFolder::read(folder.path()).unwrap();
        assert_eq!(read.base_model.as_deref(), Some("org/base"));
        assert_eq!(read.task_type, Some(TaskType::SeqCls));
        assert_eq!(read.shape("classifier.weight"), Some(&[3, 6][..]));
        let again = read.attach_to(Tiny::new()).unwrap();
        assert_eq!(again.dropout(), adapted.dropout());
        assert_eq!(trained_tensors(&again), trained_tensors(&adapted));
        let x = normal("x", [4, 5]);
        assert_eq!(
            numbers(again.model.forward(x.clone(), &Pass::Mean)),
            numbers(adapted.model.forward(x, &Pass::Mean))
        );

        let second = TempDir::new().unwrap();
        let options = SaveOptions {
            ensemble: read.ensemble,
            ..SaveOptions::new(TaskType::SeqCls).with_base_model("org/base")
        };
        again.save(second.path(), &options).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            assert_eq!(
                fs::read(folder.path().join(file)).unwrap(),
                fs::read(second.path().join(file)).unwrap(),
                "{file}"
            );
        }
    }
}

#[test]
fn names_and_orientation_are_those_of_peft() {
    let (folder, _) = written(config());
    let bytes = fs::read(folder.path().join("adapter_model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shapes: HashMap<_, _> = tensors
        .iter()
        .map(|(name, view)| (name.to_owned(), view.shape().to_vec()))
        .collect();
    let expected = [
        ("base_model.model.net.layer.0.query.lora_A.weight", vec![2, 5]),
        ("base_model.model.net.layer.0.query.lora_B.weight", vec![7, 2]),
        ("base_model.model.net.layer.1.value.lora_A.weight", vec![2, 7]),
        ("base_model.model.net.layer.1.value.lora_B.weight", vec![6, 2]),
        ("base_model.model.classifier.weight", vec![3, 6]),
        ("base_model.model.classifier.bias", vec![3]),
    ];
    assert_eq!(
        shapes,
        expected.map(|(name, shape)| (name.to_owned(), shape)).into()
    );
}

#[test]
fn other_readers_get_the_expected_update() {
    let (folder, adapted) = written(config().with_dropout(0.2, Rescale::Plain));
    let alpha = json(folder.path(), "adapter_config.json")["lora_alpha"]
        .as_f64()
        .unwrap();
    assert!((alpha - 5.0 * 0.8 * 0.8).abs() < 1e-12);
    // A reader that does not know the side file computes the mean pass.
    fs::remove_file(folder.path().join("lora_dropout.json")).unwrap();
    let plain = AdapterFolder::read(folder.path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
    assert_eq!(plain.dropout(), None);
    let x = normal("x", [4, 5]);
    let theirs = numbers(plain.model.forward(x.clone(), &Pass::Mean));
    assert_close(&theirs, &numbers(adapted.model.forward(x, &Pass::Mean)), 1e-6);
}

#[test]
fn a_side_file_of_another_adapter_or_layout_is_refused() {
    let patterns = LoraConfig {
        alpha_pattern: vec![("value".into(), 9.5)],
        ..config().with_dropout(0.5, Rescale::Plain)
    };
    let (folder, _) = written(patterns);
    let with = |key: &str, value: Value| {
        let mut side = json(folder.path(), "lora_dropout.json");
        side[key] = value;
        let other = TempDir::new().unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(folder.path().join(file), other.path().join(file)).unwrap();
        }
        fs::write(other.path().join("lora_dropout.json"), side.to_string()).unwrap();
        refused(other.path())
    };
    let sentence = with("format", json!(3));
    assert!(
        sentence.contains("lora_dropout.json: format is 3; supported: 1, 2"),
        "{sentence}"
    );
    for patterns in [json!([]), json!([["value", 4.0]]), json!([["query", 9.5]])] {
        let sentence = with("alpha_pattern", patterns);
        assert!(sentence.contains("different adapters"), "{sentence}");
    }
}

#[test]
fn a_folder_without_task_is_written_back_without_one() {
    let (folder, adapted) = written(config());
    adapted.save(folder.path(), &SaveOptions::default()).unwrap();
    assert_eq!(
        json(folder.path(), "adapter_config.json")["task_type"],
        Value::Null
    );
    assert_eq!(AdapterFolder::read(folder.path()).unwrap().task_type, None);
}

#[test]
fn a_value_that_is_not_finite_is_neither_read_nor_written() {
    let (folder, adapted) = written(config());
    let path = folder.path().join("adapter_model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let mut tensors = trained_tensors(&adapted);
    let last = tensors.keys().next_back().unwrap().clone();
    *tensors.get_mut(&last).unwrap().values.last_mut().unwrap() = f32::NAN;
    let refusal = write_tensors(&path, tensors).unwrap_err().to_string();
    assert!(
        refusal.contains(last.as_str()) && refusal.contains("NaN"),
        "{refusal}"
    );
    assert!(!refusal.contains("space left"), "{refusal}");
    assert_eq!(fs::read(&path).unwrap(), bytes);

    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let named = format!("tensor `base_model.model.{last}` holds -inf");
    for refusal in [
        refused(folder.path()),
        AdapterFolder::read(folder.path())
            .unwrap()
            .tensors_by_name()
            .unwrap_err()
            .to_string(),
    ] {
        assert!(refusal.contains(&named), "{refusal}");
    }
}

/// Reads the folder onto the model and gives the sentence of the error.
fn refused(folder: &Path) -> String {
    let error = AdapterFolder::read(folder)
        .and_then(|read| read.attach_to(Tiny::new()).map(|_| ()))
        .unwrap_err();
    error.to_string()
}

fn with_config(change: impl Fn(&mut Value)) -> String {
    let (folder, _) = written(config().with_dropout(0.5, Rescale::Plain));
    let mut settings = json(folder.path(), "adapter_config.json");
    change(&mut settings);
    fs::write(folder.path().join("adapter_config.json"), settings.to_string()).unwrap();
    refused(folder.path())
}

type Tensors = Vec<(String, Vec<usize>)>;

fn with_tensors(change: impl Fn(&mut Tensors)) -> String {
    let (folder, _) = written(config());
    let path = folder.path().join("adapter_model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let mut tensors: Tensors = safetensors::SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| (name.to_owned(), view.shape().to_vec()))
        .collect();
    change(&mut tensors);
    let zeros = vec![0_u8; 4 * 1000];
    let views = tensors.iter().map(|(name, shape)| {
        (
            name,
            TensorView::new(
                Dtype::F32,
                shape.clone(),
                &zeros[..4 * shape.iter().product::<usize>()],
            )
            .unwrap(),
        )
    });
    fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    refused(folder.path())
}

#[test]
fn every_lie_is_refused_by_name() {
    let cases = [
        (with_config(|c| c["peft_type"] = json!("IA3")), "peft_type is IA3"),
        (
            // As PEFT writes it: without what only LoRA has.
            with_config(|c| *c = json!({"peft_type": "VERA", "r": 8, "target_modules": ["query"]})),
            "peft_type is VERA; supported: LORA, ADALORA",
        ),
        (
            with_config(|c| c["use_qalora"] = json!(true)),
            "use_qalora is true",
        ),
        (
            with_config(|c| c["use_dora"] = json!(true)),
            "lacks the tensor `base_model.model.net.layer.0.query.lora_magnitude_vector`",
        ),
        (with_config(|c| c["r"] = json!(0)), "rank is 0 in r"),
        (
            with_config(|c| c["r"] = json!("eight")),
            "adapter_config.json cannot be used: invalid type",
        ),
        (
            with_config(|c| c["target_modules"] = json!(["nothing"])),
            "matches none of the 3 linears",
        ),
        (
            with_config(|c| c["target_modules"] = Value::Null),
            "target_modules is null",
        ),
        (with_config(|c| c["bias"] = json!("some")), "bias is some"),
        (
            with_config(|c| c["bias"] = json!("all")),
            "lacks the tensor `base_model.model.net.layer.0.query.base_layer.bias`",
        ),
        (
            with_config(|c| c["init_lora_weights"] = json!("pissa_niter_many")),
            "init_lora_weights is pissa_niter_many",
        ),
        (
            with_config(|c| c["lora_alpha"] = json!(5)),
            "lora_dropout.json says that training used alpha 5",
        ),
        (
            with_tensors(|t| t.retain(|(name, _)| !name.ends_with("value.lora_B.weight"))),
            "lacks the tensor `base_model.model.net.layer.1.value.lora_B.weight`",
        ),
        (
            with_tensors(|t| t.push(("base_model.model.net.layer.0.query.weight".into(), vec![7, 5]))),
            "net.layer.0.query.weight`; only what was trained",
        ),
        (
            with_tensors(|t| t.push(("classifier.weight".into(), vec![3, 6]))),
            "holds the tensor `classifier.weight` under two names",
        ),
        (with_tensors(|t| t[0].1 = vec![1, 3]), "has shape [1, 3]"),
    ];
    for (sentence, part) in cases {
        assert!(sentence.contains(part), "{sentence:?} should contain {part:?}");
    }
}

#[test]
fn a_cut_or_absurd_tensor_file_is_refused() {
    let (folder, _) = written(config());
    let path = folder.path().join("adapter_model.safetensors");
    let whole = fs::read(&path).unwrap();
    let mut absurd = whole.clone();
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    for bytes in [&whole[..whole.len() - 1], &whole[..4], &[][..], &absurd] {
        fs::write(&path, bytes).unwrap();
        assert!(refused(folder.path()).contains("adapter_model.safetensors is not a valid safetensors file"));
    }
}

#[test]
fn a_missing_file_is_named() {
    let (folder, _) = written(config());
    fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    assert!(
        matches!(AdapterFolder::read(folder.path()), Err(AdapterError::Read { path, .. }) if path.ends_with("adapter_config.json"))
    );
}
