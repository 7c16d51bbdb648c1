//! A folder of what another tuner than LoRA trained.

use std::path::Path;

use anyhow::Result;
use lora_core::Tuning;
use lora_core::tuned::TunedFolder;
use lora_pipeline::parameters::{grouped, parameter_line, peft_count};
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::task_file::TaskFile;
use lora_report::{Better, Cell, Column, Table};
use serde_json::json;

use super::{InspectArgs, count_on_base};
use crate::terminal::Terminal;

/// Shows the tensors of the folder and how they were trained.
pub(super) fn show(args: &InspectArgs, path: &Path, terminal: &Terminal) -> Result<()> {
    let folder = TunedFolder::read(path)?;
    folder.check_tensors()?;
    let task = TaskFile::read(path)?;
    let tensors: Vec<(String, Vec<usize>)> = folder
        .tensors()
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    let numbers: usize = tensors
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum();
    let title = format!(
        "{}: {}, {} tensors, {} saved numbers",
        args.what(),
        folder.tuning.name(),
        tensors.len(),
        grouped(numbers)
    );
    let base = args.base_name(task.as_ref(), folder.base_model.as_deref());
    let tuning = folder.tuning.clone();
    let saved = Saved::Tuned(folder);
    let on_base = count_on_base(args, &saved, task.as_ref(), base.as_deref(), terminal)?;

    let mut table = Table::new(title, "tensor", vec![Column::new("shape", Better::None, 0)]);
    for (name, shape) in &tensors {
        table.push(name.clone(), vec![Cell::text(format!("{shape:?}"))]);
    }
    terminal.table(&table)?;
    terminal.say(format!("base model: {}", base.as_deref().unwrap_or("not named")))?;
    if let Tuning::Bottleneck(config) = &tuning {
        terminal.say(format!(
            "bottlenecks of {} features, {:?}",
            config.size, config.activation
        ))?;
    }
    if let Some(adapted) = &on_base {
        terminal.say(parameter_line(adapted))?;
    }
    let counts = on_base.as_ref().map(peft_count);
    terminal.document(&json!({
        "kind": "tuned",
        "form": tuning.name(),
        "name": args.what(),
        "base_model": base,
        "task_type": saved.task_type(),
        "config": tuning,
        "task": task,
        "tensors": tensors.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "saved_numbers": numbers,
        "trainable_params": counts.map(|count| count.trained),
        "all_params": counts.map(|count| count.all),
    }))
}
