//! What an adapter folder, or a whole model, predicts.

use lora_core::peft::TaskType;
use lora_data::tasks::Benchmark;
use lora_data::{LabelNames, ProblemType, Task};
use lora_models::{HeadKind, sequence_output_name};

use super::Saved;
use super::source::AdapterSource;
use crate::bail;
use crate::error::{Context, Result};

/// What is wrong with a language model where labels are wanted.
const NO_LABELS: &str = "the adapter belongs to a language model, which has no labels; use `lora generate --adapter`, or score it on questions with \
     choices (lora eval --task-name)";

impl AdapterSource {
    /// What an adapter predicts of labelled rows: as its own file says, as PEFT's does, or as is asked for. A language model answers
    /// questions with choices whatever it was taught. `labels` are the names that the user gives.
    ///
    /// # Errors
    ///
    /// If the folder is for something else than is asked for, or does not say what it is for.
    pub fn labelled_task(&self, labels: Option<&[String]>, asked: Option<&Benchmark>) -> Result<Task> {
        let wanted = asked.map(Benchmark::problem_type);
        if wanted == Some(ProblemType::CausalLm) {
            bail!(
                "instructions have no labels to score; use lora generate --adapter, or score the adapter on mmlu"
            );
        }
        let file = self.task_file.as_ref().map(|file| file.problem_type);
        let writes_text = match file {
            Some(problem) => matches!(problem, ProblemType::CausalLm | ProblemType::MultipleChoice),
            None => matches!(self.saved.task_type(), Some(TaskType::CausalLm) | None),
        };
        if wanted == Some(ProblemType::MultipleChoice) && writes_text {
            return Ok(Task::multiple_choice(asked));
        }
        let task_type = self.task_type();
        let task = match (file, task_type, wanted) {
            // What writes text has no head for anything else: of all labelled rows, questions with choices are what it can answer.
            (None, Some(TaskType::CausalLm), None) if labels.is_none() => Task::multiple_choice(None),
            (Some(ProblemType::QuestionAnswering), _, Some(ProblemType::QuestionAnswering))
            | (None, Some(TaskType::QuestionAns), _)
            | (None, None, Some(ProblemType::QuestionAnswering)) => Task::question_answering(asked),
            (None, None, Some(ProblemType::TokenClassification)) => self.tagging(labels)?,
            _ => self.own_task(labels)?,
        };
        if task == Task::Completion {
            bail!("{NO_LABELS}");
        }
        let found = task.problem_type();
        match wanted.filter(|wanted| !wanted.has_rows_of(found)) {
            Some(wanted) => bail!(
                "`{}` is for {}, but {} has {}; give an adapter that was trained for them",
                self.saved.path().display(),
                found.name(),
                asked.map_or("the task", |benchmark| benchmark.name),
                wanted.rows()
            ),
            None => Ok(task),
        }
    }

    /// What an adapter was trained for: as its own file says, or as PEFT's does. `labels` are the names that the user gives.
    ///
    /// # Errors
    ///
    /// If names of labels are missing, or do not fit the head.
    pub fn own_task(&self, labels: Option<&[String]>) -> Result<Task> {
        match (&self.task_file, self.task_type()) {
            (Some(file), _) if !file.problem_type.is_of_texts() => file.task(),
            (None, Some(TaskType::CausalLm)) if labels.is_none() => Ok(Task::Completion),
            (None, Some(TaskType::QuestionAns)) => Ok(Task::question_answering(None)),
            (None, Some(TaskType::TokenCls)) => self.tagging(labels),
            _ => self.text_task(labels),
        }
    }

    /// PEFT's name for the task; of a whole model that of its class.
    fn task_type(&self) -> Option<TaskType> {
        let of_class = || {
            let Saved::Model { .. } = self.saved else {
                return None;
            };
            let class = self.checkpoint.config["architectures"][0].as_str()?;
            HeadKind::of_architecture(class, 1)?.task_type()
        };
        self.saved.task_type().or_else(of_class)
    }

    /// Tags, for a folder that does not name them itself.
    fn tagging(&self, labels: Option<&[String]>) -> Result<Task> {
        if let Some(names) = labels {
            let tags = LabelNames::new(names).context("--labels")?;
            return Ok(Task::Tagging { tags });
        }
        let config = self.checkpoint.config.to_string();
        let tags = LabelNames::from_config_json(&config, self.checkpoint.config_path())?;
        let tags = tags.with_context(|| {
            format!(
                "`{}` and its base model name no tags; name them with --labels in the order of the outputs",
                self.saved.path().display()
            )
        })?;
        Ok(Task::Tagging { tags })
    }

    /// One of these labels, or any number of them: as the adapter's own file says, else the base model's `problem_type`, by which
    /// Transformers takes a sigmoid or a softmax.
    fn of_labels(&self, labels: LabelNames) -> Task {
        let multi_label = ProblemType::MultiLabelClassification;
        let any_number = match &self.task_file {
            Some(file) => file.problem_type == multi_label,
            None => self.checkpoint.config["problem_type"] == multi_label.name(),
        };
        if any_number {
            Task::MultiLabel { labels }
        } else {
            Task::Classification { labels }
        }
    }

    /// Whether the one output is a number, for a head of so many outputs, or the base model's.
    ///
    /// # Errors
    ///
    /// If `problem_type` gives outputs a meaning that they cannot have here.
    fn predicts_a_number(&self, head: Option<usize>) -> Result<bool> {
        let outputs = head.unwrap_or_else(|| self.checkpoint.outputs());
        let says = |problem: ProblemType| self.checkpoint.config["problem_type"] == problem.name();
        let place = self.checkpoint.config_path();
        match outputs {
            1 if says(ProblemType::MultiLabelClassification) => bail!(
                "by problem_type in `{}` the one output is a label that holds or not, but several labels need two at least; name it \
                 regression to get the output as it is",
                place.display()
            ),
            1 => Ok(true),
            _ if says(ProblemType::Regression) => bail!(
                "by problem_type in `{}` the {outputs} outputs are numbers, but a regression has one here; if they are classes, \
                 name them with --labels",
                place.display()
            ),
            _ => Ok(false),
        }
    }

    /// What is predicted of a text: as told by flag, by the adapter's own file, by the base model's labels, or by numbers.
    fn text_task(&self, given: Option<&[String]>) -> Result<Task> {
        let Self {
            saved, checkpoint, ..
        } = self;
        let head_name = sequence_output_name(checkpoint)?;
        let head = saved.outputs(&head_name, checkpoint);
        let task = match (given, &self.task_file) {
            (Some(names), _) => self.of_labels(LabelNames::new(names).context("--labels")?),
            (None, Some(file)) => file.task()?,
            (None, None) if self.predicts_a_number(head)? => Task::Regression,
            (None, None) => {
                let config = checkpoint.config.to_string();
                let known = LabelNames::from_config_json(&config, checkpoint.config_path())?;
                let fitting = known.filter(|labels| head.is_none_or(|outputs| labels.len() == outputs));
                let labels = match (fitting, head) {
                    (Some(labels), _) => labels,
                    (None, Some(outputs)) => LabelNames::new((0..outputs).map(|class| class.to_string()))?,
                    (None, None) if !saved.tensors_in_full().is_empty() => bail!(
                        "`{}` holds {}, but no `{head_name}`, as the head of `{}` is called: it looks like an adapter of another \
                         model{}; give its own base model with --model",
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
                self.of_labels(labels)
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
}

/// The first few of some names.
fn quoted(names: &[&str]) -> String {
    let first: Vec<String> = names.iter().take(2).map(|name| format!("`{name}`")).collect();
    first.join(", ")
}
