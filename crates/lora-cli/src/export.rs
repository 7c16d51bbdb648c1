//! `lora export`: an adapter as plain LoRA.

use anyhow::Result;
use clap::Args;
use lora_core::peft::PlainLora;
use lora_pipeline::base::checkpoint::public_name;
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::{note_unfinished, write_json};
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::source::open_source;
use lora_pipeline::saved::task_file::{TASK_FILE, TaskFile};
use serde_json::json;

use crate::merge::put_on_base;
use crate::shared_args::{AdapterPlace, BaseArgs, DeviceArgs, NewFolderArgs};
use crate::terminal::Terminal;

/// Arguments of `lora export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    adapter: AdapterPlace,
    #[command(flatten)]
    output: NewFolderArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Writes the adapter so that its mean pass is plain LoRA with PEFT's oldest settings.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, the adapter is DoRA, or the folder cannot be written.
pub fn run(args: &ExportArgs, terminal: &Terminal) -> Result<()> {
    let (adapter, output) = (args.adapter.folder(), &args.output.output);
    check_free(output)?;
    note_unfinished(adapter, terminal);
    let folder = Saved::read_adapter(adapter)?;
    let mut plain = if folder.config.init.changes_base() {
        let source = open_source(adapter, args.base.base.as_deref(), args.base.revision.as_deref())?;
        let (model, _) = put_on_base(&source, None, &args.device.device.open()?)?;
        PlainLora::of_model(&model, adapter, folder.task_type, folder.base_model.clone())?
    } else {
        PlainLora::read(&folder)?
    };
    if let Some(base) = &args.base.base {
        plain.base_model = Some(public_name(base).to_owned());
    }
    let task = TaskFile::read(adapter)?;
    write_folder(output, |path| {
        plain.write(path)?;
        if let Some(mut task) = task {
            // The mean pass is the same; masks, and an ensemble of them, are gone.
            task.ensemble = None;
            task.inference = None;
            task.temperature.ensemble = None;
            write_json(&path.join(TASK_FILE), &task)?;
        }
        Ok(())
    })?;
    let ranks: usize = plain.factors.values().map(lora_core::peft::Factors::rank).sum();
    terminal.say(format!(
        "{} with {} in all written to {}",
        counted(plain.factors.len(), "linear"),
        counted(ranks, "rank"),
        output.display()
    ))?;
    terminal.document(&json!({
        "output": output,
        "config": plain.peft_config(),
        "adapters": plain.factors.keys().collect::<Vec<_>>(),
    }))
}
