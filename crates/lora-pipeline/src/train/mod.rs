//! From labelled text to an adapter folder with scores and a report.

pub mod data;
pub mod language;
pub mod progress;
pub mod report;
pub mod row_checks;
mod scores;
mod size;
mod task_file;
pub mod verdict;

use std::path::PathBuf;
use std::time::Instant;

use lora_core::atomic::write_file;
use lora_core::{Adapted, Tuning};
use lora_data::tasks::{Rows, RowsKind};
use lora_data::{EncodedDataset, LabelNames, Padding, train_batches};
use lora_models::{LoadReport, Transformer};
use lora_train::{Checkpoint, FitData, Fitted, TrainConfig, TrainError, Trainer};
use serde_json::{Value, json};

use crate::base_model::{fit_as_configured, public_name};
use crate::config::{Resolved, RunConfig};
use crate::device::DeviceName;
use crate::encoded_part::{Detail, EncodedPart, Encoder, Lengths};
use crate::error::{Error, Result};
use crate::kind::{Kind, prompt_style, squad_version};
use crate::model_folder::ModelFolder;
use crate::opening::{Opened, open};
use crate::output::{RUN_FILE, Writer, check_folder, json_text, write_json, write_together};
use crate::parameters::{attached_line, parameter_line, peft_count};
use crate::progress::{CancelToken, Progress};
use crate::provenance::MadeBy;
use crate::task::{TASK_FILE, TaskFile};
use data::{Parts, read_parts};
use progress::{REPORT_FILE, RESULTS_FILE, Saving, Watcher};
use row_checks::RowChecks;
pub use scores::Scored;
use scores::page;
use size::check_size;
use task_file::task_file;
use verdict::{advice, check_learned};

/// A training, loaded and checked.
pub enum Prepared {
    /// Of rows with labels.
    Labelled(Box<Labelled>),
    /// Of a language model, on completions.
    Completions(Box<language::Completions>),
}

impl Prepared {
    /// Loads and checks everything that a training needs. `is_dry_run`: nothing will be written, so an earlier run in the output
    /// folder does not matter.
    ///
    /// # Errors
    ///
    /// If an input is wrong.
    pub fn open(resolved: Resolved, is_dry_run: bool, progress: &dyn Progress) -> Result<Self> {
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
            config.overwrite_output_dir || is_dry_run,
        )
        .map_err(|error| resolved.origins.at("output_dir", error))?;
        let prepared = if config.rows_kind()? == RowsKind::Instructions {
            let prepared = language::prepare(resolved, &device, progress)?;
            progress.note(&parameter_line(&prepared.adapted));
            Self::Completions(Box::new(prepared))
        } else {
            let parts = read_parts(&resolved, progress)?;
            let prepared = prepare(resolved, &parts, &device, progress)?;
            progress.note(&parameter_line(&prepared.adapted));
            Self::Labelled(Box::new(prepared))
        };
        Ok(prepared)
    }

    /// The settings.
    pub fn config(&self) -> &RunConfig {
        match self {
            Self::Labelled(prepared) => &prepared.resolved.config,
            Self::Completions(prepared) => &prepared.resolved.config,
        }
    }

    /// PEFT's line of counts.
    pub fn parameter_line(&self) -> String {
        match self {
            Self::Labelled(prepared) => parameter_line(&prepared.adapted),
            Self::Completions(prepared) => parameter_line(&prepared.adapted),
        }
    }

    /// Makes one step, to see whether it runs and how long it takes; writes nothing.
    ///
    /// # Errors
    ///
    /// If a setting does not fit, or the step diverges.
    pub fn try_one_batch(self) -> Result<OneBatch> {
        match self {
            Self::Labelled(prepared) => {
                let document = run_document(&prepared);
                let train = &prepared.resolved.config.train;
                OneBatch::of(
                    prepared.adapted,
                    &prepared.train.encoded,
                    prepared.padding,
                    train,
                    document,
                )
            }
            Self::Completions(prepared) => {
                let document = language::run_document(&prepared);
                let train = &prepared.resolved.config.train;
                OneBatch::of(
                    prepared.adapted,
                    &prepared.train,
                    prepared.padding,
                    train,
                    document,
                )
            }
        }
    }
}

/// What one step of a training said.
#[derive(Clone, Debug)]
pub struct OneBatch {
    /// Rows of the batch.
    pub rows: usize,
    /// The loss.
    pub loss: f64,
    /// Seconds that the step took.
    pub seconds: f64,
    /// Steps of the whole training.
    pub steps: u64,
    /// All of it, and the settings.
    pub document: Value,
}

impl OneBatch {
    fn of(
        adapted: Adapted<Transformer>,
        rows: &EncodedDataset,
        padding: Padding,
        config: &TrainConfig,
        mut document: Value,
    ) -> Result<Self> {
        let steps = config.total_steps(rows.len());
        let batch_size = config.per_device_train_batch_size;
        let first = train_batches(&rows.lengths(), batch_size, config.seed, 0).remove(0);
        let batch = rows.batch(&first, padding);
        let mut trainer = Trainer::new(adapted, config.clone(), steps)?;
        let start = Instant::now();
        let report = trainer.step(&[batch])?;
        let seconds = start.elapsed().as_secs_f64();
        document["dry_run"] =
            json!({"loss": report.loss, "grad_norm": report.grad_norm, "seconds": seconds, "steps": steps});
        Ok(Self {
            rows: first.len(),
            loss: report.loss,
            seconds,
            steps,
            document,
        })
    }
}

/// A training on rows with labels, loaded and checked.
pub struct Labelled {
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
    checks: RowChecks,
}

fn prepare(
    resolved: Resolved,
    parts: &Parts,
    device: &burn::tensor::Device,
    progress: &dyn Progress,
) -> Result<Labelled> {
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
    if !loaded.initialized.is_empty() {
        progress.note(&format!(
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
    progress.note(&attached_line(adapted.tuning(), &attached));
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
        progress.note(&format!(
            "{} of {} training rows are longer than max_seq_length {} and were cut",
            train.encoded.truncated,
            train.encoded.len(),
            config.max_seq_length
        ));
    }
    if train.encoded.len() != train.len() {
        let (rows, pieces) = (train.len(), train.encoded.len());
        progress.note(&format!(
            "{rows} training rows are read in {pieces} pieces of at most {} tokens",
            config.max_seq_length
        ));
    }
    let task = task_file(config, &parts.columns, parts.benchmark, Some(&kind));
    let encode = |rows: &Option<Rows>| rows.as_ref().map(|rows| encoder.encode(rows)).transpose();
    Ok(Labelled {
        adapted,
        loaded,
        validation: encode(&parts.validation)?,
        test: encode(&parts.test)?,
        train,
        padding,
        kind,
        task,
        model_folder,
        checks: parts.checks.clone(),
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
fn at(resolved: &Resolved, key: &str, error: Error) -> Error {
    match resolved.origins.of(key) {
        Some(place) => error.at(place),
        None => error,
    }
}

/// `run.json`: everything that the results follow from.
fn run_document(prepared: &Labelled) -> Value {
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
        "row_checks": prepared.checks,
        "trainable_params": count.trained,
        "all_params": count.all,
        "new_parameters": prepared.loaded.initialized,
        "config": prepared.resolved.config,
    })
}

/// A training on rows with labels that came to its end, before anything was scored.
pub struct FittedRun {
    prepared: Labelled,
    fitted: Fitted<Transformer>,
    document: Value,
    seconds: f64,
}

/// A training with its scores, all of it written.
pub struct ScoredRun {
    /// Scores of each part of the data.
    pub scored: Scored,
    /// Where everything is.
    pub folder: PathBuf,
    /// What to do better, if anything.
    pub advice: Vec<String>,
    /// `results.json`.
    pub document: Value,
}

impl Labelled {
    /// Trains, and writes the best and the last adapter on the way.
    ///
    /// # Errors
    ///
    /// If the training diverges or is cancelled, or an adapter cannot be written.
    pub fn fit(self, progress: &dyn Progress, cancel: &CancelToken) -> Result<FittedRun> {
        let config = &self.resolved.config;
        let folder = &config.output_dir;
        let fit_data = FitData {
            train: &self.train.encoded,
            validation: self.validation.as_ref().map(|part| &part.encoded),
            padding: self.padding,
        };
        let mut document = run_document(&self);
        let (run_text, task_text) = (json_text(&document)?, json_text(&self.task)?);
        let saving = Saving {
            folder,
            task_type: self.kind.task_type(),
            base_model: public_name(&config.model_name_or_path),
            ensemble: config.ensemble(),
            model_folder: &self.model_folder,
            run: &run_text,
            task: &task_text,
        };
        let start = Instant::now();
        let fitted = fit_and_save(
            self.adapted.clone(),
            &self.resolved,
            &fit_data,
            saving,
            &mut document,
            progress,
            cancel,
        )?;
        let seconds = start.elapsed().as_secs_f64();
        if let Err(error) = check_learned(&fitted.history, classes(&self)) {
            document["failed"] = json!(error.to_string());
            write_json(&folder.join(RUN_FILE), &document)?;
            return Err(error.into());
        }
        Ok(FittedRun {
            prepared: self,
            fitted,
            document,
            seconds,
        })
    }
}

impl FittedRun {
    /// Scores the best model on each part, calibrates it, and writes all of that.
    ///
    /// # Errors
    ///
    /// If the model has diverged, or a file cannot be written.
    pub fn score(self, progress: &dyn Progress) -> Result<ScoredRun> {
        let Self {
            prepared,
            fitted,
            document,
            seconds,
        } = self;
        let classes = classes(&prepared);
        let config = &prepared.resolved.config;
        let folder = config.output_dir.clone();
        let start = Instant::now();
        let scored = Scored::of(
            &fitted,
            &prepared.train,
            prepared.validation.as_ref(),
            prepared.test.as_ref(),
            config,
            progress,
        )?;
        let task = TaskFile {
            temperature: scored.fit.temperature,
            no_answer_threshold: scored.fit.threshold,
            ..prepared.task
        };
        let of_parts = scored
            .scores
            .iter()
            .map(|(name, methods)| (name.clone(), json!(methods)));
        let results = json!({
            "run": document,
            "seconds": {"train": seconds, "score": start.elapsed().as_secs_f64()},
            "best_step": fitted.history.best_step,
            "steps": fitted.history.steps.len(),
            "temperature": scored.fit.temperature,
            "no_answer_threshold": scored.fit.threshold,
            "metric": scored.official_document(),
            "scores": of_parts.collect::<serde_json::Map<_, _>>(),
            "train_test_gap": scored.gap(),
            "history": fitted.history,
        });
        let (task_text, results_text) = (json_text(&task)?, json_text(&results)?);
        let page = page(&scored, &fitted, config, &prepared.checks, &results).to_html();
        write_together(&folder, |beside| {
            write_file(&beside.join(TASK_FILE), task_text.as_bytes())?;
            write_file(&beside.join(RESULTS_FILE), results_text.as_bytes())?;
            write_file(&beside.join(REPORT_FILE), page.as_bytes())
        })?;
        let mut advice = advice(&fitted.history, classes);
        advice.extend(scored.mean_pass_is_better()?);
        Ok(ScoredRun {
            scored,
            folder,
            advice,
            document: results,
        })
    }
}

/// Among how many classes a guess is made; none where that differs from row to row.
fn classes(prepared: &Labelled) -> Option<usize> {
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
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Fitted<Transformer>> {
    let config = &resolved.config.train;
    let refuse = |error| match error {
        TrainError::Config(error) => resolved.origins.training_error(&error),
        other => other.into(),
    };
    data.check(config).map_err(refuse)?;
    if resolved.config.blob.is_some() {
        progress
            .note("blob: the folder will hold the adapter at the mean of the Gaussian, without its spreads");
    }
    let mut watcher = Watcher::new(saving, config.metric_for_best_model, progress, cancel);
    let fitted = match fit_as_configured(adapted, &resolved.config, data, &mut watcher) {
        Ok(fitted) => fitted,
        Err(error) => {
            // Checkpoints from before stay usable, but nobody should take them for the result of a whole training.
            if watcher.has_saved {
                document["failed"] = json!(error.to_string());
                write_json(&saving.folder.join(RUN_FILE), document)?;
                progress.note(&format!(
                    "{} keeps the best adapter from before the failure",
                    saving.folder.display()
                ));
            }
            return Err(refuse(error));
        }
    };
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
        return Err(Error::Interrupted { step, folder });
    }
    saving.write(Checkpoint::Best, &fitted.best)?;
    Ok(fitted)
}
