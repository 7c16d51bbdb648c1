//! From rows to an adapter folder with scores and a report: `lora train` without a terminal.

pub mod checkpoints;
mod event_log;
mod memory;
mod one_batch;
mod posterior;
pub mod prepared;
mod scores;
mod size;
mod speed;
mod task_file;
pub mod verdict;

use std::path::PathBuf;
use std::time::Instant;

use lora_core::Tuning;
use lora_core::atomic::write_file;
use lora_data::Task;
use lora_models::{LoadReport, Transformer};
use lora_train::swag::SwagError;
use lora_train::{CheckpointKind, Fitted, TrainError};
use serde_json::{Map, Value, json};

use self::checkpoints::{REPORT_FILE, RESULTS_FILE, Reporter, Saving, Watcher};
use self::event_log::EventLog;
pub use self::memory::MemoryEstimate;
pub use self::one_batch::OneBatch;
use self::posterior::PosteriorError;
use self::prepared::PreparedTraining;
pub use self::scores::TrainingScores;
use self::scores::{card_text, page};
use self::size::check_size;
pub use self::speed::Speed;
use self::task_file::task_file;
use self::verdict::{Guess, check_learned, verdict};
use crate::base::checkpoint::public_name;
use crate::base::model_folder::ModelFolder;
use crate::base::{BaseOptions, OpenedBase, attach};
use crate::calibration::{CALIBRATION_FILE, CalibrationFile};
use crate::card::CARD_FILE;
use crate::config::{Resolved, RunConfig};
use crate::data::encoded::{EncodedSplit, RowEncoder};
use crate::data::read_rows;
use crate::data::row_checks::RowChecks;
use crate::device::{DeviceError, DeviceName, Precision};
use crate::error::{Error, Result};
use crate::files::output::{
    FolderWriter, RUN_FILE, check_folder, json_text, write_finished, write_json, write_together,
};
use crate::files::provenance::MadeBy;
use crate::parameters::{attached_line, parameter_line, peft_count};
use crate::progress::{CancelToken, Progress};
use crate::saved::task_file::{TASK_FILE, TaskFile};

/// A training, loaded and checked.
pub struct Training {
    resolved: Resolved,
    prepared: PreparedTraining,
    loaded: LoadReport,
    task_file: TaskFile,
    model_folder: ModelFolder,
    checks: RowChecks,
}

/// A training that came to its end, before anything was scored.
pub struct FittedTraining {
    training: Training,
    fitted: Fitted<Transformer>,
    document: Value,
    seconds: f64,
}

/// A training with its scores, all of it written.
pub struct ScoredTraining {
    /// Scores of each split; none for a language model that writes.
    pub scored: TrainingScores,
    /// The losses.
    pub history: lora_train::History,
    /// Of a language model that writes, how fast it was trained.
    pub speed: Option<Speed>,
    /// Where everything is.
    pub folder: PathBuf,
    /// What to do better, if anything.
    pub advice: Vec<String>,
    /// `results.json`.
    pub document: Value,
}

impl Training {
    /// Loads and checks everything that a training needs. `is_dry_run`: nothing will be written, so an earlier run in the output
    /// folder does not matter.
    ///
    /// # Errors
    ///
    /// If an input is wrong.
    pub fn open(resolved: Resolved, is_dry_run: bool, progress: &dyn Progress) -> Result<Self> {
        let (config, origins) = (&resolved.config, &resolved.origins);
        let name: DeviceName = config
            .device
            .parse()
            .map_err(|error| origins.at("device", error))?;
        let device = name.open_in(Precision::F32, config.fp32_precision);
        let device = device.map_err(|error| {
            let is_of_products = matches!(error, DeviceError::Products { .. });
            let key = if is_of_products {
                "fp32_precision"
            } else {
                "device"
            };
            origins.at(key, error)
        })?;
        check_folder(
            &config.output_dir,
            FolderWriter::Training,
            config.overwrite_output_dir || is_dry_run,
        )
        .map_err(|error| origins.at("output_dir", error))?;
        let rows = read_rows(&resolved, progress)?;
        let (task, seed) = (rows.task(), config.train.seed);
        let at = |key: &str, error: Error| match origins.of(key) {
            // Kept as it is: its kind decides the exit code.
            Some(place) => error.at(place),
            None => error,
        };
        BaseOptions::of(config)
            .check_targets(config)
            .map_err(|error| origins.adapter_error(&error))?;
        let base = BaseOptions::of(config).open(&task, seed, &device);
        let OpenedBase {
            model,
            loaded,
            reader,
            default_targets,
            model_folder,
        } = base.map_err(|error| at("model_name_or_path", error))?;
        if let Some(head) = &loaded.saved_head {
            progress.note(&head.to_string());
        }
        if !loaded.initialized.is_empty() {
            progress.note(&format!(
                "new, from seed {seed}: {}",
                loaded.initialized.join(", ")
            ));
        }
        let tuning = config.tuning(&model.modules_to_save(), default_targets);
        if let Tuning::Lora(lora) = &tuning
            && task != Task::Completion
        {
            check_size(&resolved, lora, &model)?;
        }
        let (adapted, attached) =
            attach(model, &loaded, tuning, seed).map_err(|error| origins.adapter_error(&error))?;
        progress.note(&attached_line(adapted.tuning(), &attached));
        let batch_size = config.train.per_device_eval_batch_size;
        let encoder = RowEncoder {
            chat_template: config.chat_template,
            ..RowEncoder::new(&reader, &task, config.lengths(), batch_size)
        };
        let prepared = PreparedTraining::new(adapted, &rows.split, &encoder, progress)?;
        progress.note(&parameter_line(&prepared.adapted));
        Ok(Self {
            task_file: task_file(config, &rows.columns, rows.benchmark, &task),
            checks: rows.checks,
            prepared,
            loaded,
            model_folder,
            resolved,
        })
    }

    /// The settings.
    pub fn config(&self) -> &RunConfig {
        &self.resolved.config
    }

    /// PEFT's line of counts.
    pub fn parameter_line(&self) -> String {
        parameter_line(&self.prepared.adapted)
    }

    /// Makes one step, to see whether it runs and how long it takes; writes nothing.
    ///
    /// # Errors
    ///
    /// If a setting does not fit, or the step diverges.
    pub fn try_one_batch(self) -> Result<OneBatch> {
        let document = self.run_document();
        OneBatch::of(&self.prepared, &self.resolved.config.train, document)
    }

    /// `run.json`: everything that the results follow from.
    fn run_document(&self) -> Value {
        let made_by = MadeBy::this_call();
        let prepared = &self.prepared;
        let rows = |split: &Option<EncodedSplit>| split.as_ref().map(EncodedSplit::len);
        let count = peft_count(&prepared.adapted);
        json!({
            "program": made_by.program,
            "versions": made_by.versions,
            "command": made_by.command,
            "platform": made_by.platform,
            "device": self.resolved.config.device,
            "seed": self.resolved.config.train.seed,
            "rows": {
                "train": prepared.train.len(),
                "validation": rows(&prepared.validation),
                "test": rows(&prepared.test),
            },
            "row_checks": self.checks,
            "trainable_params": count.trained,
            "all_params": count.all,
            "new_parameters": self.loaded.initialized,
            "base_head": self.loaded.saved_head,
            "config": self.resolved.config,
        })
    }

    /// Trains, and writes the best and the last adapter on the way. A training that fails after a checkpoint says so in `run.json`.
    ///
    /// # Errors
    ///
    /// If the training diverges or is cancelled, or an adapter cannot be written.
    pub fn fit(self, progress: &dyn Progress, cancel: &CancelToken) -> Result<FittedTraining> {
        let config = &self.resolved.config;
        let folder = &config.output_dir;
        let refuse = |error| match error {
            TrainError::Config(error) => self.resolved.origins.training_error(&error),
            other => other.into(),
        };
        self.prepared.data().check(&config.train).map_err(refuse)?;
        if let Some(swag) = &config.swag {
            let rows = self.prepared.train.encoded.len();
            let (steps, of_epoch) = (config.train.total_steps(rows), config.train.steps_per_epoch(rows));
            let found = swag.collections(steps, of_epoch);
            if found < 2 {
                let error = SwagError::TooFewCollections { found };
                return Err(self.resolved.origins.at("swag", error));
            }
        }
        let mut document = self.run_document();
        let run = document.clone();
        let mut fail = |key: &str, value: Value| {
            document[key] = value;
            write_json(&folder.join(RUN_FILE), &document)
        };
        let task_text = json_text(&self.task_file)?;
        let saving = Saving {
            folder,
            task_type: crate::base::task_type(&self.prepared.task),
            base_model: public_name(&config.model_name_or_path),
            ensemble: self.task_file.ensemble,
            model_folder: &self.model_folder,
            run: &run,
            task: &task_text,
        };
        let start = Instant::now();
        let reporter = Reporter::new(config.train.metric_for_best_model, progress, cancel);
        let log = EventLog::of(config)?;
        let mut watcher = Watcher::new(saving, reporter, log);
        let fitted = match self.fit_with_posterior(&mut watcher) {
            Ok(fitted) => fitted,
            Err(error) => {
                // Checkpoints from before stay usable, but nobody should take them for the result of a whole training.
                if watcher.has_saved {
                    fail("failed", json!(error.to_string()))?;
                    let folder = folder.display();
                    progress.note(&format!(
                        "{folder} keeps the best adapter from before the failure"
                    ));
                }
                return Err(match error {
                    PosteriorError::Training(error) => refuse(error),
                    PosteriorError::Swag(error) => self.resolved.origins.at("swag", error),
                });
            }
        };
        if let Some(error) = watcher.error {
            return Err(error.into());
        }
        let steps = fitted.history.steps.len();
        if watcher.is_interrupted() {
            if watcher.has_saved {
                fail("interrupted", json!({ "step": steps }))?;
            }
            let folder = watcher.has_saved.then(|| folder.clone());
            return Err(Error::Interrupted { step: steps, folder });
        }
        let best = fitted.history.best_step.map_or(steps, |step| step as usize);
        saving.write(CheckpointKind::Best, best, &fitted.best)?;
        let seconds = start.elapsed().as_secs_f64();
        if let Err(error) = check_learned(&fitted.history, self.prepared.classes()) {
            fail("failed", json!(error.to_string()))?;
            return Err(error.into());
        }
        Ok(FittedTraining {
            training: self,
            fitted,
            document,
            seconds,
        })
    }
}

impl FittedTraining {
    /// Scores the best model on each split, calibrates it, and writes all of that.
    ///
    /// # Errors
    ///
    /// If the model has diverged, or a file cannot be written.
    pub fn score(self, progress: &dyn Progress) -> Result<ScoredTraining> {
        let Self {
            training,
            fitted,
            document,
            seconds,
        } = self;
        let (config, prepared) = (&training.resolved.config, &training.prepared);
        let folder = config.output_dir.clone();
        let start = Instant::now();
        let scored = TrainingScores::of(&fitted, prepared, config, progress)?;
        let history = &fitted.history;
        let mut results = json!({
            "run": document,
            "seconds": {"train": seconds, "score": start.elapsed().as_secs_f64()},
            "best_step": history.best_step,
            "steps": history.steps.len(),
            "history": history,
        });
        let is_scored = prepared.train.is_scored();
        let speed = (!is_scored)
            .then(|| Speed::of(&prepared.train.encoded.lengths(), &config.train, history, seconds));
        if let Some(speed) = speed {
            results["tokens"] = json!(speed.tokens);
            results["tokens_per_second"] = json!(speed.tokens_per_second);
        } else {
            let of_splits = scored.scores.iter();
            let of_splits = of_splits.map(|(name, methods)| (name.clone(), json!(methods)));
            results["temperature"] = json!(scored.rules.temperature);
            results["no_answer_threshold"] = json!(scored.rules.threshold);
            results["inference"] = json!(scored.inference());
            results["metric"] = scored.official_document();
            results["scores"] = Value::Object(of_splits.collect::<Map<_, _>>());
            results["train_test_gap"] = json!(scored.gap());
        }
        let task = TaskFile {
            temperature: scored.rules.temperature,
            no_answer_threshold: scored.rules.threshold,
            inference: scored.inference(),
            ..training.task_file
        };
        let (task_text, results_text) = (json_text(&task)?, json_text(&results)?);
        let calibration = scored.calibration.as_ref();
        let calibration = calibration.map(CalibrationFile::text).transpose()?;
        let page = page(&scored, &fitted, config, &training.checks, &results).to_html();
        let card = card_text(&scored, &fitted, prepared, config, &task)?;
        write_together(&folder, |beside| {
            write_file(&beside.join(TASK_FILE), task_text.as_bytes())?;
            if let Some(text) = &calibration {
                write_file(&beside.join(CALIBRATION_FILE), text.as_bytes())?;
            }
            if let Some(text) = &card {
                write_file(&beside.join(CARD_FILE), text.as_bytes())?;
            }
            write_file(&beside.join(RESULTS_FILE), results_text.as_bytes())?;
            write_file(&beside.join(REPORT_FILE), page.as_bytes())
        })?;
        write_finished(&folder, &document)?;
        let guess = match (&prepared.validation, prepared.classes()) {
            (Some(validation), Some(classes)) => {
                Guess::of(&prepared.train.truth(), &validation.truth(), classes)
            }
            _ => None,
        };
        let mut advice: Vec<String> = scored.inference_in_words().into_iter().collect();
        if is_scored {
            advice.extend(verdict(history, guess, scored.mean_pass_on_validation()));
        }
        Ok(ScoredTraining {
            scored,
            history: fitted.history,
            speed,
            folder,
            advice,
            document: results,
        })
    }
}
