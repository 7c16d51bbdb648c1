//! Files of adapter folders, each among the others of a folder that fits a tiny model, on which it is then put.

use std::path::Path;
use std::sync::OnceLock;

use burn::tensor::Device;
use lora_core::peft::{CONFIG_FILE, SIDE_FILE, TENSOR_FILE};
use lora_core::tuned::{TUNED_TENSOR_FILE, TUNING_FILE};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_pipeline::calibration::{CALIBRATION_FILE, CalibrationFile};
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::task_file::{TASK_FILE, TaskFile};

use crate::scratch::folder_with;
use crate::seeds::{POSTERIORS, file, posterior_tensors as seed_tensors};
use crate::told;

const DORA: &str = "xtask/golden/training/tiny_bert_dora";
const HOULSBY: &str = "xtask/golden/training/tiny_bert_houlsby";
const POSTERIOR_FILE: &str = "posterior.json";
const POSTERIOR_TENSOR_FILE: &str = "posterior.safetensors";

/// `adapter_config.json`.
pub fn adapter_config(bytes: &[u8]) {
    put_on(&folder_with("adapter_config", CONFIG_FILE, bytes, || {
        vec![adapter(TENSOR_FILE)]
    }));
}

/// `adapter_model.safetensors`.
pub fn adapter_tensors(bytes: &[u8]) {
    put_on(&folder_with("adapter_tensors", TENSOR_FILE, bytes, || {
        vec![adapter(CONFIG_FILE)]
    }));
}

/// `lora_dropout.json`.
pub fn lora_dropout(bytes: &[u8]) {
    put_on(&folder_with("lora_dropout", SIDE_FILE, bytes, || {
        vec![adapter(CONFIG_FILE), adapter(TENSOR_FILE)]
    }));
}

/// `tuning.json`.
pub fn tuning(bytes: &[u8]) {
    put_on(&folder_with("tuning", TUNING_FILE, bytes, || {
        vec![tuned(TUNED_TENSOR_FILE)]
    }));
}

/// `tuned.safetensors`.
pub fn tuned_tensors(bytes: &[u8]) {
    put_on(&folder_with("tuned_tensors", TUNED_TENSOR_FILE, bytes, || {
        vec![tuned(TUNING_FILE)]
    }));
}

/// `posterior.json`.
pub fn posterior(bytes: &[u8]) {
    put_on(&folder_with("posterior", POSTERIOR_FILE, bytes, || {
        vec![
            adapter(CONFIG_FILE),
            adapter(TENSOR_FILE),
            (POSTERIOR_TENSOR_FILE, seed_tensors()),
        ]
    }));
}

/// `posterior.safetensors`.
pub fn posterior_tensors(bytes: &[u8]) {
    put_on(&folder_with(
        "posterior_tensors",
        POSTERIOR_TENSOR_FILE,
        bytes,
        || {
            vec![
                adapter(CONFIG_FILE),
                adapter(TENSOR_FILE),
                (POSTERIOR_FILE, POSTERIORS[0].as_bytes().to_vec()),
            ]
        },
    ));
}

/// `task.json`.
pub fn task_file(bytes: &[u8]) {
    let folder = folder_with("task_file", TASK_FILE, bytes, Vec::new);
    if let Some(Some(file)) = told(TaskFile::read(&folder)) {
        told(file.task());
        let _ = (file.lengths(None), file.rules_for(file.ensemble), file.columns());
    }
}

/// `calibration.json`.
pub fn calibration(bytes: &[u8]) {
    let folder = folder_with("calibration", CALIBRATION_FILE, bytes, Vec::new);
    if let Some(Some(file)) = told(CalibrationFile::read(&folder)) {
        let _ = (file.validation_rows(), file.of_way(None));
    }
}

fn adapter(name: &'static str) -> (&'static str, Vec<u8>) {
    (name, file(&format!("{DORA}/adapter/{name}")))
}

fn tuned(name: &'static str) -> (&'static str, Vec<u8>) {
    (name, file(&format!("{HOULSBY}/tuned/{name}")))
}

/// Reads the folder and puts it on a model.
fn put_on(folder: &Path) {
    static MODEL: OnceLock<Transformer> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let config = file(&format!("{DORA}/base/config.json"));
        let weights = file(&format!("{DORA}/base/model.safetensors")).leak();
        let checkpoint = Checkpoint::from_bytes("model", &config, weights, b"").expect("a reference case");
        let kind = HeadKind::SequenceClassification {
            outputs: checkpoint.outputs(),
        };
        let options = HeadOptions { kind, seed: 0 };
        let loaded = Transformer::load(&checkpoint, options, &Device::default());
        loaded.expect("a reference case").0
    });
    if let Some(saved) = told(Saved::read(folder)) {
        let _ = (saved.base_model(), saved.task_type(), saved.ensemble());
        told(saved.attach_to(model.clone()));
    }
}
