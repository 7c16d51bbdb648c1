//! Adapters put together by PEFT's `add_weighted_adapter`.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use lora_core::combine::{CombineMethod, MajoritySign, TensorPlace, combine_with};
use lora_core::peft::{AdapterFolder, Factors, PlainLora};
use lora_core::tensors::{HostTensor, TensorFile};
use serde::Deserialize;

use super::compare::Differences;

/// How the case was made.
#[derive(Deserialize)]
struct Notes {
    weights: Vec<f64>,
    options: MethodNotes,
    /// Paths in the order of PEFT's random choices.
    order: Vec<String>,
}

#[derive(Deserialize)]
struct MethodNotes {
    combination_type: String,
    svd_rank: Option<usize>,
    density: Option<f64>,
    #[serde(default)]
    majority_sign_method: MajoritySign,
}

/// Combines the adapters in the folders `one` and `two` beside the case and compares every update with PEFT's.
pub fn run(folder: &Path) -> Result<Differences> {
    let notes = std::fs::read(folder.join("io.json")).context("cannot read io.json")?;
    let notes: Notes = serde_json::from_slice(&notes).context("io.json")?;
    let reference = TensorFile::open(&folder.join("io.safetensors"))?;
    let read = |path: &Path| -> Result<PlainLora> { Ok(PlainLora::read(&AdapterFolder::read(path)?)?) };
    let adapters = [
        read(&folder.with_file_name("one"))?,
        read(&folder.with_file_name("two"))?,
    ];
    let options = &notes.options;
    let combination = CombineMethod::from_str(&options.combination_type)?.with(
        options.density,
        options.majority_sign_method,
        options.svd_rank,
    )?;
    // PEFT draws linear by linear, A before B, adapter by adapter.
    let mut places = Vec::new();
    for path in &notes.order {
        for tensor in ["A", "B"] {
            for (adapter, plain) in adapters.iter().enumerate() {
                if plain.factors.contains_key(path) {
                    places.push((path.clone(), tensor, adapter));
                }
            }
        }
    }
    let mut keep = |place: TensorPlace<'_>, count: usize, _: f64| {
        let wanted = (place.path.to_owned(), place.tensor, place.adapter);
        let number = places
            .iter()
            .position(|known| *known == wanted)
            .unwrap_or(usize::MAX);
        match reference.read(&format!("draw.{number}")) {
            Ok(Some(draw)) => draw.values.iter().map(|kept| *kept == 1.0).collect(),
            _ => vec![true; count],
        }
    };
    let ours = combine_with(&adapters, &notes.weights, combination, &mut keep)?;
    let theirs = read(folder)?;
    let mut differences = Differences::default();
    for (path, expected) in &theirs.factors {
        let found = ours
            .factors
            .get(path)
            .with_context(|| format!("we have no update for {path}"))?;
        differences.relative(path, &update(found).values, &update(expected))?;
    }
    Ok(differences)
}

/// `scale · B A`: what a method defines, whatever the factors are.
fn update(Factors { a, b, scale, .. }: &Factors) -> HostTensor {
    let ([rank, d_input], d_output) = ([a.shape[0], a.shape[1]], b.shape[0]);
    let mut values = Vec::with_capacity(d_output * d_input);
    for row in 0..d_output {
        for column in 0..d_input {
            let product: f64 = (0..rank)
                .map(|k| f64::from(b.values[row * rank + k]) * f64::from(a.values[k * d_input + column]))
                .sum();
            values.push((product * scale) as f32);
        }
    }
    HostTensor {
        shape: vec![d_output, d_input],
        values,
    }
}
