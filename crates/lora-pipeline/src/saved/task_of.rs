//! What an adapter folder, or a whole model, is for.

use lora_core::peft::TaskType;
use lora_data::tasks::{Benchmark, RowsKind};
use lora_data::{LabelNames, Task};
use lora_models::{Checkpoint, HeadKind, sequence_output_name};

use crate::bail;
use crate::config::ProblemType;
use crate::data::kind::{Kind, prompt_style, squad_version};
use crate::error::{Context, Result};
use crate::saved::Saved;
use crate::saved::adapter::AdapterOptions;
use crate::saved::task_file::TaskFile;

/// The kind of task of an adapter: as its own file says, as PEFT's does, or as is asked for. A language model answers questions with
/// choices whatever it was taught.
pub(crate) fn kind_of(
    args: &AdapterOptions,
    task_file: Option<&TaskFile>,
    saved: &Saved,
    checkpoint: &Checkpoint,
    asked: Option<&Benchmark>,
) -> Result<Kind> {
    let wanted = asked.map(Benchmark::kind);
    if wanted == Some(RowsKind::Instructions) {
        bail!(
            "instructions have no labels to score; use lora generate --adapter, or score the adapter on mmlu"
        );
    }
    let is_language_model = match task_file {
        Some(file) => matches!(
            file.problem_type,
            ProblemType::CausalLm | ProblemType::MultipleChoice
        ),
        None => matches!(saved.task_type(), Some(TaskType::CausalLm) | None),
    };
    if wanted == Some(RowsKind::Choices) && is_language_model {
        return Ok(Kind::Choices(prompt_style(asked)));
    }
    let task_type = saved.task_type().or_else(|| task_of_model(saved, checkpoint));
    // What writes text has no head for anything else: of all labelled rows, questions with choices are what it can answer.
    if task_file.is_none()
        && task_type == Some(TaskType::CausalLm)
        && wanted.is_none()
        && args.labels.is_none()
    {
        return Ok(Kind::Choices(prompt_style(None)));
    }
    let kind = match (task_file, task_type, wanted) {
        (Some(file), ..)
            if !matches!(
                file.problem_type,
                ProblemType::SingleLabelClassification
                    | ProblemType::MultiLabelClassification
                    | ProblemType::Regression
            ) =>
        {
            match file.kind()? {
                Kind::Spans(_) if wanted == Some(RowsKind::Spans) => Kind::Spans(squad_version(asked)),
                kind => kind,
            }
        }
        (None, Some(TaskType::QuestionAns), _) | (None, None, Some(RowsKind::Spans)) => {
            Kind::Spans(squad_version(asked))
        }
        (None, Some(TaskType::TokenCls), _) | (None, None, Some(RowsKind::Words)) => {
            Kind::Words(tag_names(args, checkpoint)?)
        }
        _ => Kind::Texts(task_of(args.labels.as_deref(), task_file, saved, checkpoint)?),
    };
    match wanted.filter(|wanted| *wanted != kind.rows()) {
        Some(wanted) => bail!(
            "`{}` is for {}, but {} has {}; give an adapter that was trained for them",
            args.adapter.display(),
            kind.problem_type().name(),
            asked.map_or("the task", |benchmark| benchmark.name),
            wanted.words()
        ),
        None => Ok(kind),
    }
}

/// What a whole model is for, by the name of its class.
fn task_of_model(saved: &Saved, checkpoint: &Checkpoint) -> Option<TaskType> {
    let Saved::Model { .. } = saved else {
        return None;
    };
    let class = checkpoint.config["architectures"][0].as_str()?;
    HeadKind::of_architecture(class, 1)?.task_type()
}

/// The names of the tags of a folder that does not say them itself.
fn tag_names(args: &AdapterOptions, checkpoint: &Checkpoint) -> Result<LabelNames> {
    if let Some(names) = &args.labels {
        return LabelNames::new(names).context("--labels");
    }
    let config = checkpoint.config.to_string();
    let known = LabelNames::from_config_json(&config, checkpoint.config_path())?;
    known.with_context(|| {
        format!(
            "`{}` and its base model name no tags; name them with --labels in the order of the outputs",
            args.adapter.display()
        )
    })
}

/// One of these labels, or any number of them: as the adapter's own file says, else the base model's `problem_type`, by which Transformers
/// takes a sigmoid or a softmax.
pub(crate) fn task_of_labels(
    labels: LabelNames,
    task_file: Option<&TaskFile>,
    checkpoint: &Checkpoint,
) -> Task {
    let any_number = match task_file {
        Some(file) => file.problem_type == ProblemType::MultiLabelClassification,
        None => checkpoint.config["problem_type"] == ProblemType::MultiLabelClassification.name(),
    };
    if any_number {
        Task::MultiLabel { labels }
    } else {
        Task::Classification { labels }
    }
}

/// What an adapter predicts: as told by flag, by its own file, by the base model's labels, or by numbers.
///
/// # Errors
///
/// If the names do not fit the head, or there is neither a head nor a name.
pub fn task_of(
    given: Option<&[String]>,
    task_file: Option<&TaskFile>,
    saved: &Saved,
    checkpoint: &Checkpoint,
) -> Result<Task> {
    let head_name = sequence_output_name(checkpoint)?;
    let head = saved.outputs(&head_name, checkpoint);
    let of_labels = |labels| task_of_labels(labels, task_file, checkpoint);
    let task = match (given, task_file) {
        (Some(names), _) => of_labels(LabelNames::new(names).context("--labels")?),
        (None, Some(file)) => file.task()?,
        (None, None) if head == Some(1) => Task::Regression,
        (None, None) => {
            let config = checkpoint.config.to_string();
            let known = LabelNames::from_config_json(&config, checkpoint.config_path())?;
            let fitting = known.filter(|labels| head.is_none_or(|outputs| labels.len() == outputs));
            let labels = match (fitting, head) {
                (Some(labels), _) => labels,
                (None, Some(outputs)) => LabelNames::new((0..outputs).map(|class| class.to_string()))?,
                (None, None) if !saved.tensors_in_full().is_empty() => bail!(
                    "`{}` holds {}, but no `{head_name}`, as the head of `{}` is called: it looks like an adapter of another model{}; give \
                     its own base model with --model",
                    saved.path().display(),
                    quoted(&saved.tensors_in_full()),
                    checkpoint.origin.display(),
                    saved
                        .base_model()
                        .map_or_else(String::new, |base| format!(", `{base}`"))
                ),
                (None, None) => bail!(
                    "`{}` holds no head and the base model names no labels; name the classes with --labels",
                    saved.path().display()
                ),
            };
            of_labels(labels)
        }
    };
    if let Some(outputs) = head.filter(|outputs| *outputs != task.outputs()) {
        bail!(
            "`{}` has a head for {outputs} outputs, but there are {} labels; give one name an output with --labels",
            saved.path().display(),
            task.outputs()
        );
    }
    Ok(task)
}

/// The first few of some names.
fn quoted(names: &[&str]) -> String {
    let first: Vec<String> = names.iter().take(2).map(|name| format!("`{name}`")).collect();
    first.join(", ")
}
