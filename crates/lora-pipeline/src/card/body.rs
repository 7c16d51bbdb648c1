//! The text of a card: what it was trained on, how good and how sure it is, how it is loaded.

use std::fmt::Write as _;

use lora_core::peft::TaskType;
use lora_core::{Form, Tuning};
use lora_data::Task;
use lora_eval::Bootstrap;
use lora_train::MaskChange;

use super::{CardTraining, ModelCard};
use crate::base::checkpoint::public_name;
use crate::base::task_type;
use crate::calibration::CalibrationFile;
use crate::counted::counted;
use crate::error::Result;
use crate::score::accuracy::accuracy_interval;
use crate::score::{INTERVAL_LEVEL, ScoredMethod, TaskScores, legend, table};

/// Classes that are listed, at most.
const LISTED: usize = 30;

impl ModelCard<'_> {
    pub(super) fn body(&self) -> Result<String> {
        let sections = [
            Some(self.summary()),
            self.training.map(|training| self.training_section(&training)),
            self.score_section()?,
            self.calibration_section(),
            Some(self.use_section()),
        ];
        Ok(sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n") + "\n")
    }

    /// The base model's name without the folders that it lies in.
    fn base_name(&self) -> &str {
        let name = public_name(&self.task_file.base_model);
        match self.hub_id() {
            Some(id) => id,
            None => name.rsplit(['/', '\\']).next().unwrap_or(name),
        }
    }

    fn summary(&self) -> String {
        let base = match self.hub_id() {
            Some(id) => format!("[{id}](https://huggingface.co/{id})"),
            None => code(self.base_name()),
        };
        let tuned = match self.tuning {
            Tuning::Lora(lora) => {
                let form = match lora.form {
                    Form::LowRank => "A LoRA",
                    Form::WeightDecomposed => "A DoRA",
                    Form::Svd(_) => "An AdaLoRA",
                };
                let masks = lora.dropout.map_or_else(String::new, |dropout| {
                    format!(", trained with LoRA Dropout (p = {})", dropout.probability)
                });
                format!(
                    "{form} adapter of rank {} and alpha {}{masks}, for {base}",
                    lora.rank, lora.alpha
                )
            }
            Tuning::Full(_) => format!("{base} with all of its weights fine-tuned"),
            Tuning::BitFit(_) => format!("Fine-tuned biases (BitFit) for {base}"),
            Tuning::Bottleneck(config) => format!(
                "Bottleneck adapters ({}, size {}) for {base}",
                self.tuning.name(),
                config.size
            ),
        };
        let labels = self.task.labels().map(|labels| {
            let names = labels.names();
            let listed: Vec<String> = names.iter().take(LISTED).map(|name| code(name)).collect();
            let more = if names.len() > LISTED { ", …" } else { "" };
            format!(
                " Its outputs, in this order: {}{more} ({}).",
                listed.join(", "),
                names.len()
            )
        });
        let what = match self.task {
            Task::Classification { .. } => "the class of a text",
            Task::MultiLabel { .. } => "which labels hold for a text",
            Task::Regression => "a number for a text",
            Task::QuestionAnswering { .. } => "the answer to a question in a text",
            Task::Tagging { .. } => "a tag for each word",
            Task::MultipleChoice { .. } => "which choice answers a question",
            Task::Completion => "what follows a prompt",
        };
        format!("{tuned}. It predicts {what}.{}", labels.unwrap_or_default())
    }

    fn training_section(&self, training: &CardTraining<'_>) -> String {
        let CardTraining {
            config,
            rows: [train, validation, test],
            history,
        } = training;
        let mut lines = vec![format!(
            "- data: {}; {train} training, {validation} validation and {test} test rows, of at most {}",
            code(&self.data_name()),
            counted(self.task_file.max_seq_length, "token")
        )];
        if let Some(benchmark) = self.benchmark() {
            lines.push(format!("- what is known of its licence: {}", benchmark.license));
        }
        lines.push(format!(
            "- {}: learning rate {:e}, batches of {}, seed {}",
            counted(history.steps.len(), "step"),
            config.train.learning_rate,
            counted(
                config.train.per_device_train_batch_size * config.train.gradient_accumulation_steps,
                "row"
            ),
            config.train.seed
        ));
        let masks = MaskChange::all_in_words(&history.mask_changes);
        if !masks.is_empty() {
            lines.push(format!(
                "- p of LoRA Dropout, found by the loss on the validation rows: {}",
                masks.join("; ")
            ));
            lines.extend(history.kept_in_words().map(|kept| format!("- {kept}")));
        } else if let Some(step) = history.best_step {
            lines.push(format!(
                "- chosen by {} on the validation rows: step {step} of {}",
                config.train.metric_for_best_model,
                history.steps.len()
            ));
        }
        lines.push(format!(
            "- program: lora {} on Burn; `run.json` beside this file holds every setting",
            env!("CARGO_PKG_VERSION")
        ));
        format!("## Training\n\n{}", lines.join("\n"))
    }

    fn score_section(&self) -> Result<Option<String>> {
        let mut text = String::from("## Scores\n");
        for (split, methods) in self.held_out() {
            let table = table(&format!("{split} rows"), methods).to_markdown();
            let _ = write!(text, "\n{table}");
            if let Some(sentence) = self.in_use(methods).map(intervals).transpose()?.flatten() {
                let _ = writeln!(text, "\n{sentence}");
            }
        }
        let Some((_, methods)) = self.held_out().last() else {
            return Ok(None);
        };
        if let Some(legend) = legend(methods) {
            let _ = writeln!(text, "\n{legend}");
        }
        if self.held_out().any(|(split, _)| split == "validation") {
            // Without a training here, what they chose is the Gaussian.
            let chosen = self.training.map_or("Gaussian", |_| "step");
            let _ = writeln!(
                text,
                "\nThe validation rows chose the {chosen} and the temperature, so their scores flatter."
            );
        }
        Ok(Some(text.trim_end().to_owned()))
    }

    fn calibration_section(&self) -> Option<String> {
        let has_classes = !matches!(self.task, Task::Regression | Task::Completion);
        if !has_classes {
            return None;
        }
        let temperature = self.task_file.temperature;
        let fitted: Vec<String> = [
            ("mean pass", temperature.mean),
            ("ensemble", temperature.ensemble),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{:.4} for the {name}", value?)))
        .collect();
        let mut text = if fitted.is_empty() {
            "No temperature: on the validation rows none lowered the loss beyond chance, or there were too few of them.".to_owned()
        } else {
            format!(
                "Logits are divided by a temperature: {}. It was fitted on the validation rows, and is offered because it lowered the loss of \
                 rows that it had not seen, in ten-fold cross-fitting, beyond chance.",
                fitted.join(", ")
            )
        };
        if let Some(ensemble) = self.task_file.ensemble {
            let _ = write!(
                text,
                " The ensemble has {}, each {}, seed {}.",
                counted(ensemble.members as usize, "member"),
                self.member(),
                ensemble.seed
            );
        }
        if let Some(rows) = self.calibration.and_then(CalibrationFile::validation_rows) {
            let _ = write!(
                text,
                "\n\n`calibration.json` holds the conformity scores of {} (LAC, APS, RAPS).",
                counted(rows, "validation row")
            );
        }
        if let Some(promise) = self.calibration.and_then(CalibrationFile::promise) {
            let _ = write!(
                text,
                " `lora predict --coverage 0.9` gives each text a set of classes that holds the true one with probability {}. This is about \
                 texts drawn as the validation rows were; those have chosen the model and the temperature too, so the coverage may be a \
                 little lower.",
                promise.in_words()
            );
        }
        if let Some(refusal) = self.calibration.and_then(CalibrationFile::refusal) {
            let _ = write!(text, " {refusal}");
        }
        Some(format!("## Calibration\n\n{text}"))
    }

    /// What a member of the ensemble is.
    fn member(&self) -> String {
        let Some(method) = self.task_file.posterior else {
            return "with masks of its own".to_owned();
        };
        let number = |key: &str| self.posterior?.settings()[key].as_f64();
        let size = number("sigma")
            .map(|sigma| format!(", σ = {sigma:.5}"))
            .or(number("prior_precision").map(|precision| format!(", prior precision {precision}")))
            .unwrap_or_default();
        format!(
            "a draw from a Gaussian over the adapter's factors ({}{size})",
            method.name()
        )
    }

    fn use_section(&self) -> String {
        let name = self.name();
        let ours = match self.task {
            Task::Completion => format!("lora generate --adapter {name} \"a prompt\""),
            Task::QuestionAnswering { .. } => {
                format!("lora predict --adapter {name} --context \"a text\" \"a question\"")
            }
            _ => format!("lora predict --adapter {name} \"a text\""),
        };
        let mut text =
            format!("## Use\n\nHere, with labels, temperature and ensemble:\n\n```sh\n{ours}\n```");
        let base = self.base_name();
        let (class, has_head) = match task_type(self.task) {
            TaskType::SeqCls => ("AutoModelForSequenceClassification", true),
            TaskType::TokenCls => ("AutoModelForTokenClassification", true),
            TaskType::QuestionAns => ("AutoModelForQuestionAnswering", false),
            TaskType::CausalLm => ("AutoModelForCausalLM", false),
            // No task of ours has another one.
            _ => ("AutoModel", false),
        };
        let outputs = match self.task.labels() {
            Some(labels) if has_head => format!(", num_labels={}", labels.len()),
            None if has_head => ", num_labels=1".to_owned(),
            _ => String::new(),
        };
        let lines = match self.tuning {
            Tuning::Lora(_) => format!(
                "import torch\nfrom peft import PeftModel\nfrom transformers import {class}\n\n\
                 base = {class}.from_pretrained(\"{base}\"{outputs}, dtype=torch.float32)\n\
                 model = PeftModel.from_pretrained(base, \"{name}\").eval()"
            ),
            Tuning::Full(_) => format!(
                "from transformers import {class}\n\nmodel = {class}.from_pretrained(\"{name}\").eval()"
            ),
            Tuning::BitFit(_) | Tuning::Bottleneck(_) => return text,
        };
        let note = if has_head {
            ", where outputs are logits of the mean pass, without temperature"
        } else {
            ""
        };
        let library = if matches!(self.tuning, Tuning::Lora(_)) {
            "PEFT"
        } else {
            "Transformers"
        };
        let _ = write!(text, "\n\nIn {library}{note}:\n\n```python\n{lines}\n```");
        text
    }
}

/// How far the scores of a way to predict may be from those of endlessly many rows; none where rows do not stand for themselves.
fn intervals(method: &ScoredMethod) -> Result<Option<String>> {
    let losses = &method.row_losses;
    let mut parts = Vec::new();
    match &method.scores {
        TaskScores::Classification(scores) => {
            let [lower, upper] = accuracy_interval(scores)?;
            parts.push(format!(
                "accuracy {:.3} ({lower:.3} to {upper:.3}, Wilson)",
                scores.accuracy
            ));
        }
        TaskScores::Regression(_) | TaskScores::Labels(_) => {}
        // Words of a sentence, and windows of a text, are alike.
        TaskScores::Words(_) | TaskScores::Spans(_) => return Ok(None),
    }
    if !losses.is_empty() {
        let bootstrap = Bootstrap {
            resamples: 1000,
            level: INTERVAL_LEVEL,
            ..Bootstrap::default()
        };
        let found = bootstrap.paired_means(losses, &vec![0.0; losses.len()])?;
        parts.push(format!(
            "{} {:.3} ({:.3} to {:.3}, bootstrap)",
            method.scores.loss_name(),
            found.difference,
            found.lower,
            found.upper
        ));
    }
    Ok(Some(format!(
        "In use: {}; {}. In parentheses: 95 % intervals over the rows.",
        method.method,
        parts.join(", ")
    )))
}

/// Text as code, on one line.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}
