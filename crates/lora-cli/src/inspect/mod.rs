//! `lora inspect`: what is in a model or an adapter folder.

mod model;
mod tuned;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use lora_core::gaussian::posterior_of;
use lora_core::peft::{AdapterFolder, CONFIG_FILE, TENSOR_FILE};
use lora_core::tensors::TensorFile;
use lora_core::tuned::TUNING_FILE;
use lora_core::{Adapted, Form, Init, LoraConfig};
use lora_models::{HeadKind, HeadOptions, Transformer, sequence_output_name};
use lora_pipeline::base::checkpoint::open_checkpoint;
use lora_pipeline::base::hub::hub_options;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::parameters::{grouped, parameter_line, peft_count};
use lora_pipeline::saved::Saved;
use lora_pipeline::saved::task_file::TaskFile;
use lora_report::{Better, Cell, Column, Table};
use serde::Serialize;
use serde_json::json;

use crate::module_paths;
use crate::shared_args::{BaseArgs, DeviceArgs};
use crate::terminal::Terminal;

/// Arguments of `lora inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// Model folder, GGUF file, adapter folder, hub id, or minilm-l6.
    #[arg(value_name = "DIR|ID", required_unless_present_any = ["adapter", "base"])]
    what: Option<String>,
    /// Adapter folder: the same, by its flag.
    #[arg(long, value_name = "DIR", conflicts_with = "what")]
    adapter: Option<String>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl InspectArgs {
    /// What is shown; a base model alone is shown itself.
    fn what(&self) -> &str {
        let what = self
            .what
            .as_ref()
            .or(self.adapter.as_ref())
            .or(self.base.base.as_ref());
        what.expect("the parser wants one of the three")
    }
}

impl InspectArgs {
    /// The base model of an adapter. The task file has its name as it was given, which may be that of the embedded model.
    fn base_name(&self, task: Option<&TaskFile>, of_folder: Option<&str>) -> Option<String> {
        let given = self.base.base.as_deref();
        let name = given.or_else(|| Some(task?.base_model.as_str())).or(of_folder);
        name.map(str::to_owned)
    }
}

/// An adapter of a folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct AdapterSize {
    path: String,
    rank: usize,
    d_input: usize,
    d_output: usize,
    /// What the product of the factors is multiplied by in the mean pass.
    scale: f64,
    /// Frobenius norm of the mean pass's update.
    update_norm: f64,
}

/// Shows a model or an adapter folder.
///
/// # Errors
///
/// If it cannot be read.
pub fn run(args: &InspectArgs, terminal: &Terminal) -> Result<()> {
    let folder = Path::new(args.what());
    note_unfinished(folder, terminal);
    if folder.join(CONFIG_FILE).is_file() {
        return show_adapter(args, folder, terminal);
    }
    if folder.join(TUNING_FILE).is_file() {
        return tuned::show(args, folder, terminal);
    }
    if folder.is_dir() && !folder.join("config.json").is_file() {
        bail!(
            "`{}` holds neither {CONFIG_FILE} nor config.json; give a model folder or an adapter folder",
            args.what()
        );
    }
    model::show(args, terminal)
}

fn show_adapter(args: &InspectArgs, path: &Path, terminal: &Terminal) -> Result<()> {
    let folder = AdapterFolder::read(path)?;
    let task = TaskFile::read(path)?;
    let tensors = TensorFile::open(&path.join(TENSOR_FILE))?;
    let adapters = adapters_in(&folder)?;
    let saved: usize = tensors
        .names()
        .filter_map(|name| tensors.shape(name))
        .map(|shape| shape.iter().product::<usize>())
        .sum();
    let base = args.base_name(task.as_ref(), folder.base_model.as_deref());
    let saved_folder = Saved::Adapter(folder);
    let on_base = count_on_base(args, &saved_folder, task.as_ref(), base.as_deref(), terminal)?;
    let Saved::Adapter(folder) = saved_folder else {
        unreachable!("it was made above")
    };

    let columns = vec![
        Column::new("rank", Better::None, 0),
        Column::new("shape", Better::None, 0),
        Column::new("scale", Better::None, 4),
        Column::new("‖ΔW‖", Better::None, 4),
    ];
    let title = format!(
        "{}: {}, {} linears, rank {} in all, {} saved numbers",
        args.what(),
        form_of(&folder.config),
        adapters.len(),
        adapters.iter().map(|adapter| adapter.rank).sum::<usize>(),
        grouped(saved)
    );
    let above = module_paths::common(adapters.iter().map(|adapter| adapter.path.as_str()));
    let heading = if above.is_empty() {
        "linear".to_owned()
    } else {
        format!("linear below {above}")
    };
    let mut table = Table::new(title, heading, columns).with_note(
        "Shape: inputs to outputs. ‖ΔW‖: Frobenius norm of what the adapter adds to the weight. It and the scale are those of \
         the mean pass, the one without masks, which every PEFT reader computes.",
    );
    for adapter in &adapters {
        let cells = vec![
            Cell::text(adapter.rank.to_string()),
            Cell::text(format!("{} → {}", adapter.d_input, adapter.d_output)),
            Cell::value(adapter.scale),
            Cell::value(adapter.update_norm),
        ];
        table.push(adapter.path[above.len()..].trim_start_matches('.'), cells);
    }
    terminal.table(&table)?;
    terminal.say(format!("base model: {}", base.as_deref().unwrap_or("not named")))?;
    let full: Vec<&str> = folder.tensors_in_full().collect();
    if !full.is_empty() {
        terminal.say(format!("trained in full: {}", modules_of(&full)))?;
    }
    terminal.say(describe_dropout(&folder.config))?;
    let posterior = posterior_of(path)?;
    if let Some((method, settings)) = &posterior {
        terminal.say(format!(
            "ensemble: members are drawn from a Gaussian over trained parameters ({}, {settings})",
            method.name()
        ))?;
    }
    if let Some(adapted) = &on_base {
        terminal.say(parameter_line(adapted))?;
    }
    let counts = on_base.as_ref().map(peft_count);
    terminal.document(&json!({
        "kind": "adapter",
        "form": form_of(&folder.config),
        "name": args.what(),
        "base_model": base,
        "task_type": folder.task_type,
        "config": folder.config,
        "ensemble": folder.ensemble,
        "posterior": posterior.map(|(method, settings)| json!({"method": method, "settings": settings})),
        "task": task,
        "adapters": adapters,
        "trained_in_full": full,
        "saved_numbers": saved,
        "trainable_params": counts.map(|count| count.trained),
        "all_params": counts.map(|count| count.all),
    }))
}

/// The modules of tensors that were trained in full; biases of other modules are only counted.
fn modules_of(tensors: &[&str]) -> String {
    let modules: Vec<&str> = tensors
        .iter()
        .filter_map(|name| name.strip_suffix(".weight"))
        .collect();
    let is_alone = |name: &&&str| {
        name.strip_suffix(".bias")
            .is_some_and(|module| !modules.contains(&module))
    };
    let biases = tensors.iter().filter(is_alone).count();
    let mut parts: Vec<String> = modules.iter().map(|module| (*module).to_owned()).collect();
    match biases {
        0 => {}
        1 => parts.push("1 bias of another linear or norm".to_owned()),
        count => parts.push(format!("{count} biases of other linears and norms")),
    }
    parts.join(", ")
}

fn describe_dropout(config: &LoraConfig) -> String {
    match config.dropout {
        Some(dropout) => format!(
            "LoRA Dropout: probability {}, {} masks on {}; without masks (mean pass) {:.4} of the trained update is added, its \
             average under masks",
            dropout.probability,
            match dropout.rescale {
                lora_core::Rescale::Plain => "plain",
                lora_core::Rescale::Rescaled => "rescaled",
            },
            dropout.axes.name().replace('_', " "),
            dropout.mean_factor()
        ),
        None => format!("no LoRA Dropout; input dropout {}", config.input_dropout),
    }
}

/// The adapter on its base model, if that can be had without the network. A base that was asked for must load.
fn count_on_base(
    args: &InspectArgs,
    saved: &Saved,
    task: Option<&TaskFile>,
    base: Option<&str>,
    terminal: &Terminal,
) -> Result<Option<Adapted<Transformer>>> {
    let Some(base) = base else { return Ok(None) };
    let mut hub = hub_options(args.base.revision.as_deref());
    hub.offline |= args.base.base.is_none();
    let checkpoint = match open_checkpoint(base, &hub) {
        Ok(checkpoint) => checkpoint,
        Err(error) if args.base.base.is_some() => return Err(anyhow::Error::from(error).context("--model")),
        Err(_) => {
            terminal.note(format!(
                "the base model `{base}` is not here; parameters are counted with --model MODEL"
            ));
            return Ok(None);
        }
    };
    let outputs = saved.outputs(&sequence_output_name(&checkpoint)?, &checkpoint);
    let kind = match task {
        Some(task) => HeadKind::from(&task.task()?),
        None => HeadKind::SequenceClassification {
            outputs: outputs.unwrap_or(1),
        },
    };
    let head = HeadOptions { kind, seed: 0 };
    let (model, _) = Transformer::load(&checkpoint, head, &args.device.device.open()?)?;
    Ok(Some(saved.attach_to(model)?))
}

/// The adapters of a folder. DoRA's norms are those of its factors; what the lengths of columns add depends on the base model.
fn adapters_in(folder: &AdapterFolder) -> Result<Vec<AdapterSize>> {
    let mut tensors = folder.tensors_by_name()?;
    let is_svd = folder.config.adalora().is_some();
    let suffix = if is_svd { "" } else { ".weight" };
    let endings = [format!(".lora_A{suffix}"), ".lora_embedding_A".to_owned()];
    let paths: Vec<(String, bool)> = folder
        .tensor_names()
        .filter_map(|name| {
            let linear = name.strip_suffix(&endings[0]).map(|path| (path, false));
            let found = linear.or_else(|| Some((name.strip_suffix(&endings[1])?, true)));
            found.map(|(path, is_table)| (path.to_owned(), is_table))
        })
        .collect();
    let adapter = |(path, is_table): &(String, bool)| {
        let mut take = |factor: &str| {
            let name = if *is_table {
                format!("{path}.{}", factor.replace("lora_", "lora_embedding_"))
            } else {
                format!("{path}.{factor}{suffix}")
            };
            let tensor = tensors.remove(&name);
            tensor.with_context(|| format!("`{}` lacks the tensor `{name}`", folder.path().display()))
        };
        let (mut a, b) = (take("lora_A")?, take("lora_B")?);
        let ([rank, d_input], [d_output, rank_of_b]) = (&a.shape[..], &b.shape[..]) else {
            bail!(
                "`{}`: the factors of `{path}` are no matrices",
                folder.path().display()
            );
        };
        let (rank, d_input, d_output) = (*rank, *d_input, *d_output);
        if rank != *rank_of_b {
            bail!(
                "`{}`: the factors of `{path}` have the ranks {rank} and {rank_of_b}",
                folder.path().display()
            );
        }
        if is_svd && d_input > 0 {
            let e = take("lora_E")?;
            for (row, weight) in a.values.chunks_exact_mut(d_input).zip(&e.values) {
                for value in row {
                    *value *= weight;
                }
            }
        }
        let scale = folder.config.low_rank_of(path).mean_scale();
        Ok(AdapterSize {
            path: path.clone(),
            rank,
            d_input,
            d_output,
            scale,
            update_norm: scale * product_norm(&a.values, &b.values, rank),
        })
    };
    paths.iter().map(adapter).collect()
}

/// The form of the update in words.
fn form_of(config: &LoraConfig) -> &'static str {
    match (&config.form, config.init) {
        (Form::Svd(_), _) => "AdaLoRA",
        (Form::WeightDecomposed, _) => "DoRA",
        (Form::LowRank, Init::Pissa | Init::PissaNiter(_)) => "LoRA (PiSSA)",
        (Form::LowRank, Init::Olora) => "LoRA (OLoRA)",
        (Form::LowRank, _) => "LoRA",
    }
}

/// Frobenius norm of `B A` without the product: `‖BA‖² = Σ_ij (BᵀB)_ij (AAᵀ)_ij`.
///
/// # Shapes
///
/// - a: `[rank, d_input]`
/// - b: `[d_output, rank]`
fn product_norm(a: &[f32], b: &[f32], rank: usize) -> f64 {
    if rank == 0 {
        return 0.0;
    }
    let d_input = a.len() / rank;
    let mut square = 0.0;
    for i in 0..rank {
        for j in 0..rank {
            let of_a: f64 = (0..d_input)
                .map(|k| f64::from(a[i * d_input + k]) * f64::from(a[j * d_input + k]))
                .sum();
            let of_b: f64 = b
                .chunks_exact(rank)
                .map(|row| f64::from(row[i]) * f64::from(row[j]))
                .sum();
            square += of_a * of_b;
        }
    }
    square.max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::product_norm;

    #[test]
    fn the_norm_is_that_of_the_product() {
        // A = [[1, 2, 0], [0, 1, 3]], B = [[2, 1], [0, 4]]: BA = [[2, 5, 3], [0, 4, 12]].
        let norm = product_norm(&[1.0, 2.0, 0.0, 0.0, 1.0, 3.0], &[2.0, 1.0, 0.0, 4.0], 2);
        let expected = f64::from(4 + 25 + 9 + 16 + 144).sqrt();
        assert!((norm - expected).abs() < 1e-12);
    }
}
