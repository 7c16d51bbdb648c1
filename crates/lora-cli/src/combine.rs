//! `lora combine`: one adapter of several.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use lora_core::combine::{CombineError, CombineMethod, MajoritySign, combine};
use lora_core::peft::PlainLora;
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::write_json;
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::task_file::{TASK_FILE, TaskFile};
use serde_json::json;

use crate::shared_args::NewFolderArgs;
use crate::terminal::Terminal;

/// Arguments of `lora combine`.
#[derive(Args, Clone, Debug)]
pub struct CombineArgs {
    /// Adapter folder; may be given several times.
    #[arg(long = "adapter", value_name = "DIR", action = ArgAction::Append)]
    by_flag: Vec<PathBuf>,
    /// The adapter folders, by place instead of `--adapter`.
    #[arg(
        value_name = "DIR",
        required_unless_present = "by_flag",
        conflicts_with = "by_flag"
    )]
    by_place: Vec<PathBuf>,
    /// One weight for each adapter [1 each].
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    weights: Option<Vec<f64>>,
    /// By which method, in PEFT's names.
    #[arg(long, default_value = "cat")]
    method: CombineMethod,
    /// Share of the numbers that ties, dare and magnitude pruning keep.
    #[arg(long)]
    density: Option<f64>,
    /// How ties elects signs: total (by the sum) or frequency (by number).
    #[arg(long, default_value = "total", value_parser = majority_sign)]
    majority_sign: MajoritySign,
    /// Rank of the result, for svd [the largest of the adapters].
    #[arg(long)]
    rank: Option<usize>,
    /// Seed of what dare drops.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The one of the adapters whose head the result gets; needed where each has a head of its own.
    #[arg(long, value_name = "DIR")]
    head_from: Option<PathBuf>,
    #[command(flatten)]
    output: NewFolderArgs,
}

fn majority_sign(text: &str) -> Result<MajoritySign, String> {
    match text {
        "total" => Ok(MajoritySign::Total),
        "frequency" => Ok(MajoritySign::Frequency),
        _ => Err("expected total or frequency".to_owned()),
    }
}

/// Combines adapters of one base model.
///
/// # Errors
///
/// If a folder is missing, corrupt, or no plain LoRA or AdaLoRA, the adapters do not fit together, or the result cannot be
/// written.
pub fn run(args: &CombineArgs, terminal: &Terminal) -> Result<()> {
    let (folders, output) = ([&args.by_flag[..], &args.by_place].concat(), &args.output.output);
    check_free(output)?;
    let mut adapters = Vec::new();
    for folder in &folders {
        adapters.push(PlainLora::read(&Saved::read_adapter(folder)?)?);
    }
    let owner = match &args.head_from {
        Some(folder) => {
            let owner = folders.iter().position(|adapter| adapter == folder).with_context(|| {
                format!("--head-from `{}` is none of the adapters; give one of the folders as it is written there", folder.display())
            })?;
            keep_head_of(&mut adapters, owner);
            owner
        }
        None => 0,
    };
    let weights = args.weights.clone().unwrap_or_else(|| vec![1.0; adapters.len()]);
    let combination = args.method.with(args.density, args.majority_sign, args.rank)?;
    let combined = combine(&adapters, &weights, combination, args.seed).map_err(|error| match error {
        CombineError::Saved { name } => anyhow::anyhow!(
            "several adapters hold a `{name}` of their own, and a head cannot be combined; choose one with --head-from {}",
            folders[0].display()
        ),
        other => other.into(),
    })?;
    let task = TaskFile::read(&folders[owner])?;
    write_folder(output, |path| {
        combined.write(path)?;
        if let Some(task) = task {
            // Temperatures and ensembles were fitted to one of the adapters, not to all of them.
            let task = TaskFile {
                temperature: lora_pipeline::saved::task_file::FittedValues::default(),
                no_answer_threshold: lora_pipeline::saved::task_file::FittedValues::default(),
                ensemble: None,
                inference: None,
                not_told_apart_on: None,
                posterior: None,
                ..task
            };
            write_json(&path.join(TASK_FILE), &task)?;
        }
        Ok(())
    })?;
    terminal.say(format!(
        "{} combined into {}, for {}; without temperature and ensemble",
        counted(adapters.len(), "adapter"),
        output.display(),
        counted(combined.factors.len(), "linear")
    ))?;
    terminal.document(&json!({
        "output": output,
        "weights": weights,
        "config": combined.peft_config(),
        "adapters": combined.factors.keys().collect::<Vec<_>>(),
    }))
}

/// Takes the modules trained in full from all adapters but one. Biases of linears that it does not adapt stay: the result adapts
/// them too.
fn keep_head_of(adapters: &mut [PlainLora], owner: usize) {
    let of_owner: BTreeSet<String> = adapters[owner].saved.keys().cloned().collect();
    for (index, adapter) in adapters.iter_mut().enumerate() {
        if index == owner {
            continue;
        }
        adapter.config.modules_to_save.clear();
        let factors = &adapter.factors;
        adapter.saved.retain(|name, _| {
            let adapted = name
                .strip_suffix(".bias")
                .filter(|path| factors.contains_key(*path));
            adapted.is_some() && !of_owner.contains(name)
        });
    }
}
