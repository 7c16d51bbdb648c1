//! AdaLoRA as plain LoRA where a linear, or all of them, lost all triplets.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use crate::support::{Tiny, assert_close, config, normal, numbers};
use lora_core::peft::{AdapterError, AdapterFolder, PlainLora, SaveOptions, TaskType};
use lora_core::tensors::{HostTensor, TensorFile};
use lora_core::{AdaLora, Adapted, BiasMode, Form, LoraConfig, Pass};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// Of three triplets of each linear these are left: none of `query`, and so many of `value`.
fn trained(left: [bool; 3], config: LoraConfig) -> (TempDir, Adapted<Tiny>) {
    let patterns = [("net.layer.0.query", [false; 3]), ("net.layer.1.value", left)];
    let adalora = AdaLora {
        init_r: 3,
        target_r: 1,
        total_step: Some(10),
        rank_pattern: patterns
            .map(|(path, left)| (path.to_owned(), left.to_vec()))
            .into(),
        ..AdaLora::default()
    };
    let (adapted, _) = Adapted::attach(Tiny::new(), config.with_form(Form::Svd(adalora)), 7).unwrap();
    let adapted = adapted.with_trained(|name, shape| {
        Ok::<_, Infallible>(HostTensor {
            shape: shape.to_vec(),
            values: numbers(normal(&format!("trained {name}"), [shape.iter().product()])),
        })
    });
    let Ok(adapted) = adapted;
    let folder = TempDir::new().unwrap();
    adapted
        .save(folder.path(), &SaveOptions::new(TaskType::SeqCls))
        .unwrap();
    (folder, adapted)
}

fn exported(folder: &Path) -> TempDir {
    let written = TempDir::new().unwrap();
    let plain = PlainLora::read(&AdapterFolder::read(folder).unwrap()).unwrap();
    plain.write(written.path()).unwrap();
    written
}

fn outputs(adapted: &Adapted<Tiny>) -> Vec<f32> {
    numbers(adapted.model.forward(normal("x", [4, 5]), &Pass::Mean))
}

#[test]
fn a_linear_without_triplets_is_exported_with_its_trained_bias() {
    for bias in [BiasMode::None, BiasMode::LoraOnly, BiasMode::All] {
        let (folder, adapted) = trained([true, false, true], LoraConfig { bias, ..config() });
        let written = exported(folder.path());
        let again = AdapterFolder::read(written.path())
            .unwrap()
            .attach_to(Tiny::new())
            .unwrap();
        assert_close(&outputs(&again), &outputs(&adapted), 1e-5);
        // PEFT 0.21.2, `_get_learnable_bias_state_dict` in `tuners/tuners_utils.py`: a trained bias of an adapted linear stands below
        // its `base_layer`, which only a linear with factors has; those of rank 1 are the smallest.
        let tensors = TensorFile::open(&written.path().join("adapter_model.safetensors")).unwrap();
        let shape = |last: &str| tensors.shape(&format!("base_model.model.net.layer.0.query.{last}"));
        assert_eq!(shape("lora_A.weight"), Some(&[1, 5][..]));
        assert_eq!(shape("lora_B.weight"), Some(&[7, 1][..]));
        let has_bias = shape("base_layer.bias").is_some();
        assert_eq!(has_bias, bias != BiasMode::None);
    }
}

#[test]
fn an_adapter_without_any_triplets_is_exported_with_its_head() {
    let (folder, adapted) = trained([false; 3], config());
    let again = AdapterFolder::read(exported(folder.path()).path())
        .unwrap()
        .attach_to(Tiny::new())
        .unwrap();
    assert_close(&outputs(&again), &outputs(&adapted), 1e-5);
}

#[test]
fn an_adapter_that_lost_everything_that_was_trained_says_so() {
    let alone = LoraConfig {
        modules_to_save: Vec::new(),
        ..config()
    };
    let (folder, _) = trained([false; 3], alone);
    let error = AdapterFolder::read(folder.path()).unwrap_err();
    assert!(matches!(error, AdapterError::Nothing { .. }), "{error}");
}

#[test]
fn empty_factors_of_a_size_that_no_model_has_are_refused() {
    let (folder, _) = trained([true; 3], config());
    let path = folder.path().join("adapter_model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let empty = TensorView::new(Dtype::F32, vec![0, 1 << 40], &[]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let changed = tensors.iter().map(|(name, tensor)| {
        let is_changed = name.ends_with("query.lora_A");
        (name, if is_changed { empty.clone() } else { tensor })
    });
    let changed = safetensors::serialize(changed, None).unwrap();
    fs::write(&path, changed).unwrap();
    let error = PlainLora::read(&AdapterFolder::read(folder.path()).unwrap()).unwrap_err();
    let expected: [usize; 2] = [1 << 40, 7];
    assert!(
        matches!(error, AdapterError::EmptyTensors { dims, .. } if dims == expected),
        "{error}"
    );
}
