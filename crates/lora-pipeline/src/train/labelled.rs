//! Training on rows with labels: texts, questions about contexts, tagged words, questions with choices.

use std::path::PathBuf;
use std::time::Instant;

use lora_core::atomic::write_file;
use lora_core::{Adapted, Tuning};
use lora_data::tasks::Rows;
use lora_data::{LabelNames, Padding};
use lora_models::{LoadReport, Transformer};
use lora_train::{FitData, Fitted};
use serde_json::{Value, json};

use super::checkpoints::{REPORT_FILE, RESULTS_FILE, Saving};
use super::fit_and_save;
use super::scores::{Scored, page};
use super::size::check_size;
use super::task_file::task_file;
use super::verdict::{advice, check_learned};
use crate::base::checkpoint::public_name;
use crate::base::{Opened, attach, open};
use crate::calibration::{CALIBRATION_FILE, CalibrationFile};
use crate::config::{Resolved, RunConfig};
use crate::data::Parts;
use crate::data::encoded::{Detail, EncodedPart, Encoder, Lengths};
use crate::data::kind::{Kind, prompt_style, squad_version};
use crate::data::row_checks::RowChecks;
use crate::error::{Error, Result};
use crate::files::output::{RUN_FILE, json_text, write_finished, write_json, write_together};
use crate::files::provenance::MadeBy;
use crate::parameters::{attached_line, peft_count};
use crate::progress::{CancelToken, Progress};
use crate::saved::model_folder::ModelFolder;
use crate::saved::task_file::{TASK_FILE, TaskFile};

/// A training on rows with labels, loaded and checked.
pub struct Labelled {
    pub(super) resolved: Resolved,
    pub(super) adapted: Adapted<Transformer>,
    loaded: LoadReport,
    pub(super) train: EncodedPart,
    validation: Option<EncodedPart>,
    test: Option<EncodedPart>,
    pub(super) padding: Padding,
    kind: Kind,
    task: TaskFile,
    model_folder: ModelFolder,
    checks: RowChecks,
}

/// Loads and checks everything but the rows, which `parts` are.
pub(super) fn prepare(
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
    } = open(config.base(), &kind, seed, device)
        .map_err(|error| at(&resolved, "model_name_or_path", error))?;
    if let Some(head) = &loaded.saved_head {
        progress.note(&head.to_string());
    }
    if !loaded.initialized.is_empty() {
        progress.note(&format!(
            "new, from seed {seed}: {}",
            loaded.initialized.join(", ")
        ));
    }
    let tuning = config.tuning(&model.modules_to_save(), usual_targets);
    if let Tuning::Lora(lora) = &tuning {
        check_size(&resolved, lora, &model)?;
    }
    let (adapted, attached) =
        attach(model, &loaded, tuning, seed).map_err(|error| resolved.origins.adapter_error(&error))?;
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
pub(super) fn run_document(prepared: &Labelled) -> Value {
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
        "base_head": prepared.loaded.saved_head,
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
        let (run, task_text) = (document.clone(), json_text(&self.task)?);
        let saving = Saving {
            folder,
            task_type: self.kind.task_type(),
            base_model: public_name(&config.model_name_or_path),
            ensemble: config.ensemble(),
            model_folder: &self.model_folder,
            run: &run,
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
        let calibration = scored
            .calibration
            .as_ref()
            .map(CalibrationFile::text)
            .transpose()?;
        let page = page(&scored, &fitted, config, &prepared.checks, &results).to_html();
        write_together(&folder, |beside| {
            write_file(&beside.join(TASK_FILE), task_text.as_bytes())?;
            if let Some(text) = &calibration {
                write_file(&beside.join(CALIBRATION_FILE), text.as_bytes())?;
            }
            write_file(&beside.join(RESULTS_FILE), results_text.as_bytes())?;
            write_file(&beside.join(REPORT_FILE), page.as_bytes())
        })?;
        write_finished(&folder, &document)?;
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
