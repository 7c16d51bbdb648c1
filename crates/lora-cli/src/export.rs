//! `lora export`: an adapter as plain LoRA.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_core::peft::PlainLora;
use lora_pipeline::base::checkpoint::public_name;
use lora_pipeline::counted::counted;
use lora_pipeline::device::{DEFAULT_DEVICE, DeviceName};
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::{note_unfinished, write_json};
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::source::open_source;
use lora_pipeline::saved::task_file::{TASK_FILE, TaskFile};
use serde_json::json;

use crate::merge::put_on_base;
use crate::terminal::Terminal;

/// Arguments of `lora export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Adapter folder, written by `lora train` or by PEFT.
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Folder for PEFT's two files.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Base model, which PiSSA and OLoRA need, if it is not where the adapter folder says.
    #[arg(long = "model", alias = "base", value_name = "MODEL")]
    base: Option<String>,
    /// Branch, tag or commit of a hub id.
    #[arg(long)]
    revision: Option<String>,
    /// Where PiSSA and OLoRA are undone.
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: DeviceName,
}

/// Writes the adapter so that its mean pass is plain LoRA with PEFT's oldest settings.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, the adapter is DoRA, or the folder cannot be written.
pub fn run(args: &ExportArgs, terminal: &Terminal) -> Result<()> {
    check_free(&args.output)?;
    note_unfinished(&args.adapter, terminal);
    let folder = Saved::read_adapter(&args.adapter)?;
    let mut plain = if folder.config.init.changes_base() {
        let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
        let (adapted, _) = put_on_base(&source, None, &args.device.open()?)?;
        PlainLora::of_model(
            &adapted,
            &args.adapter,
            folder.task_type,
            folder.base_model.clone(),
        )?
    } else {
        PlainLora::read(&folder)?
    };
    if let Some(base) = &args.base {
        plain.base_model = Some(public_name(base).to_owned());
    }
    let task = TaskFile::read(&args.adapter)?;
    write_folder(&args.output, |path| {
        plain.write(path)?;
        if let Some(mut task) = task {
            // The mean pass is the same; masks, and an ensemble of them, are gone.
            task.ensemble = None;
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
        args.output.display()
    ))?;
    terminal.document(&json!({
        "output": args.output,
        "config": plain.peft_config(),
        "adapters": plain.factors.keys().collect::<Vec<_>>(),
    }))
}
