//! `cargo xtask golden`: runs reference cases computed by Hugging Face Transformers and PEFT, and compares every number.

mod adalora;
mod case;
mod combined;
mod compare;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use lora_kernels::Fp32Precision;
use serde::Serialize;

use case::Case;
pub use compare::{Differences, Tolerances};

/// Options of `cargo xtask golden`.
#[derive(Args)]
pub struct GoldenOptions {
    /// Folder with the cases: `DIR/{models,adapters,training,lora_dropout}/CASE/{io.safetensors,base/,adapter/}`
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Run only cases whose path holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Device: flex, or another backend this program was built with
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    device: lora_pipeline::device::DeviceName,
    /// What it computes in. The tolerances are those of f32: with fewer digits the table says how far the numbers are off
    #[arg(long, default_value_t, value_name = "f32|bf16|f16")]
    dtype: lora_pipeline::device::Precision,
    /// How products with frozen weights are computed; each has tolerances of its own
    #[arg(long, default_value_t, value_name = "ieee|bf16x3|bf16|auto")]
    fp32_precision: Fp32Precision,
}

/// What came out of one case.
#[derive(Serialize)]
pub struct CaseOutcome {
    /// Folder of kind and name, such as `models/bert_seqcls`.
    pub case: String,
    /// Whether every number is within its tolerance.
    pub passed: bool,
    /// The largest differences; `None` if the case could not run.
    pub differences: Option<Differences>,
    /// Why it did not pass.
    pub reason: Option<String>,
}

/// Runs the cases and prints them. Fails if one of them does.
///
/// # Errors
///
/// If the folder holds no case, or a case failed.
pub fn run(options: &GoldenOptions) -> Result<()> {
    let device = options.device.open_in(options.dtype, options.fp32_precision)?;
    let precision = options.fp32_precision;
    let tolerances = Tolerances::of(precision);
    let outcomes = run_all(&options.dir, &options.only, &device, precision, |outcome| {
        if !options.json {
            println!("{}", line(outcome));
        }
    })?;
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    let failed = outcomes.len() - passed;
    if options.json {
        let document = serde_json::json!({
            "tolerances": tolerances, "fp32_precision": precision.to_string(), "passed": passed, "failed": failed, "cases": outcomes,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!("{}", tolerances.legend());
        println!("{passed} passed, {failed} failed");
    }
    if failed > 0 {
        bail!("{failed} of {} cases failed", outcomes.len());
    }
    Ok(())
}

/// Runs every case below a folder whose path holds `only`, in the order of their paths.
///
/// # Errors
///
/// If there is no such case.
pub fn run_all(
    dir: &Path,
    only: &str,
    device: &burn::tensor::Device,
    precision: Fp32Precision,
    mut seen: impl FnMut(&CaseOutcome),
) -> Result<Vec<CaseOutcome>> {
    let tolerances = Tolerances::of(precision);
    let mut folders = Vec::new();
    collect(dir, &mut folders).with_context(|| format!("cannot read {}", dir.display()))?;
    folders.sort();
    let mut outcomes = Vec::new();
    for folder in folders {
        let name = folder.strip_prefix(dir).unwrap_or(&folder).display().to_string();
        if !name.contains(only) {
            continue;
        }
        let outcome = match run_case(&folder, device, precision) {
            Ok(differences) => CaseOutcome {
                case: name,
                passed: differences.are_within(&tolerances),
                reason: (!differences.are_within(&tolerances)).then(|| differences.worst()),
                differences: Some(differences),
            },
            Err(error) => CaseOutcome {
                case: name,
                passed: false,
                differences: None,
                reason: Some(format!("{error:#}")),
            },
        };
        seen(&outcome);
        outcomes.push(outcome);
    }
    if outcomes.is_empty() {
        bail!(
            "no case found: expected folders with io.safetensors below {}",
            dir.display()
        );
    }
    Ok(outcomes)
}

/// Runs the case in a folder. Its kind is the name of the folder around it.
fn run_case(folder: &Path, device: &burn::tensor::Device, precision: Fp32Precision) -> Result<Differences> {
    let kind = folder.parent().and_then(Path::file_name).unwrap_or_default();
    let kind = kind.to_string_lossy();
    if kind == "combined" {
        return combined::run(folder);
    }
    let case = Case::open(folder, device, precision)?;
    match &*kind {
        "adalora_training" => adalora::training(&case, folder),
        kind => case::run(kind, &case, folder),
    }
}

fn collect(dir: &Path, folders: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if dir.join("io.safetensors").is_file() {
        folders.push(dir.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, folders)?;
        }
    }
    Ok(())
}

fn line(outcome: &CaseOutcome) -> String {
    let verdict = if outcome.passed { "pass" } else { "FAIL" };
    let case = &outcome.case;
    let numbers = match &outcome.differences {
        Some(found) => format!("abs {:8.1e}  rel {:8.1e}", found.absolute, found.relative),
        None => " ".repeat(27),
    };
    let reason = outcome
        .reason
        .as_deref()
        .map(|reason| format!("  {reason}"))
        .unwrap_or_default();
    format!("{verdict}  {case:<44}  {numbers}{reason}")
}

#[cfg(test)]
mod tests;
