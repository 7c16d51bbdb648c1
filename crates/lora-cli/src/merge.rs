//! `lora merge`: an adapter into its base model, as a Hugging Face folder.

use anyhow::{Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use clap::Args;
use lora_core::Adapted;
use lora_data::Task;
use lora_experiments::memory::peak_memory_bytes;
use lora_models::{HeadKind, HeadOptions, Transformer};
use lora_pipeline::base::model_folder::ModelFolder;
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::note_unfinished;
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::source::{AdapterSource, open_source};
use serde_json::json;

use crate::shared_args::{AdapterPlace, BaseArgs, DeviceArgs, LabelArgs, NewFolderArgs};
use crate::terminal::Terminal;

/// Arguments of `lora merge`.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    #[command(flatten)]
    adapter: AdapterPlace,
    #[command(flatten)]
    output: NewFolderArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Adds the mean pass's update to the base model's weights and writes the model, all weights in f32, so that nothing of the
/// update is rounded away.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the folder cannot be written.
pub fn run(args: &MergeArgs, terminal: &Terminal) -> Result<()> {
    let (adapter, output) = (args.adapter.folder(), &args.output.output);
    check_free(output)?;
    note_unfinished(adapter, terminal);
    if matches!(Saved::read(adapter)?, Saved::Model { .. }) {
        bail!(
            "`{}` is a whole model already: there is nothing to merge",
            adapter.display()
        );
    }
    let source = open_source(adapter, args.base.base.as_deref(), args.base.revision.as_deref())?;
    let (model, task) = put_on_base(&source, args.labels.names.as_deref(), &args.device.device.open()?)?;
    let merged_paths: Vec<String> = model
        .adapter_shapes()
        .into_iter()
        .map(|shape| shape.path)
        .collect();
    let tuning = model.tuning().name();
    let form = ModelFolder::of(&source.checkpoint, &task);
    // The files of the base model are not needed beside the merged one.
    drop(source);
    let merged = model.merge()?;
    write_folder(output, |folder| Ok(form.write(folder, &merged)?))?;
    let what = match merged_paths.len() {
        // Biases and full weights are part of the model as they are.
        0 => format!("what {tuning} trained is part of {}", output.display()),
        linears => format!("{} merged into {}", counted(linears, "linear"), output.display()),
    };
    terminal.say(format!(
        "{what}; its outputs are those of the mean pass, without temperature"
    ))?;
    terminal.document(&json!({
        "output": output,
        "merged": merged_paths,
        // Of the merged model in f32, and the most that the program took.
        "weight_bytes": size_of::<f32>() * merged.num_params(),
        "peak_memory_bytes": peak_memory_bytes(),
    }))
}

/// The adapter on its base model with the head that its task needs, and the task.
///
/// # Errors
///
/// If the parts do not fit each other.
pub fn put_on_base(
    source: &AdapterSource,
    labels: Option<&[String]>,
    device: &Device,
) -> Result<(Adapted<Transformer>, Task)> {
    let task = source.own_task(labels)?;
    let known = task.labels();
    let known = known.filter(|_| source.task_file.is_some() && labels.is_none());
    let head = HeadOptions {
        kind: HeadKind::from(&task),
        seed: 0,
    };
    let (model, loaded) = Transformer::load_for_labels(&source.checkpoint, head, known, device)?;
    let model = source
        .saved
        .put_on(model, &loaded, &source.base.name, "--model")?;
    Ok((model, task))
}
