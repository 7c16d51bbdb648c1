//! Training of a causal language model: prompts and completions in, an adapter folder out.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use lora_core::Adapted;
use lora_core::peft::TaskType;
use lora_data::tasks::{self, Benchmark, Instruction};
use lora_data::{
    Column, Completion, CompletionColumns, EncodedDataset, Padding, ReadCompletions, ResolvedColumn,
    read_completions, stratified_split, train_batches,
};
use lora_models::Transformer;
use lora_train::{FitData, Fitted, StepReport, TrainConfig, Trainer};
use serde_json::{Value, json};

use super::data::{ColumnNames, read_benchmark};
use super::fit_and_save;
use super::progress::{RESULTS_FILE, Saving};
use super::task_file::task_file;
use crate::config::{Resolved, RunConfig};
use crate::language_model::LanguageModel;
use crate::model_folder::ModelFolder;
use crate::output::{json_text, write_json};
use crate::parameters::{attached_line, parameter_line, peft_count};
use crate::provenance::MadeBy;
use crate::terminal::{Terminal, counted};

/// Everything a training needs, loaded and checked.
struct Prepared<'a> {
    resolved: &'a Resolved,
    adapted: Adapted<Transformer>,
    train: EncodedDataset,
    validation: Option<EncodedDataset>,
    padding: Padding,
    columns: ColumnNames,
    model_folder: ModelFolder,
}

/// Trains an adapter on completions, or only shows what would happen.
///
/// # Errors
///
/// If an input is wrong, the training diverges, or results cannot be written.
pub fn run(resolved: &Resolved, device: &Device, dry_run: bool, terminal: &Terminal) -> Result<()> {
    let prepared = prepare(resolved, device, terminal)?;
    terminal.note(parameter_line(&prepared.adapted));
    if dry_run {
        try_one_batch(prepared, terminal)
    } else {
        train(&prepared, terminal)
    }
}

fn prepare<'a>(resolved: &'a Resolved, device: &Device, terminal: &Terminal) -> Result<Prepared<'a>> {
    let config = &resolved.config;
    let (rows, validation, columns) = match config.benchmark()? {
        Some(benchmark) => instructions(resolved, benchmark, terminal)?,
        None => completions(resolved, terminal)?,
    };
    let seed = config.train.seed;
    let opened = LanguageModel::open(
        &config.model_name_or_path,
        config.revision.as_deref(),
        seed,
        device,
    );
    let opened = opened.with_context(|| {
        let place = resolved.origins.of("model_name_or_path");
        place.unwrap_or_else(|| "model_name_or_path".to_owned())
    })?;
    let length = config.max_seq_length;
    if let Some(most) = opened.max_tokens.filter(|most| length > *most) {
        let message =
            format!("max_seq_length is {length}, but the model takes at most {most} tokens; lower it");
        return Err(resolved.origins.at("max_seq_length", message));
    }
    let train = encode(rows, "training", &opened, config, terminal)?;
    let validation = validation.map(|rows| encode(rows, "validation", &opened, config, terminal));
    if !opened.loaded.initialized.is_empty() {
        terminal.note(format!(
            "new, from seed {seed}: {}",
            opened.loaded.initialized.join(", ")
        ));
    }
    let mut tuning = config.tuning(&opened.model.modules_to_save(), opened.usual_targets);
    // A new module that is not trained and saved would be another one with another seed.
    tuning.save_also(opened.loaded.new_modules());
    let (adapted, attached) = Adapted::attach(opened.model, tuning, seed)
        .map_err(|error| resolved.origins.adapter_error(&error))?;
    terminal.note(attached_line(adapted.tuning(), &attached));
    Ok(Prepared {
        resolved,
        adapted,
        train,
        validation: validation.transpose()?,
        padding: Padding::with(opened.pad_id),
        columns,
        model_folder: opened.model_folder,
    })
}

/// Training rows, validation rows and what their columns are called.
type Rows = (Vec<Completion>, Option<Vec<Completion>>, ColumnNames);

/// Prompts and completions from files.
fn completions(resolved: &Resolved, terminal: &Terminal) -> Result<Rows> {
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
    let read = |key: &str, path: &std::path::Path| {
        let read = read_completions(path, config.data_format, config.header, &columns);
        let read = read.with_context(|| resolved.origins.of(key).unwrap_or_else(|| key.to_owned()))?;
        let left_out = match read.empty {
            0 => String::new(),
            empty => format!("; {empty} more have an empty completion and are left out"),
        };
        let count = read.completions.len();
        terminal.note(format!(
            "{}: {count} rows, {}{left_out}",
            path.display(),
            read.columns
        ));
        anyhow::Ok(read)
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
fn instructions(resolved: &Resolved, benchmark: &'static Benchmark, terminal: &Terminal) -> Result<Rows> {
    let parts = read_benchmark(resolved, benchmark, terminal)?;
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
    let share = config.validation_fraction * rows.len() as f64;
    #[expect(clippy::cast_sign_loss, reason = "fractions and counts are not negative")]
    let count = share.round() as usize;
    if count == 0 || config.train.eval_strategy == lora_train::EvalStrategy::No {
        return Ok((rows, None));
    }
    let train = rows.len().saturating_sub(count);
    if train == 0 {
        bail!(
            "{} rows cannot be split into training and validation rows; give more rows, or set validation_fraction to 0",
            rows.len()
        );
    }
    let parts = stratified_split(&vec![0; rows.len()], &[train, count], config.train.seed)?;
    let select = |part: &[usize]| part.iter().map(|row| rows[*row].clone()).collect();
    Ok((select(&parts[0]), Some(select(&parts[1]))))
}

fn encode(
    mut rows: Vec<Completion>,
    part: &str,
    opened: &LanguageModel,
    config: &RunConfig,
    terminal: &Terminal,
) -> Result<EncodedDataset> {
    let (tokenizer, length) = (&opened.tokenizer, config.max_seq_length);
    let end_of_text = opened.stop_tokens[0];
    let encoded = if config.chat_template {
        let end = opened.turn_end()?;
        for row in &mut rows {
            *row = opened.chat_turn(row, end.as_ref())?;
        }
        if let Some(end) = &end {
            terminal.note(format!(
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
        terminal.note(format!(
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

fn try_one_batch(prepared: Prepared<'_>, terminal: &Terminal) -> Result<()> {
    let mut document = run_document(&prepared);
    let config = &prepared.resolved.config;
    terminal.say(serde_saphyr::to_string(config)?.trim_end())?;
    let steps = config.train.total_steps(prepared.train.len());
    let batch_size = config.train.per_device_train_batch_size;
    let first = train_batches(&prepared.train.lengths(), batch_size, config.train.seed, 0).remove(0);
    let batch = prepared.train.batch(&first, prepared.padding);
    let mut trainer = Trainer::new(prepared.adapted, config.train.clone(), steps)?;
    let start = Instant::now();
    let report = trainer.step(&[batch])?;
    let seconds = start.elapsed().as_secs_f64();
    terminal.say(format!(
        "# one batch of {} rows: loss {:.4}, {seconds:.2} s; {steps} steps in all; nothing was written",
        first.len(),
        report.loss
    ))?;
    document["dry_run"] =
        json!({"loss": report.loss, "grad_norm": report.grad_norm, "seconds": seconds, "steps": steps});
    terminal.document(&document)
}

/// `run.json`: everything that the results follow from.
fn run_document(prepared: &Prepared<'_>) -> Value {
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

fn train(prepared: &Prepared<'_>, terminal: &Terminal) -> Result<()> {
    let config = &prepared.resolved.config;
    let folder = &config.output_dir;
    let data = FitData {
        train: &prepared.train,
        validation: prepared.validation.as_ref(),
        padding: prepared.padding,
    };
    let mut document = run_document(prepared);
    let run_text = json_text(&document)?;
    let task = task_file(config, &prepared.columns, config.benchmark()?, None);
    let task_text = json_text(&task)?;
    let saving = Saving {
        folder,
        task_type: TaskType::CausalLm,
        base_model: &config.model_name_or_path,
        ensemble: None,
        model_folder: &prepared.model_folder,
        run: &run_text,
        task: &task_text,
    };
    let start = Instant::now();
    let adapted = prepared.adapted.clone();
    let fitted = fit_and_save(adapted, prepared.resolved, &data, saving, &mut document, terminal)?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens = tokens_read(
        &prepared.train.lengths(),
        &config.train,
        fitted.history.steps.len(),
    );
    let rate = tokens as f64 / seconds;
    write_json(
        &folder.join(RESULTS_FILE),
        &json!({
            "run": document, "seconds": {"train": seconds}, "tokens": tokens, "tokens_per_second": rate,
            "best_step": fitted.history.best_step, "history": fitted.history,
        }),
    )?;
    show(&fitted, tokens, rate, folder, terminal)?;
    terminal.document(&json!({"run": document, "tokens_per_second": rate, "history": fitted.history}))
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

fn show(
    fitted: &Fitted<Transformer>,
    tokens: usize,
    rate: f64,
    folder: &std::path::Path,
    terminal: &Terminal,
) -> Result<()> {
    let mean = |steps: &[StepReport]| steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
    let steps = &fitted.history.steps;
    let tenth = steps.len().div_ceil(10);
    terminal.say(format!(
        "{}, {tokens} tokens at {rate:.1} tokens/s\nloss {:.4} in the first {}, {:.4} in the last {tenth}",
        counted(steps.len(), "step"),
        mean(&steps[..tenth]),
        counted(tenth, "step"),
        mean(&steps[steps.len() - tenth..])
    ))?;
    if let Some(last) = fitted.history.evaluations.last() {
        terminal.say(format!(
            "validation loss {:.4}, perplexity {:.3}",
            last.loss,
            last.loss.exp()
        ))?;
    }
    terminal.say(format!("adapter: {}", folder.display()))
}
