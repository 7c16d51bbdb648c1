//! An adapter folder, written from a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use serde::Serialize;
use serde_json::Value;

use super::config::to_json;
use super::folder::{CONFIG_FILE, PREFIX, TENSOR_FILE};
use super::save_options::SaveOptions;
use super::side::{DropoutFile, SIDE_FILE};
use super::tensor_writing::write_tensors;
use crate::adalora::RankPattern;
use crate::adapted::Adapted;
use crate::adapter::Adapter;
use crate::atomic::{WriteError, write_file};
use crate::config::{Form, LoraConfig};
use crate::ensemble::EnsembleSettings;
use crate::model::Linears;
use crate::targets::TargetNames;
use crate::tensors::HostTensor;

/// Writes a folder that PEFT loads: the settings last, so that a folder with settings is a whole one.
///
/// `lora_alpha` carries the expected update; with LoRA Dropout the side file says how it was trained and which ensemble is meant.
/// Of AdaLoRA's triplets those are left out that the rank pattern cuts and that are zero: what is written computes what the model
/// computes, even in the middle of a training.
pub(crate) fn write_folder<M: Module + Linears>(
    folder: &Path,
    adapted: &Adapted<M>,
    config: &LoraConfig,
    options: &SaveOptions,
) -> Result<(), WriteError> {
    let mut tensors = trained_tensors(adapted);
    let mut config = config.clone();
    if let Form::Svd(adalora) = &mut config.form {
        adalora.rank_pattern = cut_triplets(adapted, &adalora.rank_pattern, adalora.init_r, &mut tensors);
    }
    if config.targets.modules == TargetNames::AllLinear && config.targets.layers.is_some() {
        // PEFT takes layer numbers with a list of names only.
        let paths = adapted.adapter_shapes().into_iter().map(|adapter| adapter.path);
        config.targets.modules = TargetNames::Names(paths.collect());
        config.targets.layers = None;
        config.targets.layers_pattern = Vec::new();
    }
    write_tensors(
        &folder.join(TENSOR_FILE),
        tensors
            .into_iter()
            .map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor)),
    )?;
    let settings = to_json(&config, options.task_type, options.base_model.as_deref());
    write_settings(folder, &config, options.ensemble, &settings)
}

/// The side file, if there is LoRA Dropout, then `adapter_config.json`.
pub(super) fn write_settings(
    folder: &Path,
    config: &LoraConfig,
    ensemble: Option<EnsembleSettings>,
    settings: &Value,
) -> Result<(), WriteError> {
    let side_path = folder.join(SIDE_FILE);
    match config.dropout {
        Some(dropout) => {
            let side = DropoutFile::new(dropout, config, ensemble);
            write_file(&side_path, &pretty(&side))?;
        }
        // The folder may hold the side file of an adapter that stood here before.
        None if side_path.exists() => {
            fs::remove_file(&side_path).map_err(|source| WriteError {
                path: side_path,
                source,
            })?;
        }
        None => {}
    }
    write_file(&folder.join(CONFIG_FILE), &pretty(settings))
}

/// Every trained parameter of a model under PEFT's name without prefix, in PyTorch's orientation (matrices
/// `[d_output, d_input]`), sorted by name.
pub fn trained_tensors<M: Module + Linears>(adapted: &Adapted<M>) -> BTreeMap<String, HostTensor> {
    let mut tensors = BTreeMap::new();
    adapted.visit_trained(&mut |trained| {
        tensors.insert(trained.name, trained.param.to_file());
    });
    tensors
}

/// Leaves out AdaLoRA's cut triplets and gives the rank pattern of what is left. A linear without triplets gets the empty
/// tensors that PEFT writes. Without a pattern nothing is cut.
fn cut_triplets<M: Module + Linears>(
    adapted: &Adapted<M>,
    pattern: &RankPattern,
    init_r: usize,
    tensors: &mut BTreeMap<String, HostTensor>,
) -> RankPattern {
    let mut written = RankPattern::new();
    adapted.model.visit_linears(&mut |linear| {
        let Some(Adapter::Svd(svd)) = &linear.adapter else {
            return;
        };
        let path = linear.path();
        let [d_input, d_output] = linear.dims();
        let [a, b, e] = ["lora_A", "lora_B", "lora_E"].map(|factor| format!("{path}.{factor}"));
        if svd.rank() == 0 {
            for (name, shape) in [(a, [0, d_input]), (b, [d_output, 0]), (e, [0, 1])] {
                let empty = HostTensor {
                    shape: shape.to_vec(),
                    values: Vec::new(),
                };
                tensors.insert(name, empty);
            }
            written.insert(path.to_owned(), vec![false; init_r]);
            return;
        }
        let Some(kept) = pattern.get(path) else { return };
        if svd.rank() != init_r {
            // Read from a folder: what was cut is gone already.
            written.insert(path.to_owned(), kept.clone());
            return;
        }
        let kept: Vec<bool> = kept
            .iter()
            .zip(&tensors[&e].values)
            .map(|(kept, value)| *kept || *value != 0.0)
            .collect();
        for (name, axis) in [(a, 0), (b, 1), (e, 0)] {
            if let Some(tensor) = tensors.get_mut(&name) {
                *tensor = select(tensor, axis, &kept);
            }
        }
        written.insert(path.to_owned(), kept);
    });
    written
}

/// The kept rows (axis 0) or columns (axis 1) of a matrix.
fn select(matrix: &HostTensor, axis: usize, kept: &[bool]) -> HostTensor {
    let columns = matrix.shape[1];
    let values: Vec<f32> = matrix
        .values
        .iter()
        .enumerate()
        .filter(|(index, _)| {
            kept[if axis == 0 {
                index / columns
            } else {
                index % columns
            }]
        })
        .map(|(_, value)| *value)
        .collect();
    let mut shape = matrix.shape.clone();
    shape[axis] = kept.iter().filter(|kept| **kept).count();
    HostTensor { shape, values }
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).expect("settings are plain data");
    text.push('\n');
    text.into_bytes()
}
