//! From labelled text to an adapter folder with scores and a report.

pub mod checkpoints;
mod labelled;
pub mod language;
mod scores;
mod size;
mod task_file;
pub mod verdict;

use std::time::Instant;

use lora_core::Adapted;
use lora_data::tasks::RowsKind;
use lora_data::{EncodedDataset, Padding, train_batches};
use lora_models::Transformer;
use lora_train::event::FinishReason;
use lora_train::swag::{SWAG_SCALE, SwagCollector, SwagError};
use lora_train::{Checkpoint, FitData, Fitted, TrainConfig, TrainError, Trainer};
use serde_json::{Value, json};

use crate::base::checkpoint::fit_as_configured;
use crate::config::{Resolved, RunConfig};
use crate::data::read_parts;
use crate::device::{DeviceError, DeviceName, Precision};
use crate::error::{Error, Result};
use crate::files::output::{RUN_FILE, Writer, check_folder, write_json};
use crate::parameters::parameter_line;
use crate::progress::{CancelToken, Progress};
use checkpoints::{Reporter, Saving, Watcher};
pub use labelled::{FittedRun, Labelled, ScoredRun};
pub use scores::Scored;

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
            .open_in(Precision::F32, config.fp32_precision)
            .map_err(|error| {
                let is_of_products = matches!(error, DeviceError::Products { .. });
                let key = if is_of_products {
                    "fp32_precision"
                } else {
                    "device"
                };
                resolved.origins.at(key, error)
            })?;
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
            let prepared = labelled::prepare(resolved, &parts, &device, progress)?;
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
                let document = labelled::run_document(&prepared);
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
    if let Some(swag) = &resolved.config.swag {
        let rows = data.train.len();
        let found = swag.collections(config.total_steps(rows), config.steps_per_epoch(rows));
        if found < 2 {
            return Err(resolved
                .origins
                .at("swag", SwagError::TooFewCollections { found }));
        }
    }
    let reporter = Reporter::new(config.metric_for_best_model, progress, cancel);
    let mut watcher = Watcher::new(saving, reporter);
    let fitted = match fit_with_posterior(adapted, &resolved.config, data, &mut watcher) {
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
            return Err(match error {
                PosteriorError::Training(error) => refuse(error),
                PosteriorError::Swag(error) => resolved.origins.at("swag", error),
            });
        }
    };
    if let Some(error) = watcher.error {
        return Err(error.into());
    }
    if watcher.is_interrupted() {
        let step = fitted.history.steps.len();
        if watcher.has_saved {
            document["interrupted"] = json!({ "step": step });
            write_json(&saving.folder.join(RUN_FILE), document)?;
        }
        let folder = watcher.has_saved.then(|| saving.folder.to_owned());
        return Err(Error::Interrupted { step, folder });
    }
    let step = fitted
        .history
        .best_step
        .map_or(fitted.history.steps.len(), |step| step as usize);
    saving.write(Checkpoint::Best, step, &fitted.best)?;
    Ok(fitted)
}

/// Why a training came to no model, or to no Gaussian over its parameters.
#[derive(Debug, thiserror::Error)]
enum PosteriorError {
    #[error(transparent)]
    Training(#[from] TrainError),
    #[error(transparent)]
    Swag(#[from] SwagError),
}

/// Trains; the best model carries the Gaussian that was learned or collected on the way, if one is asked for.
fn fit_with_posterior(
    adapted: Adapted<Transformer>,
    config: &RunConfig,
    data: &FitData<'_>,
    watcher: &mut Watcher<'_>,
) -> Result<Fitted<Transformer>, PosteriorError> {
    let (mut fitted, swag) = match config.swag {
        None => (fit_as_configured(adapted, config, data, watcher)?, None),
        Some(settings) => {
            let mut collecting = SwagCollector::new(settings, watcher)?;
            let fitted = fit_as_configured(adapted, config, data, &mut collecting)?;
            // A training that is broken off has no Gaussian, and needs none.
            let swag = fitted.history.finish != FinishReason::Stopped;
            (
                fitted,
                swag.then(|| collecting.finish(config.train.seed, SWAG_SCALE))
                    .transpose()?,
            )
        }
    };
    let learned = fitted
        .variational
        .as_ref()
        .map(|factors| factors.posterior(&fitted.best, config.train.seed));
    let posterior = swag
        .map(|swag| swag.gaussian())
        .or(learned.map(|learned| learned.gaussian()));
    fitted.best = fitted.best.with_posterior(posterior);
    Ok(fitted)
}
