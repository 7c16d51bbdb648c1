//! All else: settings, results of sweeps, checkpoints, bodies of requests.

use lora_experiments::report::page::Report;
use lora_experiments::report::results::Results;
use lora_experiments::sweep::file;
use lora_pipeline::config::{Overrides, resolve};
use lora_pipeline::train::read_checkpoint;
use lora_serve::{LoadCall, PredictCall};

use crate::scratch::{file_with, folder_with};
use crate::seeds::{CHECKPOINTS, state_tensors};
use crate::told;

/// Settings of a training in YAML.
pub fn run_yaml(bytes: &[u8]) {
    told(resolve(
        Some(&file_with("run", "yaml", bytes)),
        &Overrides::default(),
    ));
}

/// Settings of a training in TOML.
pub fn run_toml(bytes: &[u8]) {
    told(resolve(
        Some(&file_with("run", "toml", bytes)),
        &Overrides::default(),
    ));
}

/// Settings of a training in JSON.
pub fn run_json(bytes: &[u8]) {
    told(resolve(
        Some(&file_with("run", "json", bytes)),
        &Overrides::default(),
    ));
}

/// The file of a sweep.
pub fn sweep_file(bytes: &[u8]) {
    told(file::read(&file_with("sweep", "yaml", bytes)));
}

/// The results of a sweep, with the page that is made of them.
///
/// # Panics
///
/// If the page is empty.
pub fn sweep_results(bytes: &[u8]) {
    let path = file_with("results", "results.jsonl", bytes);
    let Some(experiments) = told(Results::read_experiments(&[path])) else {
        return;
    };
    if let Some(report) = told(Report::of_experiments(&experiments)) {
        let page = report.page();
        assert!(!page.to_html().is_empty() && !page.to_markdown(None).is_empty());
    }
}

/// `trainer_state.json`.
pub fn checkpoint(bytes: &[u8]) {
    let folder = folder_with("checkpoint", "trainer_state.json", bytes, || {
        vec![("trainer_state.safetensors", state_tensors())]
    });
    told(read_checkpoint(&folder));
}

/// `trainer_state.safetensors`.
pub fn checkpoint_tensors(bytes: &[u8]) {
    let folder = folder_with("checkpoint_tensors", "trainer_state.safetensors", bytes, || {
        vec![("trainer_state.json", CHECKPOINTS[0].as_bytes().to_vec())]
    });
    told(read_checkpoint(&folder));
}

/// The body of `POST /predict`.
pub fn predict_call(bytes: &[u8]) {
    told(PredictCall::parse(bytes, 64));
}

/// The body of `POST /adapters`.
pub fn load_call(bytes: &[u8]) {
    told(LoadCall::parse(bytes));
}
