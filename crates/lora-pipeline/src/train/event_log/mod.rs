//! What happens in a training, written while it runs: for TensorBoard, as lines of JSON, or as these and to an MLflow server.
//!
//! A training leaves its folder alone before its first checkpoint, so what happens until then waits in memory. From there on every event is
//! in the file as soon as it has happened.

mod mlflow;
mod tensorboard;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lora_core::atomic::WriteError;
use lora_train::event::Evaluation;
use lora_train::trainer::StepReport;
use lora_train::{Event, Metric};
use serde_json::{Value, json};

use self::mlflow::MlflowRun;
use self::tensorboard::{scalars, text, version};
use crate::config::{ReportTo, RunConfig};
use crate::error::{Context, Result};
use crate::files::output::remove_file;

/// Lines of JSON.
pub const EVENTS_FILE: &str = "events.jsonl";
/// TensorBoard reads every file in whose name this stands.
const PREFIX: &str = "events.out.tfevents.";
/// By which ours are known.
const SUFFIX: &str = ".lora";

/// The events of one training.
pub struct EventLog {
    folder: PathBuf,
    name: String,
    format: EventFormat,
    metric: Metric,
    /// What is not in the file yet.
    pending: Vec<u8>,
    /// Open from the first checkpoint on.
    file: Option<File>,
    mlflow: Option<MlflowRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventFormat {
    TensorBoard,
    Json,
}

impl EventLog {
    /// What the settings ask for; none where they ask for nothing. `mlflow_token`: what an MLflow server knows the user by, if it asks.
    ///
    /// # Errors
    ///
    /// Never: settings are YAML.
    pub fn of(config: &RunConfig, mlflow_token: Option<&str>) -> Result<Option<Self>> {
        let settings = serde_saphyr::to_string(config).context("the settings are no YAML")?;
        let metric = config.train.metric_for_best_model;
        let log = Self::new(config.report_to, &config.output_dir, &settings, metric);
        let run = (config.report_to == ReportTo::MlFlow).then(|| MlflowRun::start(config, mlflow_token));
        Ok(log.map(|log| Self { mlflow: run, ..log }))
    }

    fn new(report_to: ReportTo, folder: &Path, settings: &str, metric: Metric) -> Option<Self> {
        let (format, name) = match report_to {
            ReportTo::None => return None,
            ReportTo::TensorBoard => {
                // TensorBoard reads the files of a folder in the order of their names.
                let name = format!("{PREFIX}{:010}{SUFFIX}", since_1970().as_secs());
                (EventFormat::TensorBoard, name)
            }
            ReportTo::Json | ReportTo::MlFlow => (EventFormat::Json, EVENTS_FILE.to_owned()),
        };
        let mut log = Self {
            folder: folder.to_owned(),
            name,
            format,
            metric,
            pending: Vec::new(),
            file: None,
            mlflow: None,
        };
        if format == EventFormat::TensorBoard {
            log.pending.extend(version(wall_time()));
            log.pending.extend(text(wall_time(), "settings", settings));
        }
        Some(log)
    }

    /// Notes an event.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn record(&mut self, event: &Event) -> Result<(), WriteError> {
        let bytes = match self.format {
            EventFormat::TensorBoard => self.records(event),
            EventFormat::Json => line(event),
        };
        self.pending.extend(bytes);
        self.write_pending()?;
        if let Some(run) = &self.mlflow
            && let Some((step, values)) = self.values(event)
        {
            run.record(step, values);
        }
        if let (Some(run), Event::Finished(reason)) = (&mut self.mlflow, event) {
            run.finish(*reason);
        }
        Ok(())
    }

    /// What people should know of a server that takes the events.
    pub fn notes(&self) -> Vec<String> {
        self.mlflow.as_ref().map_or_else(Vec::new, MlflowRun::notes)
    }

    /// The folder is this run's now: what has happened is written.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn begin(&mut self) -> Result<(), WriteError> {
        if self.file.is_some() {
            return Ok(());
        }
        let path = self.folder.join(&self.name);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        self.file = Some(open.map_err(|source| WriteError { path, source })?);
        self.write_pending()
    }

    fn write_pending(&mut self) -> Result<(), WriteError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(&self.pending);
        self.pending.clear();
        written.map_err(|source| WriteError {
            path: self.folder.join(&self.name),
            source,
        })
    }

    /// The event as records of TensorBoard.
    fn records(&self, event: &Event) -> Vec<u8> {
        let values = self.values(event);
        values.map_or_else(Vec::new, |(step, values)| scalars(wall_time(), step, &values))
    }

    /// The numbers of an event and their step; none where there are none.
    fn values(&self, event: &Event) -> Option<(u64, Vec<(String, f64)>)> {
        match event {
            Event::Stepped { report, epoch } => Some((report.step, step_values(report, *epoch))),
            Event::Evaluated(evaluation) => Some((evaluation.step, self.evaluation_values(evaluation))),
            Event::MasksChanged(change) => {
                let value = ("train/mask_probability".to_owned(), change.probability);
                Some((change.step, vec![value]))
            }
            Event::Started(_) | Event::Evaluating { .. } | Event::Finished(_) => None,
        }
    }

    fn evaluation_values(&self, evaluation: &Evaluation) -> Vec<(String, f64)> {
        let mut values = vec![("eval/loss".to_owned(), evaluation.loss)];
        if let Some(value) = evaluation.metric.filter(|_| self.metric != Metric::Loss) {
            values.push((format!("eval/{}", self.metric), value));
        }
        if let Some(ece) = evaluation.ece.filter(|_| self.metric != Metric::Ece) {
            values.push(("eval/ece".to_owned(), ece));
        }
        values
    }
}

fn step_values(report: &StepReport, epoch: f64) -> Vec<(String, f64)> {
    let values = [
        ("train/loss", report.loss),
        ("train/grad_norm", report.grad_norm),
        ("train/learning_rate", report.learning_rate),
        ("train/epoch", epoch),
    ];
    values.map(|(tag, value)| (tag.to_owned(), value)).into()
}

/// The event as a line of JSON, with the keys that `results.json` has; none while an evaluation goes on.
fn line(event: &Event) -> Vec<u8> {
    let of = |kind: &str, fields: Value| {
        let mut entry = json!({"event": kind, "time": wall_time()});
        if let (Some(entry), Value::Object(fields)) = (entry.as_object_mut(), fields) {
            entry.extend(fields);
        }
        format!("{entry}\n").into_bytes()
    };
    match event {
        Event::Started(plan) => of("started", json!(plan)),
        Event::Stepped { report, epoch } => {
            let mut fields = json!(report);
            fields["epoch"] = json!(epoch);
            of("stepped", fields)
        }
        Event::Evaluated(evaluation) => of("evaluated", json!(evaluation)),
        Event::MasksChanged(change) => of("masks_changed", json!(change)),
        Event::Finished(reason) => of("finished", json!({ "reason": reason })),
        Event::Evaluating { .. } => Vec::new(),
    }
}

fn since_1970() -> Duration {
    // A clock may be set to before that.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time in seconds since 1970, as TensorBoard has it.
fn wall_time() -> f64 {
    since_1970().as_secs_f64()
}

/// Removes the event files that an earlier training left.
///
/// # Errors
///
/// [`WriteError`].
pub fn remove_earlier(folder: &Path) -> Result<(), WriteError> {
    remove_file(&folder.join(EVENTS_FILE))?;
    let failed = |source| WriteError {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}
