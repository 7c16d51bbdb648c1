//! `lora merge`: an adapter into its base model, as a Hugging Face folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use lora_core::atomic::write_file;
use lora_core::peft::{TaskType, write_tensors};
use lora_core::{Adapted, HostTensor, Linears, LoraLinear};
use lora_data::Task;
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use serde_json::{Map, Value, json};

use crate::adapter::{AdapterSource, open_source, task_of};
use crate::device::{DEFAULT_DEVICE, DeviceName};
use crate::folder_swap::{check_free, write_folder};
use crate::output::{note_unfinished, write_json};
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
    #[arg(long, value_name = "MODEL")]
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
    let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    let (adapted, task) = put_on_base(&source, args.labels.as_deref(), &args.device.open()?)?;
    let merged_paths: Vec<String> = adapted
        .adapter_shapes()
        .into_iter()
        .map(|shape| shape.path)
        .collect();
    let checkpoint = &source.checkpoint;
    let tensors = tensors_of(&adapted.merge(), checkpoint);
    write_folder(&args.output, |folder| {
        write_tensors(&folder.join("model.safetensors"), tensors)?;
        if let Some(tokenizer) = &checkpoint.tokenizer {
            write_file(&folder.join("tokenizer.json"), tokenizer)?;
        }
        // Last: a folder with a config is a whole one.
        let config = config_of(&checkpoint.config, task.as_ref(), source.folder.task_type);
        write_json(&folder.join("config.json"), &config)
    })?;
    terminal.say(format!(
        "{} linears merged into {}; its outputs are those of the mean pass, without temperature",
        merged_paths.len(),
        args.output.display()
    ))?;
    terminal.document(&json!({ "output": args.output, "merged": merged_paths }))
}

/// The adapter on its base model with the head that its task needs; the task of a sequence classifier.
///
/// # Errors
///
/// If the parts do not fit each other.
pub fn put_on_base(
    source: &AdapterSource,
    labels: Option<&[String]>,
    device: &Device,
) -> Result<(Adapted<Transformer>, Option<Task>)> {
    let AdapterSource {
        folder,
        task_file,
        checkpoint,
        ..
    } = source;
    let (kind, task) = match folder.task_type {
        Some(TaskType::CausalLm) => (HeadKind::CausalLm, None),
        Some(TaskType::QuestionAns) => (HeadKind::Spans, None),
        Some(TaskType::TokenCls) => {
            let outputs = folder
                .shape("classifier.weight")
                .and_then(|shape| shape.first().copied());
            let outputs = outputs.unwrap_or_else(|| checkpoint.outputs());
            (HeadKind::Tokens { outputs }, None)
        }
        _ => {
            let task = task_of(labels, task_file.as_ref(), folder, checkpoint)?;
            let outputs = task.outputs();
            (HeadKind::Sequence { outputs }, Some(task))
        }
    };
    let (model, _) = Transformer::load(checkpoint, HeadOptions { kind, seed: 0 }, device)?;
    Ok((folder.attach_to(model)?, task))
}

/// Every tensor of the checkpoint under the name that the model's class gives it, with the linears as they are now.
fn tensors_of(model: &Transformer, checkpoint: &Checkpoint) -> BTreeMap<String, HostTensor> {
    let file = &checkpoint.weights;
    let prefix = prefix_of(model);
    let has_prefix = file.names().any(|name| name.starts_with(&prefix));
    let mut tensors = BTreeMap::new();
    for name in file.names() {
        // Buffers of whole numbers, such as position_ids, are made anew by every reader.
        let Ok(Some(tensor)) = file.read(name) else {
            continue;
        };
        let full = if has_prefix {
            name.to_owned()
        } else {
            format!("{prefix}{name}")
        };
        tensors.insert(full, tensor);
    }
    model.visit_linears(&mut |linear| insert_linear(linear, &mut tensors));
    tensors
}

/// Puts a linear in the place of its old self, in that one's orientation; a new one, such as a head, in PyTorch's.
fn insert_linear(linear: &LoraLinear, tensors: &mut BTreeMap<String, HostTensor>) {
    let path = linear.path();
    let weight = HostTensor::of(linear.base.weight.val());
    let weight = if is_conv1d(path) {
        weight
    } else {
        weight.transposed()
    };
    tensors.insert(format!("{path}.weight"), weight);
    if let Some(bias) = &linear.base.bias {
        tensors.insert(format!("{path}.bias"), HostTensor::of(bias.val()));
    }
}

/// GPT-2 stores the weights of its blocks as `[d_input, d_output]`, square ones too.
fn is_conv1d(path: &str) -> bool {
    path.starts_with("transformer.h.")
}

/// What stands before the names of the trunk: the first component of the first linear's path.
fn prefix_of(model: &Transformer) -> String {
    let mut prefix = None;
    model.visit_linears(&mut |linear| {
        prefix.get_or_insert_with(|| format!("{}.", linear.path().split('.').next().unwrap_or_default()));
    });
    prefix.unwrap_or_default()
}

/// The base model's config for the task: the class of the model, names of classes, and the precision.
fn config_of(config: &Value, task: Option<&Task>, task_type: Option<TaskType>) -> Value {
    let mut config = config.as_object().cloned().unwrap_or_default();
    let ending = match task_type {
        Some(TaskType::CausalLm) => None,
        Some(TaskType::QuestionAns) => Some("ForQuestionAnswering"),
        Some(TaskType::TokenCls) => Some("ForTokenClassification"),
        _ => Some("ForSequenceClassification"),
    };
    let class = config
        .get("architectures")
        .and_then(|classes| classes[0].as_str());
    if let (Some(class), Some(ending)) = (class, ending) {
        let stem = class.split("For").next().unwrap_or(class);
        let stem = ["LMHeadModel", "PreTrainedModel", "Model"]
            .iter()
            .find_map(|end| stem.strip_suffix(end))
            .unwrap_or(stem);
        let class = format!("{stem}{ending}");
        config.insert("architectures".into(), json!([class]));
    }
    for key in ["torch_dtype", "dtype"] {
        if config.contains_key(key) {
            config.insert(key.into(), json!("float32"));
        }
    }
    let (names, problem) = match task {
        None => return Value::Object(config),
        Some(Task::Classification { labels }) => (labels.names().to_vec(), "single_label_classification"),
        Some(Task::Regression) => (vec!["LABEL_0".to_owned()], "regression"),
    };
    let by_class = names.iter().enumerate();
    let id2label: Map<_, _> = by_class
        .clone()
        .map(|(class, name)| (class.to_string(), json!(name)))
        .collect();
    let label2id: Map<_, _> = by_class
        .map(|(class, name)| (name.clone(), json!(class)))
        .collect();
    config.insert("id2label".into(), Value::Object(id2label));
    config.insert("label2id".into(), Value::Object(label2id));
    config.insert("problem_type".into(), json!(problem));
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_names_the_classes_and_the_class_of_the_model() {
        let base = json!({ "architectures": ["BertModel"], "torch_dtype": "float16", "hidden_size": 12 });
        let config = config_of(&base, Some(&Task::Regression), Some(TaskType::SeqCls));
        assert_eq!(config["architectures"], json!(["BertForSequenceClassification"]));
        assert_eq!(config["torch_dtype"], "float32");
        assert_eq!(config["hidden_size"], 12);
        assert_eq!(config["id2label"], json!({ "0": "LABEL_0" }));
    }
}
