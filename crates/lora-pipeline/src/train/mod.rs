//! From rows to an adapter folder with scores and a report: `lora train` without a terminal.

mod checkpoint_folder;
pub mod checkpoints;
mod event_log;
mod fitted;
mod memory;
mod one_batch;
mod own_checkpoints;
mod posterior;
pub mod prepared;
mod resume;
mod scores;
mod size;
mod speed;
mod state_writer;
mod task_file;
pub mod verdict;

use lora_core::Tuning;
use lora_data::Task;
use lora_models::{FamilyConfig, LoadReport};
use lora_train::swag::SwagError;
use lora_train::{CheckpointKind, History, TrainError, TrainingState};
use serde_json::{Value, json};

pub use self::checkpoint_folder::{
    CheckpointError, CheckpointFile, TrainingCheckpoint, checkpoints_in, command_of, read as read_checkpoint,
};
use self::checkpoints::{Reporter, Saving, Watcher};
use self::event_log::EventLog;
pub use self::fitted::{FittedTraining, ScoredTraining};
pub use self::memory::{MemoryEstimate, TooLarge};
pub use self::one_batch::OneBatch;
use self::posterior::PosteriorError;
use self::prepared::{EncodedRows, PreparedTraining};
use self::resume::Beginning;
pub use self::resume::is_finished;
pub use self::scores::TrainingScores;
use self::size::check_size;
pub use self::speed::Speed;
use self::state_writer::StateWriter;
use self::task_file::task_file;
use self::verdict::check_learned;
use crate::base::checkpoint::public_name;
use crate::base::model_folder::ModelFolder;
use crate::base::{BaseOptions, OpenedBase, TextReader, attach};
use crate::config::{Resolved, ResumeFrom, RunConfig};
use crate::data::RowSource;
use crate::data::encoded::{EncodedSplit, RowEncoder};
use crate::data::row_checks::RowChecks;
use crate::device::{DeviceError, DeviceName, Precision};
use crate::error::{Error, Result};
use crate::files::folder_lock::FolderLock;
use crate::files::output::{
    FolderWriter, INTERRUPTED, OutputError, RUN_FILE, check_folder, json_text, write_json,
};
use crate::files::provenance::MadeBy;
use crate::parameters::{attached_line, parameter_line, peft_count};
use crate::progress::{CancelToken, Progress};
use crate::saved::task_file::TaskFile;
use crate::saved::trained_on::{HASHES, hashes_of};

/// A training, loaded and checked.
pub struct Training {
    resolved: Resolved,
    prepared: PreparedTraining,
    loaded: LoadReport,
    task_file: TaskFile,
    model_folder: ModelFolder,
    checks: RowChecks,
    beginning: Beginning,
    mlflow_token: Option<String>,
    /// As long as anything is written; none for a dry run.
    _lock: Option<FolderLock>,
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
        let beginning = Beginning::find(&resolved)?;
        let in_output = |error: OutputError| origins.at("output_dir", error);
        let may_be_there = config.overwrite_output_dir || is_dry_run || beginning.is_in_its_folder;
        check_folder(&config.output_dir, FolderWriter::Training, may_be_there).map_err(in_output)?;
        let lock = (!is_dry_run).then(|| FolderLock::take(&config.output_dir));
        let lock = lock.transpose().map_err(in_output)?;
        let rows = RowSource::from(&resolved).read(progress)?;
        let (task, seed) = (rows.task(), config.train.seed);
        BaseOptions::of(config)
            .check_targets(config)
            .map_err(|error| origins.adapter_error(&error))?;
        let of_model = |error: Error| origins.model_error(error);
        let options = BaseOptions::of(config);
        let files = options.files().map_err(of_model)?;
        let reader = TextReader::of(&files, &task, options.max_seq_length).map_err(of_model)?;
        let encoder = RowEncoder {
            chat_template: config.data.chat_template,
            ..RowEncoder::new(
                &reader,
                &task,
                config.lengths(),
                config.train.per_device_eval_batch_size,
            )
        };
        let tokenized = EncodedRows::new(&rows.split, &encoder, progress)?;
        if let Ok(family) = FamilyConfig::read(&files) {
            let tuning = config.tuning(&[], family.family().targets);
            let batch_size = config.train.per_device_train_batch_size;
            tokenized
                .check_memory(&files, &tuning, batch_size, &device, progress)
                .map_err(|error| of_model(error.into()))?;
        }
        let base = OpenedBase::load(&files, reader, &task, task.labels(), seed, &device);
        let OpenedBase {
            model,
            loaded,
            default_targets,
            model_folder,
            ..
        } = base.map_err(of_model)?;
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
        let prepared = tokenized.with_model(adapted);
        progress.note(&parameter_line(&prepared.adapted));
        beginning.check_test_rows(prepared.test_hash().as_ref())?;
        if let Some(checkpoint) = &beginning.checkpoint {
            let (folder, step) = (checkpoint.folder.display(), checkpoint.file.step);
            progress.note(&format!("going on after step {step}, from {folder}"));
        } else if config.resume_from_checkpoint != ResumeFrom::Nothing {
            progress.note("there is no checkpoint to resume from yet: beginning at the first step");
        }
        Ok(Self {
            beginning,
            mlflow_token: None,
            _lock: lock,
            task_file: task_file(config, &rows.columns, rows.benchmark, &task),
            checks: rows.checks,
            prepared,
            loaded,
            model_folder,
            resolved,
        })
    }

    /// With the token that an MLflow server asks for. It is no setting, for settings are written down.
    #[must_use]
    pub fn with_mlflow_token(self, token: String) -> Self {
        Self {
            mlflow_token: Some(token),
            ..self
        }
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
        let made_by = self.made_by();
        let config = RunConfig {
            // The whole training is recorded as that which is not interrupted, for it is the same.
            resume_from_checkpoint: ResumeFrom::Nothing,
            ..self.resolved.config.clone()
        };
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
            HASHES: hashes_of(&config.data),
            "row_checks": self.checks,
            "trainable_params": count.trained,
            "all_params": count.all,
            "new_parameters": self.loaded.initialized,
            "base_head": self.loaded.saved_head,
            "config": config,
        })
    }

    /// What began the training.
    fn made_by(&self) -> MadeBy {
        match &self.beginning.checkpoint {
            Some(checkpoint) => checkpoint.file.made_by.clone(),
            None => MadeBy::this_call(),
        }
    }

    /// Trains, and writes the best and the last adapter on the way. A training that fails after a checkpoint says so in `run.json`.
    ///
    /// # Errors
    ///
    /// If the training diverges or is cancelled, or an adapter cannot be written.
    pub fn fit(mut self, progress: &dyn Progress, cancel: &CancelToken) -> Result<FittedTraining> {
        let checkpoint = self.beginning.checkpoint.as_mut();
        let state = checkpoint.map(|checkpoint| std::mem::take(&mut checkpoint.state));
        let config = &self.resolved.config;
        let folder = &config.output_dir;
        let refuse = |error| match error {
            TrainError::Config(error) => self.resolved.origins.training_error(&error),
            TrainError::State(error) => self.beginning.refusal(error),
            other => other.into(),
        };
        self.prepared.data().check(&config.train).map_err(refuse)?;
        self.check_swag()?;
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
        let mut file = CheckpointFile::new(self.made_by(), run["config"].clone(), self.prepared.test_hash());
        let resumed = self.beginning.checkpoint.as_ref();
        if let Some(checkpoint) = resumed {
            (file.step, file.seconds) = (checkpoint.file.step, checkpoint.file.seconds);
        }
        let folder_of = resumed.map(|checkpoint| checkpoint.folder.as_path());
        let states = StateWriter::new(saving, config, file, folder_of);
        let reporter = self.reporter(state.as_ref(), progress, cancel);
        let log = EventLog::of(config, self.mlflow_token.as_deref())?;
        let mut watcher = Watcher::new(saving, states, reporter, log, self.beginning.written);
        let fitted = match self.fit_with_posterior(state, &mut watcher) {
            Ok(fitted) => fitted,
            Err(error) => {
                // Checkpoints from before stay usable, but nobody should take them for the result of a whole training.
                if watcher.written.is_begun && !error.is_refusal() {
                    fail("failed", json!(error.to_string()))?;
                    if watcher.written.has_adapter {
                        let folder = folder.display();
                        progress.note(&format!(
                            "{folder} keeps the best adapter from before the failure"
                        ));
                    }
                }
                return Err(match error {
                    PosteriorError::Training(error) => refuse(error),
                    PosteriorError::Swag(error) => self.resolved.origins.at("swag", error),
                    PosteriorError::State(error) => refuse(error.into()),
                });
            }
        };
        if let Some(error) = watcher.error {
            return Err(error.into());
        }
        let steps = fitted.history.steps.len();
        if watcher.is_interrupted() {
            let written = watcher.written;
            if written.is_begun {
                let mut interrupted = json!({ "step": steps, "adapter_step": written.best_step });
                let changes = &fitted.history.mask_changes;
                if !changes.is_empty() {
                    interrupted["mask_probability"] = json!({ "by_step": changes });
                }
                fail(INTERRUPTED, interrupted)?;
            }
            let folder = written.has_adapter.then(|| folder.clone());
            let is_resumable = watcher.states.newest().is_some();
            return Err(Error::Interrupted {
                step: steps,
                folder,
                go_on: is_resumable.then(|| self.command_to_go_on()),
            });
        }
        let best = fitted.history.best_step.unwrap_or(steps as u64);
        saving.write(CheckpointKind::Best, Some(best), &fitted.best)?;
        let seconds = watcher.states.seconds();
        let unasked = watcher.states.unasked();
        if let Err(error) = check_learned(&fitted.history, self.prepared.classes()) {
            fail("failed", json!(error.to_string()))?;
            return Err(error.into());
        }
        Ok(FittedTraining {
            training: self,
            fitted,
            document,
            seconds,
            unasked,
        })
    }

    /// Refuses a training with too few steps for a covariance of its weights.
    fn check_swag(&self) -> Result<()> {
        let config = &self.resolved.config;
        let Some(swag) = &config.swag else {
            return Ok(());
        };
        let rows = self.prepared.train.encoded.len();
        let (steps, of_epoch) = (config.train.total_steps(rows), config.train.steps_per_epoch(rows));
        let found = swag.collections(steps, of_epoch);
        if found < 2 {
            let error = SwagError::TooFewCollections { found };
            return Err(self.resolved.origins.at("swag", error));
        }
        Ok(())
    }

    /// What tells of the training, from its first step or from a state on.
    fn reporter<'a>(
        &self,
        state: Option<&TrainingState>,
        progress: &'a dyn Progress,
        cancel: &'a CancelToken,
    ) -> Reporter<'a> {
        let reporter = Reporter::new(&self.resolved.config.train, progress, cancel);
        match state.and_then(History::of_state) {
            Some(before) => reporter.after(&before),
            None => reporter,
        }
    }

    /// The command of this call, so that it goes on where it stands.
    fn command_to_go_on(&self) -> String {
        let command = MadeBy::this_call().command;
        match self.resolved.config.resume_from_checkpoint {
            ResumeFrom::Nothing => format!("{command} --resume"),
            ResumeFrom::Newest => command,
            // The newest one is another by now.
            ResumeFrom::Folder(_) => format!("{command} --resume auto"),
        }
    }
}
