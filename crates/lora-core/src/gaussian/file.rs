//! A Gaussian in an adapter folder: `posterior.json` says what it is, `posterior.safetensors` holds its values. PEFT reads neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use burn::module::Module;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Covariance, Gaussian, PosteriorMethod, matrix_of};
use crate::adapted::Adapted;
use crate::atomic::{WriteError, write_file};
use crate::filling::Waiting;
use crate::json_file::read_json;
use crate::model::Linears;
use crate::peft::{AdapterError, write_tensors};
use crate::tensors::{HostTensor, TensorFile};
use crate::vector::VectorLayout;

/// Name of the file that says what the Gaussian is.
pub const POSTERIOR_FILE: &str = "posterior.json";
/// Name of the file of its values.
pub const POSTERIOR_TENSOR_FILE: &str = "posterior.safetensors";

/// What follows a parameter's name in the name of a tensor.
const DEVIATIONS: &str = ".deviations";
const MEAN: &str = ".mean";
const OUTPUT: &str = ".output";
const INPUT: &str = ".input";
const COLUMNS: &str = ".columns";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PosteriorFile {
    format: u32,
    method: PosteriorMethod,
    /// How many columns each parameter has.
    columns: usize,
    #[serde(default)]
    settings: Value,
}

/// Writes the Gaussian that a model carries, or takes away that of an earlier one. Means that are the model's own parameters are left out.
pub(crate) fn write_posterior<M: Module + Linears>(
    folder: &Path,
    adapted: &Adapted<M>,
) -> Result<(), WriteError> {
    let Some(gaussian) = adapted.posterior() else {
        for file in [POSTERIOR_FILE, POSTERIOR_TENSOR_FILE] {
            let path = folder.join(file);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| WriteError { path, source })?;
            }
        }
        return Ok(());
    };
    let own = gaussian.layout.read(adapted);
    let mut tensors = Vec::new();
    for (slot, covariance) in gaussian.layout.slots().iter().zip(gaussian.covariances.iter()) {
        let mut add = |what: &str, shape: Vec<usize>, values: Vec<f32>| {
            tensors.push((format!("{}{what}", slot.name), HostTensor { shape, values }));
        };
        add(DEVIATIONS, slot.shape.clone(), covariance.deviations.clone());
        let mean = &gaussian.mean[slot.range.clone()];
        let is_own = own[slot.range.clone()]
            .iter()
            .zip(mean)
            .all(|(own, mean)| *own as f32 == *mean);
        if !is_own {
            add(MEAN, slot.shape.clone(), mean.to_vec());
        }
        let [rows, columns] = matrix_of(&slot.shape);
        for (what, rotation, side) in [
            (OUTPUT, &covariance.output, rows),
            (INPUT, &covariance.input, columns),
        ] {
            if let Some(rotation) = rotation {
                add(what, vec![side, side], rotation.clone());
            }
        }
        if !gaussian.columns.is_empty() {
            let shape = [&[gaussian.columns.len()], &slot.shape[..]].concat();
            let of_slot = gaussian
                .columns
                .iter()
                .flat_map(|column| &column[slot.range.clone()]);
            add(COLUMNS, shape, of_slot.copied().collect());
        }
    }
    write_tensors(&folder.join(POSTERIOR_TENSOR_FILE), tensors)?;
    let file = PosteriorFile {
        format: 1,
        method: gaussian.method,
        columns: gaussian.columns.len(),
        settings: gaussian.settings.clone(),
    };
    let text = serde_json::to_string_pretty(&file).expect("settings are plain data") + "\n";
    write_file(&folder.join(POSTERIOR_FILE), text.as_bytes())
}

/// Where the Gaussian of a folder comes from, and what it was made with; none if the folder has none.
///
/// # Errors
///
/// [`AdapterError`] if its file cannot be read, or is of another version.
pub fn posterior_of(folder: &Path) -> Result<Option<(PosteriorMethod, Value)>, AdapterError> {
    Ok(read_file(folder)?.map(|file| (file.method, file.settings)))
}

fn read_file(folder: &Path) -> Result<Option<PosteriorFile>, AdapterError> {
    let path = folder.join(POSTERIOR_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let file: PosteriorFile = read_json(&path)?;
    if file.format != 1 {
        return Err(AdapterError::Setting {
            path,
            key: "format",
            found: file.format.to_string(),
            supported: "1",
        });
    }
    Ok(Some(file))
}

/// Reads the Gaussian of a folder for a model; none if the folder has none.
pub(crate) fn read_posterior<M: Module + Linears>(
    folder: &Path,
    adapted: &Adapted<M>,
) -> Result<Option<Gaussian>, AdapterError> {
    let Some(file) = read_file(folder)? else {
        return Ok(None);
    };
    let tensors = TensorFile::open(&folder.join(POSTERIOR_TENSOR_FILE))?;
    let chosen: BTreeSet<String> = tensors
        .names()
        .filter_map(|name| name.strip_suffix(DEVIATIONS).map(str::to_owned))
        .collect();
    let layout = VectorLayout::of_chosen(adapted, |parameter| chosen.contains(&parameter.name));
    let mut mean = layout.read(adapted);
    let names: BTreeMap<String, String> = tensors
        .names()
        .map(|name| (name.to_owned(), name.to_owned()))
        .collect();
    let mut waiting = Waiting::new(&tensors, &names, "");
    let mut take = |name: &str, shape: &[usize]| -> Result<Vec<f32>, AdapterError> {
        Ok(waiting.take(name, shape)?.values)
    };
    let has = |name: &str| names.contains_key(name);
    let mut covariances = Vec::new();
    let mut columns_of_slots = Vec::new();
    for slot in layout.slots() {
        let path_of = |what: &str| format!("{}{what}", slot.name);
        let deviations = take(&path_of(DEVIATIONS), &slot.shape)?;
        if let Some(found) = deviations.iter().find(|deviation| **deviation < 0.0) {
            return Err(AdapterError::Number {
                path: tensors.origin().to_owned(),
                name: path_of(DEVIATIONS),
                found: *found,
                expected: "a deviation of at least 0",
            });
        }
        if has(&path_of(MEAN)) {
            let values = take(&path_of(MEAN), &slot.shape)?;
            let numbers = mean[slot.range.clone()].iter_mut();
            numbers
                .zip(values)
                .for_each(|(number, value)| *number = f64::from(value));
        }
        let [rows, width] = matrix_of(&slot.shape);
        let mut rotation = |what: &str, side: usize| {
            let name = path_of(what);
            has(&name).then(|| take(&name, &[side, side])).transpose()
        };
        let (output, input) = (rotation(OUTPUT, rows)?, rotation(INPUT, width)?);
        if file.columns > 0 {
            let shape = [&[file.columns], &slot.shape[..]].concat();
            columns_of_slots.push(take(&path_of(COLUMNS), &shape)?);
        }
        covariances.push(Covariance {
            deviations,
            output,
            input,
        });
    }
    waiting.finish()?;
    // Only now is it known that the tensors hold as many as the file says.
    let count = if columns_of_slots.is_empty() {
        0
    } else {
        file.columns
    };
    let mut columns = vec![vec![0.0; layout.len()]; count];
    for (slot, values) in layout.slots().iter().zip(&columns_of_slots) {
        let of_columns = values.chunks_exact(slot.range.len().max(1));
        for (column, values) in columns.iter_mut().zip(of_columns) {
            column[slot.range.clone()].copy_from_slice(values);
        }
    }
    Ok(Some(Gaussian::new(
        file.method,
        file.settings,
        layout,
        &mean,
        covariances,
        columns,
    )))
}
