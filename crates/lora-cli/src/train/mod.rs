//! `lora train`: from labelled text to an adapter folder with scores and a report.

pub mod data;
mod language;
pub mod progress;
pub mod report;
mod scores;
mod size;
mod task_file;
pub mod verdict;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use lora_core::atomic::write_file;
use lora_core::{Adapted, Tuning};
use lora_data::tasks::{Rows, RowsKind};
use lora_data::{LabelNames, Padding, train_batches};
use lora_models::{LoadReport, Transformer};
use lora_train::{Checkpoint, FitData, Fitted, TrainError, Trainer};
use serde_json::{Value, json};

use crate::config::flags::Overrides;
use crate::config::{Resolved, RunConfig, resolve};
use crate::device::DeviceName;
use crate::encoded_part::{Detail, EncodedPart, Encoder, Lengths};
use crate::interrupt::{Interrupted, Patience};
use crate::kind::{Kind, prompt_style, squad_version};
use crate::model_folder::ModelFolder;
use crate::opening::{Opened, open};
use crate::output::{RUN_FILE, Writer, check_folder, json_text, write_json, write_together};
use crate::parameters::{attached_line, parameter_line, peft_count};
use crate::pipeline::{fit_as_configured, public_name};
use crate::provenance::MadeBy;
use crate::task::{TASK_FILE, TaskFile};
use crate::terminal::Terminal;
use data::{Parts, read_parts};
use progress::{REPORT_FILE, RESULTS_FILE, Saving, Watcher};
use scores::{Scored, page, show};
use size::check_size;
use task_file::task_file;
use verdict::{advice, check_learned};

/// Arguments of `lora train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// Settings (.yaml, .toml, .json); every key is also a flag.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Load everything, run one batch, print the settings and counts; write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overrides: Overrides,
}

/// Everything a training needs, loaded and checked.
struct Prepared {
    resolved: Resolved,
    adapted: Adapted<Transformer>,
    loaded: LoadReport,
    train: EncodedPart,
    validation: Option<EncodedPart>,
    test: Option<EncodedPart>,
    padding: Padding,
    kind: Kind,
    task: TaskFile,
    model_folder: ModelFolder,
}

/// Trains an adapter, or only shows what would happen.
///
/// # Errors
///
/// If an input is wrong, the training diverges, or results cannot be written.
pub fn run(args: &TrainArgs, terminal: &Terminal) -> Result<()> {
    let resolved = resolve(args.config.as_deref(), &args.overrides)?;
    let config = &resolved.config;
    let name: DeviceName = config
        .device
        .parse()
        .map_err(|error| resolved.origins.at("device", error))?;
    let device = name
        .open()
        .map_err(|error| resolved.origins.at("device", error))?;
    check_folder(
        &config.output_dir,
        Writer::Training,
        config.overwrite_output_dir || args.dry_run,
    )
    .map_err(|error| resolved.origins.at("output_dir", error))?;
    if config.rows_kind()? == RowsKind::Instructions {
        return language::run(&resolved, &device, args.dry_run, terminal);
    }
    let parts = read_parts(&resolved, terminal)?;
    let prepared = prepare(resolved, &parts, &device, terminal)?;
    terminal.note(parameter_line(&prepared.adapted));
    if args.dry_run {
        dry_run(prepared, terminal)
    } else {
        train(prepared, terminal)
    }
}

fn prepare(
    resolved: Resolved,
    parts: &Parts,
    device: &burn::tensor::Device,
    terminal: &Terminal,
) -> Result<Prepared> {
    let config = &resolved.config;
    let seed = config.train.seed;
    let kind = Kind::of(&parts.train, parts.benchmark)?;
    let Opened {
        model,
        loaded,
        tokenizer,
        padding,
        usual_targets,
        model_folder,
    } = open(&resolved.config, &kind, device).map_err(|error| at(&resolved, "model_name_or_path", error))?;
    if let Some(head) = &loaded.saved_head {
        terminal.note(head.to_string());
    }
    if !loaded.initialized.is_empty() {
        terminal.note(format!(
            "new, from seed {seed}: {}",
            loaded.initialized.join(", ")
        ));
    }
    let mut tuning = config.tuning(&model.modules_to_save(), usual_targets);
    // A new module that is not trained and saved would be another one with another seed.
    tuning.save_also(loaded.new_modules());
    if let Tuning::Lora(lora) = &tuning {
        check_size(&resolved, lora, &model)?;
    }
    let (adapted, attached) =
        Adapted::attach(model, tuning, seed).map_err(|error| resolved.origins.adapter_error(&error))?;
    terminal.note(attached_line(adapted.tuning(), &attached));
    let encoder = Encoder {
        tokenizer: &tokenizer,
        padding,
        lengths: lengths(config),
        batch_size: config.train.per_device_eval_batch_size,
        version: squad_version(parts.benchmark),
        style: prompt_style(parts.benchmark),
        shots: (&[], 0),
    };
    let train = encoder.encode(&parts.train)?;
    if train.encoded.truncated > 0 {
        terminal.note(format!(
            "{} of {} training rows are longer than max_seq_length {} and were cut",
            train.encoded.truncated,
            train.encoded.len(),
            config.max_seq_length
        ));
    }
    if train.encoded.len() != train.len() {
        let (rows, pieces) = (train.len(), train.encoded.len());
        terminal.note(format!(
            "{rows} training rows are read in {pieces} pieces of at most {} tokens",
            config.max_seq_length
        ));
    }
    let task = task_file(config, &parts.columns, parts.benchmark, Some(&kind));
    let encode = |rows: &Option<Rows>| rows.as_ref().map(|rows| encoder.encode(rows)).transpose();
    Ok(Prepared {
        adapted,
        loaded,
        validation: encode(&parts.validation)?,
        test: encode(&parts.test)?,
        train,
        padding,
        kind,
        task,
        model_folder,
        resolved,
    })
}

fn lengths(config: &RunConfig) -> Lengths {
    Lengths {
        longest: config.max_seq_length,
        overlap: config.window_overlap(),
        answer: config.max_answer_length,
    }
}

/// The error with the place of a key before it, kept as it is: its kind decides the exit code.
fn at(resolved: &Resolved, key: &str, error: anyhow::Error) -> anyhow::Error {
    match resolved.origins.of(key) {
        Some(place) => error.context(place),
        None => error,
    }
}

fn dry_run(prepared: Prepared, terminal: &Terminal) -> Result<()> {
    let document = run_document(&prepared);
    let config = &prepared.resolved.config;
    let settings = serde_saphyr::to_string(config)?;
    terminal.say(settings.trim_end())?;
    terminal.say(format!("# {}", parameter_line(&prepared.adapted)))?;
    let encoded = &prepared.train.encoded;
    let steps = config.train.total_steps(encoded.len());
    let batch_size = config.train.per_device_train_batch_size;
    let first = train_batches(&encoded.lengths(), batch_size, config.train.seed, 0).remove(0);
    let batch = encoded.batch(&first, prepared.padding);
    let mut trainer = Trainer::new(prepared.adapted, config.train.clone(), steps)?;
    let start = Instant::now();
    let report = trainer.step(&[batch])?;
    let seconds = start.elapsed().as_secs_f64();
    terminal.say(format!(
        "# one batch of {} rows: loss {:.4}, {seconds:.2} s; {steps} steps in all; nothing was written",
        first.len(),
        report.loss
    ))?;
    let mut document = document;
    document["dry_run"] =
        json!({"loss": report.loss, "grad_norm": report.grad_norm, "seconds": seconds, "steps": steps});
    terminal.document(&document)
}

/// `run.json`: everything that the results follow from.
fn run_document(prepared: &Prepared) -> Value {
    let made_by = MadeBy::this_call();
    let rows = |part: &Option<EncodedPart>| part.as_ref().map(EncodedPart::len);
    let count = peft_count(&prepared.adapted);
    json!({
        "program": made_by.program,
        "versions": made_by.versions,
        "command": made_by.command,
        "platform": made_by.platform,
        "device": prepared.resolved.config.device,
        "seed": prepared.resolved.config.train.seed,
        "rows": {
            "train": prepared.train.len(),
            "validation": rows(&prepared.validation),
            "test": rows(&prepared.test),
        },
        "trainable_params": count.trained,
        "all_params": count.all,
        "new_parameters": prepared.loaded.initialized,
        "base_head": prepared.loaded.saved_head,
        "config": prepared.resolved.config,
    })
}

fn train(prepared: Prepared, terminal: &Terminal) -> Result<()> {
    let config = prepared.resolved.config.clone();
    let folder = config.output_dir.clone();
    let fit_data = FitData {
        train: &prepared.train.encoded,
        validation: prepared.validation.as_ref().map(|part| &part.encoded),
        padding: prepared.padding,
    };
    let mut document = run_document(&prepared);
    let (run_text, task_text) = (json_text(&document)?, json_text(&prepared.task)?);
    let saving = Saving {
        folder: &folder,
        task_type: prepared.kind.task_type(),
        base_model: public_name(&config.model_name_or_path),
        ensemble: config.ensemble(),
        model_folder: &prepared.model_folder,
        run: &run_text,
        task: &task_text,
    };
    let start = Instant::now();
    let adapted = prepared.adapted.clone();
    let fitted = fit_and_save(
        adapted,
        &prepared.resolved,
        &fit_data,
        saving,
        &mut document,
        terminal,
    )?;
    let train_seconds = start.elapsed().as_secs_f64();
    let classes = classes(&prepared);
    if let Err(error) = check_learned(&fitted.history, classes) {
        document["failed"] = json!(error.to_string());
        write_json(&folder.join(RUN_FILE), &document)?;
        return Err(error.into());
    }

    let start = Instant::now();
    let parts = Scored::of(
        &fitted,
        &prepared.train,
        prepared.validation.as_ref(),
        prepared.test.as_ref(),
        &config,
        terminal,
    )?;
    let task = TaskFile {
        temperature: parts.fit.temperature,
        no_answer_threshold: parts.fit.threshold,
        ..prepared.task
    };
    let results = json!({
        "run": document,
        "seconds": {"train": train_seconds, "score": start.elapsed().as_secs_f64()},
        "best_step": fitted.history.best_step,
        "steps": fitted.history.steps.len(),
        "temperature": parts.fit.temperature,
        "no_answer_threshold": parts.fit.threshold,
        "metric": parts.official_document(),
        "scores": parts.scores.iter().map(|(name, methods)| (name.clone(), json!(methods))).collect::<serde_json::Map<_, _>>(),
        "train_test_gap": parts.gap(),
        "history": fitted.history,
    });
    let (task_text, results_text) = (json_text(&task)?, json_text(&results)?);
    let page = page(&parts, &fitted, &config, &results).to_html();
    write_together(&folder, |beside| {
        write_file(&beside.join(TASK_FILE), task_text.as_bytes())?;
        write_file(&beside.join(RESULTS_FILE), results_text.as_bytes())?;
        write_file(&beside.join(REPORT_FILE), page.as_bytes())
    })?;
    show(&parts, &folder, terminal)?;
    let advice = advice(&fitted.history, classes);
    for line in advice.iter().chain(&parts.mean_pass_is_better()?) {
        terminal.note(format!("note: {line}"));
    }
    terminal.document(&results)
}

/// Among how many classes a guess is made; none where that differs from row to row.
fn classes(prepared: &Prepared) -> Option<usize> {
    match (&prepared.kind, &prepared.train.detail) {
        (Kind::Choices(_), Detail::Choices(detail)) => detail.letters.iter().map(Vec::len).max(),
        (kind, _) => kind.labels().map(LabelNames::len),
    }
}

/// Trains, and writes the best and the last adapter on the way. A training that fails after a checkpoint says so in
/// `run.json`, which is `document`.
fn fit_and_save(
    adapted: Adapted<Transformer>,
    resolved: &Resolved,
    data: &FitData<'_>,
    saving: Saving<'_>,
    document: &mut Value,
    terminal: &Terminal,
) -> Result<Fitted<Transformer>> {
    let config = &resolved.config.train;
    let refuse = |error| match error {
        TrainError::Config(error) => resolved.origins.training_error(&error),
        other => anyhow!(other),
    };
    data.check(config).map_err(refuse)?;
    if resolved.config.blob.is_some() {
        terminal
            .note("blob: the folder will hold the adapter at the mean of the Gaussian, without its spreads");
    }
    let patience = Patience::begin()?;
    let mut watcher = Watcher::new(saving, config.metric_for_best_model, terminal);
    let fitted = match fit_as_configured(adapted, &resolved.config, data, &mut watcher) {
        Ok(fitted) => fitted,
        Err(error) => {
            // Checkpoints from before stay usable, but nobody should take them for the result of a whole training.
            if watcher.has_saved {
                document["failed"] = json!(error.to_string());
                write_json(&saving.folder.join(RUN_FILE), document)?;
                terminal.note(format!(
                    "{} keeps the best adapter from before the failure",
                    saving.folder.display()
                ));
            }
            return Err(refuse(error));
        }
    };
    drop(patience);
    if let Some(error) = watcher.error {
        return Err(error.into());
    }
    if watcher.is_interrupted {
        let step = fitted.history.steps.len();
        if watcher.has_saved {
            document["interrupted"] = json!({ "step": step });
            write_json(&saving.folder.join(RUN_FILE), document)?;
        }
        let folder = watcher.has_saved.then(|| saving.folder.to_owned());
        return Err(Interrupted { step, folder }.into());
    }
    saving.write(Checkpoint::Best, &fitted.best)?;
    Ok(fitted)
}
