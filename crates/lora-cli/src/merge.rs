//! `lora merge`: an adapter into its base model, as a Hugging Face folder.

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;
use lora_core::Adapted;
use lora_data::Task;
use lora_models::{HeadKind, HeadOptions, Transformer};
use lora_pipeline::base::model_folder::ModelFolder;
use lora_pipeline::counted::counted;
use lora_pipeline::device::{DEFAULT_DEVICE, DeviceName};
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::output::note_unfinished;
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::source::{AdapterSource, open_source};
use serde_json::json;

use crate::terminal::Terminal;

/// Arguments of `lora merge`.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// Adapter folder, written by `lora train` or by PEFT.
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Folder for the merged model: config.json, model.safetensors, tokenizer.json.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Base model, if it is not where the adapter folder says: a folder, a hub id, or minilm-l6.
    #[arg(long = "model", alias = "base", value_name = "MODEL")]
    base: Option<String>,
    /// Branch, tag or commit of a hub id.
    #[arg(long)]
    revision: Option<String>,
    /// Class names in the order of the outputs, for an adapter folder that does not name them.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    labels: Option<Vec<String>>,
    /// flex, ndarray, wgpu, vulkan, metal, cuda or rocm, also with an index: cuda:1.
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: DeviceName,
}

/// Adds the mean pass's update to the base model's weights and writes the model, all weights in f32, so that nothing of the
/// update is rounded away.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the folder cannot be written.
pub fn run(args: &MergeArgs, terminal: &Terminal) -> Result<()> {
    check_free(&args.output)?;
    note_unfinished(&args.adapter, terminal);
    if matches!(Saved::read(&args.adapter)?, Saved::Model { .. }) {
        bail!(
            "`{}` is a whole model already: there is nothing to merge",
            args.adapter.display()
        );
    }
    let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    let (adapted, task) = put_on_base(&source, args.labels.as_deref(), &args.device.open()?)?;
    let merged_paths: Vec<String> = adapted
        .adapter_shapes()
        .into_iter()
        .map(|shape| shape.path)
        .collect();
    let tuning = adapted.tuning().name();
    let form = ModelFolder::of(&source.checkpoint, &task);
    // The files of the base model are not needed beside the merged one.
    drop(source);
    let merged = adapted.merge()?;
    write_folder(&args.output, |folder| Ok(form.write(folder, &merged)?))?;
    let what = match merged_paths.len() {
        // Biases and full weights are part of the model as they are.
        0 => format!("what {tuning} trained is part of {}", args.output.display()),
        linears => format!(
            "{} merged into {}",
            counted(linears, "linear"),
            args.output.display()
        ),
    };
    terminal.say(format!(
        "{what}; its outputs are those of the mean pass, without temperature"
    ))?;
    terminal.document(&json!({ "output": args.output, "merged": merged_paths }))
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
    let adapted = source
        .saved
        .put_on(model, &loaded, &source.base_model, "--model")?;
    Ok((adapted, task))
}
