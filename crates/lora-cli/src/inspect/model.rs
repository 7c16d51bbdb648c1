//! `lora inspect` of a model: its linears, and what loading it takes.

use std::time::Instant;

use anyhow::Result;
use burn::module::Module;
use lora_core::Linears;
use lora_core::linear::LinearKind;
use lora_core::tensors::Orientation;
use lora_experiments::memory::peak_memory_bytes;
use lora_models::{Checkpoint, HeadKind, HeadOptions, LoadError, LoadReport, Transformer};
use lora_pipeline::base::checkpoint::open_checkpoint;
use lora_pipeline::base::hub::hub_options;
use lora_pipeline::parameters::grouped;
use lora_report::{Better, Cell, Column, Table};
use serde::Serialize;
use serde_json::json;

use super::InspectArgs;
use crate::terminal::Terminal;

/// A linear of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct LinearSize {
    path: String,
    d_input: usize,
    d_output: usize,
}

/// What loading took.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Loading {
    /// From the first file to the model on its device.
    seconds: f64,
    /// Of the model's parameters in f32.
    weight_bytes: usize,
    /// See [`peak_memory_bytes`].
    peak_memory_bytes: Option<u64>,
}

/// Shows a model.
///
/// # Errors
///
/// If it cannot be loaded.
pub(super) fn show(args: &InspectArgs, terminal: &Terminal) -> Result<()> {
    let device = args.device.device.open()?;
    let start = Instant::now();
    let checkpoint = open_checkpoint(args.what(), &hub_options(args.base.revision.as_deref()))?;
    // One output stands for the head, which a base model lacks.
    let kind = HeadKind::SequenceClassification { outputs: 1 };
    let head = HeadOptions { kind, seed: 0 };
    let (model, report) = Transformer::load(&checkpoint, head, &device)?;
    let loading = Loading {
        seconds: start.elapsed().as_secs_f64(),
        weight_bytes: size_of::<f32>() * model.num_params(),
        peak_memory_bytes: peak_memory_bytes(),
    };
    check_the_rest(&checkpoint, &report)?;
    let mut linears = Vec::new();
    model.visit_linears(&mut |linear| {
        if linear.kind() == LinearKind::Table {
            return;
        }
        let [d_input, d_output] = linear.dims();
        linears.push(LinearSize {
            path: linear.path().to_owned(),
            d_input,
            d_output,
        });
    });
    let head = model.modules_to_save();
    let in_head = |path: &str| {
        let rests = head
            .iter()
            .filter_map(|module| path.strip_prefix(module.as_str()));
        rests
            .into_iter()
            .any(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    linears.retain(|linear| !in_head(&linear.path));
    let mut in_heads = 0;
    model.visit_linears(&mut |linear| {
        if in_head(linear.path()) {
            in_heads += linear.num_params();
        }
    });
    let parameters = model.num_params() - in_heads;
    let family = checkpoint.config["model_type"].as_str().unwrap_or("unknown");
    let columns = vec![
        Column::new("d_input", Better::None, 0),
        Column::new("d_output", Better::None, 0),
    ];
    let title = format!(
        "{}: {family}, {} parameters without head",
        args.what(),
        grouped(parameters)
    );
    let mut table = Table::new(title, "linear", columns);
    for linear in &linears {
        let sizes = [linear.d_input, linear.d_output];
        table.push(
            linear.path.clone(),
            sizes.map(|size| Cell::text(size.to_string())).to_vec(),
        );
    }
    terminal.table(&table)?;
    terminal.note(loading.in_words());
    terminal.document(&json!({
        "kind": "model",
        "name": args.what(),
        "family": family,
        "parameters": parameters,
        "heads": head,
        "linears": linears,
        "initialized": report.initialized,
        "left_over": report.left_over,
        "config": checkpoint.config,
        "loading": loading,
    }))
}

/// Refuses a value that is not finite in tensors that were not loaded, such as the head of a tuned model with another number of outputs.
/// Left-over tensors may be no floating-point numbers; nobody reads these.
fn check_the_rest(checkpoint: &Checkpoint, report: &LoadReport) -> Result<(), LoadError> {
    for name in report.initialized.iter().chain(&report.left_over) {
        if let Err(error @ LoadError::NotFinite { .. }) = checkpoint.weights.read(name, Orientation::Stored) {
            return Err(error);
        }
    }
    Ok(())
}

impl Loading {
    fn in_words(&self) -> String {
        const MIB: f64 = 1024.0 * 1024.0;
        let loaded = format!(
            "loaded {:.0} MiB of weights in {:.2} s",
            self.weight_bytes as f64 / MIB,
            self.seconds
        );
        match self.peak_memory_bytes {
            Some(peak) => format!(
                "{loaded}; the program took {:.0} MiB at most, {:.2} times the weights",
                peak as f64 / MIB,
                peak as f64 / self.weight_bytes as f64
            ),
            None => loaded,
        }
    }
}
