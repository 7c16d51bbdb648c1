//! `lora export`: an adapter as plain LoRA, for PEFT or for llama.cpp.

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lora_core::peft::{Factors, PlainLora};
use lora_models::gguf::GgufAdapter;
use lora_pipeline::base::checkpoint::{is_gguf, public_name};
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::write_json;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::source::{AdapterSource, open_source};
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
    /// What is written: peft (a folder) or gguf (a file for llama.cpp's --lora; --output ends in .gguf).
    #[arg(long, default_value = "peft")]
    format: ExportFormat,
    #[command(flatten)]
    output: NewFolderArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Who is to read the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// PEFT, and whoever reads its folders.
    Peft,
    /// llama.cpp, and whoever builds on it.
    Gguf,
}

/// Writes the adapter so that its mean pass is plain LoRA with PEFT's oldest settings, or as llama.cpp reads it.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, the adapter is DoRA, it cannot be expressed in the format, or the output cannot
/// be written.
pub fn run(args: &ExportArgs, terminal: &Terminal) -> Result<()> {
    let (adapter, output) = (args.adapter.folder(), &args.output.output);
    if is_gguf(output) != (args.format == ExportFormat::Gguf) {
        let expected = match args.format {
            ExportFormat::Peft => "a new folder; for a file of llama.cpp add --format gguf",
            ExportFormat::Gguf => "a new file that ends in .gguf",
        };
        bail!("--output is `{}`, but it should be {expected}", output.display());
    }
    check_free(output)?;
    note_unfinished(adapter, terminal);
    let open = || open_source(adapter, args.base.base.as_deref(), args.base.revision.as_deref());
    let folder = Saved::read_adapter(adapter)?;
    let mut plain = if folder.config.init.changes_base() {
        let (model, _) = put_on_base(&open()?, None, &args.device.device.open()?)?;
        PlainLora::of_model(&model, adapter, folder.task_type, folder.base_model.clone())?
    } else {
        PlainLora::read(&folder)?
    };
    if let Some(base) = &args.base.base {
        plain.base_model = Some(public_name(base).to_owned());
    }
    match args.format {
        ExportFormat::Peft => write_peft(&plain, adapter, output)?,
        ExportFormat::Gguf => {
            // The order of rows depends on the base model's heads.
            let AdapterSource { checkpoint, .. } = open()?;
            GgufAdapter::of(&plain, &checkpoint.config)?.write(output)?;
        }
    }
    let ranks: usize = plain.factors.values().map(Factors::rank).sum();
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

fn write_peft(plain: &PlainLora, adapter: &Path, output: &Path) -> Result<()> {
    let task = TaskFile::read(adapter)?;
    write_folder(output, |path| {
        plain.write(path)?;
        if let Some(mut task) = task {
            // The mean pass is the same; masks, a posterior, and an ensemble of them are gone.
            task.ensemble = None;
            task.inference = None;
            task.not_told_apart_on = None;
            task.posterior = None;
            task.temperature.ensemble = None;
            write_json(&path.join(TASK_FILE), &task)?;
        }
        Ok(())
    })?;
    Ok(())
}
