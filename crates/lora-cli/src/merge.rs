//! `lora merge`: an adapter into its base model, as a Hugging Face folder or as a file for llama.cpp.

use anyhow::{Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use lora_core::Adapted;
use lora_data::Task;
use lora_experiments::memory::peak_memory_bytes;
use lora_models::gguf::{GgufDtype, GgufModel};
use lora_models::{HeadKind, HeadOptions, Transformer};
use lora_pipeline::base::checkpoint::is_gguf;
use lora_pipeline::base::model_folder::ModelFolder;
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::{check_free, write_folder};
use lora_pipeline::files::unfinished::note_unfinished;
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
    /// What is written: safetensors (a folder) or gguf (a file for llama.cpp; --output ends in .gguf).
    #[arg(long, default_value = "safetensors")]
    format: MergedFormat,
    /// How a gguf file has its matrices [f16].
    #[arg(long)]
    outtype: Option<MergedDtype>,
    #[command(flatten)]
    output: NewFolderArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Who is to read the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MergedFormat {
    /// Transformers, and whoever reads its folders.
    Safetensors,
    /// llama.cpp, and whoever builds on it.
    Gguf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MergedDtype {
    /// Floats of 32 bits.
    F32,
    /// Floats of 16 bits.
    F16,
    /// Whole numbers of 8 bits, with a factor for each 32.
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<MergedDtype> for GgufDtype {
    fn from(dtype: MergedDtype) -> Self {
        match dtype {
            MergedDtype::F32 => Self::F32,
            MergedDtype::F16 => Self::F16,
            MergedDtype::Q8_0 => Self::Q8_0,
        }
    }
}

/// Adds the mean pass's update to the base model's weights and writes the model; a folder has all weights in f32, so that nothing of the
/// update is rounded away.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the folder cannot be written.
pub fn run(args: &MergeArgs, terminal: &Terminal) -> Result<()> {
    let (adapter, output) = (args.adapter.folder(), &args.output.output);
    check_form(args)?;
    check_free(output)?;
    note_unfinished(adapter, terminal);
    if matches!(Saved::read(adapter)?, Saved::Model { .. }) {
        bail!(
            "`{}` is a whole model already: there is nothing to merge",
            adapter.display()
        );
    }
    let source = open_source(adapter, args.base.base.as_deref(), args.base.revision.as_deref())?;
    // Before the weights are loaded: what no file can hold needs no other name.
    let gguf = (args.format == MergedFormat::Gguf).then(|| {
        let dtype = args.outtype.unwrap_or(MergedDtype::F16).into();
        let name = output.file_stem().unwrap_or_default().to_string_lossy();
        GgufModel::of(&source.checkpoint, dtype, &name)
    });
    let gguf = gguf.transpose()?;
    if gguf.is_some() && !is_gguf(output) {
        bail!(
            "--output is `{}`, but --format gguf writes a file; give a new file that ends in .gguf",
            output.display()
        );
    }
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
    match gguf {
        Some(gguf) => gguf.write(output, &merged)?,
        None => write_folder(output, |folder| Ok(form.write(folder, &merged)?))?,
    }
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

/// Refuses arguments of a folder that do not fit each other.
fn check_form(args: &MergeArgs) -> Result<()> {
    let output = &args.output.output;
    match args.format {
        MergedFormat::Safetensors if is_gguf(output) => bail!(
            "--output is `{}`, but a folder is written; for a file of llama.cpp add --format gguf",
            output.display()
        ),
        MergedFormat::Safetensors if args.outtype.is_some() => {
            bail!(
                "--outtype is of gguf files alone: a folder has all weights in f32; add --format gguf, or leave --outtype out"
            )
        }
        MergedFormat::Safetensors | MergedFormat::Gguf => Ok(()),
    }
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
