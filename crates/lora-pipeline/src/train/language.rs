//! Training of a causal language model: prompts and completions in, an adapter folder out.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use lora_core::Adapted;
use lora_core::peft::TaskType;
use lora_data::tasks::{self, Benchmark, Instruction};
use lora_data::{
    Column, Completion, CompletionColumns, EncodedDataset, Padding, ReadCompletions, ResolvedColumn, RowText,
    read_completions, train_batches, training_split,
};
use lora_models::Transformer;
use lora_train::{FitData, History, TrainConfig};
use serde_json::{Value, json};

use super::checkpoints::{RESULTS_FILE, Saving};
use super::fit_and_save;
use super::task_file::task_file;
use crate::bail;
use crate::base::language_model::LanguageModel;
use crate::base::{attach, check_length};
use crate::config::{Resolved, RunConfig};
use crate::data::row_checks::RowChecks;
use crate::data::{ColumnNames, read_benchmark, whole_rows};
use crate::error::{Context, Result};
use crate::files::output::{json_text, write_finished, write_json};
use crate::files::provenance::MadeBy;
use crate::parameters::{attached_line, peft_count};
use crate::progress::{CancelToken, Progress};
use crate::saved::model_folder::ModelFolder;

/// A training on completions, loaded and checked.
pub struct Completions {
    pub(super) resolved: Resolved,
    pub(super) adapted: Adapted<Transformer>,
    pub(super) train: EncodedDataset,
    validation: Option<EncodedDataset>,
    pub(super) padding: Padding,
    columns: ColumnNames,
    model_folder: ModelFolder,
}

/// Loads and checks everything.
///
/// # Errors
///
/// If an input is wrong.
pub(super) fn prepare(resolved: Resolved, device: &Device, progress: &dyn Progress) -> Result<Completions> {
    let config = &resolved.config;
    let (rows, validation, columns) = match config.benchmark()? {
        Some(benchmark) => instructions(&resolved, benchmark, progress)?,
        None => completions(&resolved, progress)?,
    };
    let of_part = |part, rows: Option<&Vec<Completion>>| Some((part, RowText::of_prompts(rows?)));
    let texts = [
        of_part("training", Some(&rows)),
        of_part("validation", validation.as_ref()),
    ];
    let is_split = config.validation_file.is_none() && config.data_dir.is_none();
    let checks = RowChecks::of_texts(texts.into_iter().flatten().collect(), [is_split, false]);
    checks
        .sentences()
        .iter()
        .for_each(|sentence| progress.note(sentence));
    let seed = config.train.seed;
    let opened = LanguageModel::open(
        &config.model_name_or_path,
        config.revision.as_deref(),
        seed,
        device,
        config.fp32_precision,
    );
    let opened = opened.with_context(|| {
        let place = resolved.origins.of("model_name_or_path");
        place.unwrap_or_else(|| "model_name_or_path".to_owned())
    })?;
    let length = config.max_seq_length;
    check_length(length, opened.max_tokens).map_err(|error| resolved.origins.at("max_seq_length", error))?;
    let train = encode(rows, "training", &opened, config, progress)?;
    let validation = validation.map(|rows| encode(rows, "validation", &opened, config, progress));
    if !opened.loaded.initialized.is_empty() {
        progress.note(&format!(
            "new, from seed {seed}: {}",
            opened.loaded.initialized.join(", ")
        ));
    }
    let tuning = config.tuning(&opened.model.modules_to_save(), opened.usual_targets);
    let (adapted, attached) = attach(opened.model, &opened.loaded, tuning, seed)
        .map_err(|error| resolved.origins.adapter_error(&error))?;
    progress.note(&attached_line(adapted.tuning(), &attached));
    Ok(Completions {
        adapted,
        train,
        validation: validation.transpose()?,
        padding: Padding::with(opened.pad_id),
        columns,
        model_folder: opened.model_folder,
        resolved,
    })
}

/// Training rows, validation rows and what their columns are called.
type Rows = (Vec<Completion>, Option<Vec<Completion>>, ColumnNames);

/// Prompts and completions from files.
fn completions(resolved: &Resolved, progress: &dyn Progress) -> Result<Rows> {
    let config = &resolved.config;
    if config.test_file.is_some() {
        let message = "a language model is judged by its validation loss alone; remove test_file";
        return Err(resolved.origins.at("test_file", message));
    }
    let (key, path) = match (&config.data_file, &config.train_file) {
        (Some(path), _) => ("data_file", path),
        (None, Some(path)) => ("train_file", path),
        (None, None) => bail!("missing: train_file (or data_file)"),
    };
    let columns = CompletionColumns {
        prompt: config.text_column.clone(),
        context: config.text_pair_column.clone(),
        completion: config.label_column.clone(),
    };
    let read = |key: &str, path: &Path| -> Result<ReadCompletions> {
        let read = read_completions(path, config.data_format, config.header, &columns);
        let read = read.with_context(|| resolved.origins.of(key).unwrap_or_else(|| key.to_owned()))?;
        let left_out = match read.empty {
            0 => String::new(),
            empty => format!("; {empty} more have an empty completion and are left out"),
        };
        let count = read.completions.len();
        progress.note(&format!(
            "{}: {count} rows, {}{left_out}",
            path.display(),
            read.columns
        ));
        Ok(read)
    };
    let ReadCompletions {
        completions: rows,
        columns: found,
        ..
    } = read(key, path)?;
    let column = |given: &Option<Column>, found: &ResolvedColumn| {
        given.clone().unwrap_or(Column::Name(found.name.clone()))
    };
    let names = ColumnNames {
        text: column(&config.text_column, &found.prompt),
        text_pair: found
            .context
            .as_ref()
            .map(|found| column(&config.text_pair_column, found)),
        label: column(&config.label_column, &found.completion),
    };
    let (rows, validation) = match &config.validation_file {
        Some(path) => (rows, Some(read("validation_file", path)?.completions)),
        None => split(rows, config)?,
    };
    Ok((rows, validation, names))
}

/// Instructions of a benchmark: in Alpaca's prompt, or with a chat template as a user's message.
fn instructions(resolved: &Resolved, benchmark: &'static Benchmark, progress: &dyn Progress) -> Result<Rows> {
    let parts = read_benchmark(resolved, benchmark, progress)?;
    let completion = |instruction: &Instruction| {
        if !resolved.config.chat_template {
            return instruction.alpaca();
        }
        let Instruction {
            instruction,
            input,
            output,
        } = instruction;
        let separator = if input.is_empty() { "" } else { "\n\n" };
        Completion {
            prompt: format!("{instruction}{separator}{input}"),
            completion: output.clone(),
        }
    };
    let completions = |rows: &tasks::Rows| match rows {
        tasks::Rows::Instructions(rows) => rows.iter().map(completion).collect(),
        _ => Vec::new(),
    };
    let validation = parts.validation.as_ref().map(completions);
    Ok((completions(&parts.train), validation, parts.columns))
}

/// Training and validation rows.
fn split(rows: Vec<Completion>, config: &RunConfig) -> Result<(Vec<Completion>, Option<Vec<Completion>>)> {
    if config.validation_fraction == 0.0 || config.train.eval_strategy == lora_train::EvalStrategy::No {
        return Ok((rows, None));
    }
    let count = whole_rows(config.validation_fraction * rows.len() as f64);
    let train = rows.len().saturating_sub(count);
    if train == 0 {
        bail!(
            "{} rows cannot be split into training and validation rows; give more rows, or set validation_fraction to 0",
            rows.len()
        );
    }
    let texts = RowText::of_prompts(&rows);
    let groups = RowText::groups(&texts);
    let parts = training_split(
        &vec![0; rows.len()],
        &groups,
        &[train, count],
        0,
        config.train.seed,
    )?;
    let select = |part: &[usize]| part.iter().map(|row| rows[*row].clone()).collect();
    Ok((select(&parts[0]), Some(select(&parts[1]))))
}

fn encode(
    mut rows: Vec<Completion>,
    part: &str,
    opened: &LanguageModel,
    config: &RunConfig,
    progress: &dyn Progress,
) -> Result<EncodedDataset> {
    let (tokenizer, length) = (&opened.tokenizer, config.max_seq_length);
    let end_of_text = opened.stop_tokens[0];
    let encoded = if config.chat_template {
        let end = opened.turn_end()?;
        for row in &mut rows {
            *row = opened.chat_turn(row, end.as_ref())?;
        }
        if let Some(end) = &end {
            progress.note(&format!(
                "{part} answers end with `{}`, as the model's chat template ends them",
                end.text
            ));
        }
        tokenizer.encode_turns(&rows, end.map_or(end_of_text, |end| end.token), length)?
    } else {
        tokenizer.encode_completions(&rows, true, end_of_text, length)?
    };
    let dataset = encoded.dataset;
    if dataset.truncated + encoded.left_out > 0 {
        progress.note(&format!(
            "of {} {part} rows, {} were longer than max_seq_length {} and lost their end, {} were left out because the prompt \
             alone is that long",
            rows.len(),
            dataset.truncated,
            config.max_seq_length,
            encoded.left_out
        ));
    }
    Ok(dataset)
}

/// `run.json`: everything that the results follow from.
pub(super) fn run_document(prepared: &Completions) -> Value {
    let made_by = MadeBy::this_call();
    let count = peft_count(&prepared.adapted);
    let config = &prepared.resolved.config;
    json!({
        "program": made_by.program,
        "versions": made_by.versions,
        "command": made_by.command,
        "platform": made_by.platform,
        "device": config.device,
        "seed": config.train.seed,
        "rows": {"train": prepared.train.len(), "validation": prepared.validation.as_ref().map(EncodedDataset::len)},
        "trainable_params": count.trained,
        "all_params": count.all,
        "config": config,
    })
}

/// A language model that was trained, with its adapter written.
pub struct TrainedLanguageModel {
    /// The losses.
    pub history: History,
    /// Tokens of all rows that the steps took, padding not counted.
    pub tokens: usize,
    /// Tokens a second.
    pub rate: f64,
    /// Where everything is.
    pub folder: PathBuf,
    /// Settings, speed and losses.
    pub document: Value,
}

impl Completions {
    /// Trains, and writes the best and the last adapter on the way.
    ///
    /// # Errors
    ///
    /// If the training diverges or is cancelled, or an adapter cannot be written.
    pub fn fit(&self, progress: &dyn Progress, cancel: &CancelToken) -> Result<TrainedLanguageModel> {
        let config = &self.resolved.config;
        let folder = &config.output_dir;
        let data = FitData {
            train: &self.train,
            validation: self.validation.as_ref(),
            padding: self.padding,
        };
        let mut document = run_document(self);
        let run = document.clone();
        let task = task_file(config, &self.columns, config.benchmark()?, None);
        let task_text = json_text(&task)?;
        let saving = Saving {
            folder,
            task_type: TaskType::CausalLm,
            base_model: &config.model_name_or_path,
            ensemble: None,
            model_folder: &self.model_folder,
            run: &run,
            task: &task_text,
        };
        let start = Instant::now();
        let adapted = self.adapted.clone();
        let fitted = fit_and_save(
            adapted,
            &self.resolved,
            &data,
            saving,
            &mut document,
            progress,
            cancel,
        )?;
        let seconds = start.elapsed().as_secs_f64();
        let history = fitted.history;
        let tokens = tokens_read(&self.train.lengths(), &config.train, history.steps.len());
        let rate = tokens as f64 / seconds;
        write_json(
            &folder.join(RESULTS_FILE),
            &json!({
                "run": document, "seconds": {"train": seconds}, "tokens": tokens, "tokens_per_second": rate,
                "best_step": history.best_step, "history": history,
            }),
        )?;
        write_finished(folder, &document)?;
        Ok(TrainedLanguageModel {
            tokens,
            rate,
            folder: folder.clone(),
            document: json!({"run": document, "tokens_per_second": rate, "history": history}),
            history,
        })
    }
}

/// Tokens of all rows that the steps took, padding not counted: the order of the rows is a function of the seed.
fn tokens_read(lengths: &[usize], config: &TrainConfig, steps: usize) -> usize {
    let mut batches = steps * config.gradient_accumulation_steps;
    let mut tokens = 0;
    for epoch in 0.. {
        let order = train_batches(lengths, config.per_device_train_batch_size, config.seed, epoch);
        // The last step of an epoch may have fewer batches than the others.
        let whole = order.len().next_multiple_of(config.gradient_accumulation_steps);
        tokens += order
            .iter()
            .take(batches)
            .flatten()
            .map(|row| lengths[*row])
            .sum::<usize>();
        if batches <= whole {
            break;
        }
        batches -= whole;
    }
    tokens
}
