//! The events of a training as a run of an MLflow server.
//!
//! A thread of its own sends them, so that a slow server costs the training nothing, and a server that goes away is no reason to fail: what
//! it did not take is kept and sent when it answers again, at the latest at the end. Everything is in `events.jsonl` as well.

mod client;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use lora_train::event::FinishReason;
use serde_json::{Value, json};

use self::client::{MlflowClient, RunStatus};
use super::{EVENTS_FILE, since_1970};
use crate::config::RunConfig;
use crate::http::HttpError;

/// The experiment that every server has.
const DEFAULT_EXPERIMENT: &str = "Default";
/// What a server takes in one request.
const PARAMS_AT_ONCE: usize = 100;
const METRICS_AT_ONCE: usize = 1000;
/// Characters of a parameter.
const LONGEST_PARAM: usize = 6000;
/// Between two attempts to reach a server that did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// A run on its way to a server.
pub(super) struct MlflowRun {
    messages: Sender<Message>,
    notes: Receiver<String>,
    worker: Option<JoinHandle<()>>,
}

enum Message {
    Values {
        step: u64,
        time: u64,
        values: Vec<(String, f64)>,
    },
    End(RunStatus),
}

/// What a run is.
struct RunSettings {
    address: String,
    experiment: String,
    name: String,
    params: Vec<Value>,
    /// Where everything is written in any case.
    events: String,
    retry: Duration,
}

impl RunSettings {
    fn of(config: &RunConfig) -> Self {
        let (folder, experiment) = (&config.output_dir, config.mlflow_experiment_name.as_deref());
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Self {
            address: config.mlflow_tracking_uri.clone().unwrap_or_default(),
            experiment: experiment.unwrap_or(DEFAULT_EXPERIMENT).to_owned(),
            name: name.to_string_lossy().into_owned(),
            params: params(&json!(config)),
            events: folder.join(EVENTS_FILE).display().to_string(),
            retry: RETRY,
        }
    }
}

/// Settings that are set, as MLflow's pairs of texts.
fn params(config: &Value) -> Vec<Value> {
    let given = config.as_object().into_iter().flatten();
    given
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text: String = text.chars().take(LONGEST_PARAM).collect();
            json!({"key": key, "value": text})
        })
        .collect()
}

impl MlflowRun {
    /// Begins the run of these settings; `token` is sent as bearer token, and written nowhere.
    pub fn start(config: &RunConfig, token: Option<&str>) -> Self {
        Self::start_with(RunSettings::of(config), token)
    }

    fn start_with(settings: RunSettings, token: Option<&str>) -> Self {
        let (messages, to_send) = channel();
        let (say, notes) = channel();
        let worker = Worker {
            client: MlflowClient::new(&settings.address, token),
            settings,
            say,
            run: None,
            metrics: Vec::new(),
            state: Delivery::Fine,
        };
        Self {
            messages,
            notes,
            worker: Some(spawn(move || worker.work(&to_send))),
        }
    }

    /// Values of a step.
    pub fn record(&self, step: u64, values: Vec<(String, f64)>) {
        let time = now();
        // A worker that has ended said why.
        let _ = self.messages.send(Message::Values { step, time, values });
    }

    /// Sends what is left, and waits until that is done or has failed.
    pub fn finish(&mut self, reason: FinishReason) {
        self.end(match reason {
            FinishReason::AllSteps | FinishReason::EarlyStopping => RunStatus::Finished,
            FinishReason::Stopped => RunStatus::Killed,
        });
    }

    fn end(&mut self, status: RunStatus) {
        if let Some(worker) = self.worker.take() {
            let _ = self.messages.send(Message::End(status));
            let _ = worker.join();
        }
    }

    /// What people should know by now.
    pub fn notes(&self) -> Vec<String> {
        self.notes.try_iter().collect()
    }
}

impl Drop for MlflowRun {
    /// A training that did not come to its end failed.
    fn drop(&mut self) {
        self.end(RunStatus::Failed);
    }
}

/// Whether the server takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Delivery {
    Fine,
    /// It did not lately.
    Delayed(Instant),
    /// It never will.
    Refused,
}

struct Worker {
    client: MlflowClient,
    settings: RunSettings,
    say: Sender<String>,
    run: Option<String>,
    /// What is not sent yet.
    metrics: Vec<Value>,
    state: Delivery,
}

impl Worker {
    fn work(mut self, messages: &Receiver<Message>) {
        let mut end = None;
        while end.is_none() {
            self.deliver();
            match messages.recv_timeout(self.settings.retry) {
                Ok(first) => {
                    // All that came meanwhile goes together.
                    for message in std::iter::once(first).chain(messages.try_iter()) {
                        self.take(message, &mut end);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => end = Some(RunStatus::Failed),
            }
        }
        self.finish(end.unwrap_or(RunStatus::Failed));
    }

    fn take(&mut self, message: Message, end: &mut Option<RunStatus>) {
        match message {
            Message::End(status) => *end = Some(status),
            // Nobody will take them.
            Message::Values { .. } if self.state == Delivery::Refused => {}
            Message::Values { step, time, values } => {
                let metrics = values.into_iter().map(|(key, value)| {
                    json!({"key": key, "value": number(value), "timestamp": time, "step": step})
                });
                self.metrics.extend(metrics);
            }
        }
    }

    fn deliver(&mut self) {
        match self.state {
            Delivery::Refused => return,
            Delivery::Delayed(since) if since.elapsed() < self.settings.retry => return,
            Delivery::Fine | Delivery::Delayed(_) => {}
        }
        if let Err(error) = self.send() {
            self.note_failure(&error);
        } else if self.state != Delivery::Fine {
            self.state = Delivery::Fine;
            self.note("the MLflow server takes events again, and has got all of them".to_owned());
        }
    }

    fn note_failure(&mut self, error: &HttpError) {
        let before = self.state;
        self.state = if error.may_pass() {
            Delivery::Delayed(Instant::now())
        } else {
            Delivery::Refused
        };
        let RunSettings { address, events, .. } = &self.settings;
        let what = "the training goes on, and all events are in";
        match self.state {
            Delivery::Refused => self.note(format!(
                "warning: the MLflow server {address} does not take this run: {error}; {what} {events}"
            )),
            Delivery::Delayed(_) if before == Delivery::Fine => self.note(format!(
                "warning: the MLflow server {address} does not take events now: {error}; {what} {events}; what is missing there is sent \
                 when it answers"
            )),
            Delivery::Delayed(_) | Delivery::Fine => {}
        }
    }

    /// Sends all there is, and forgets what has arrived.
    fn send(&mut self) -> Result<(), HttpError> {
        let run = match &self.run {
            Some(run) => run.clone(),
            None => self.begin()?,
        };
        while !self.settings.params.is_empty() {
            let count = self.settings.params.len().min(PARAMS_AT_ONCE);
            self.client.log(&run, &self.settings.params[..count], &[])?;
            self.settings.params.drain(..count);
        }
        while !self.metrics.is_empty() {
            let count = self.metrics.len().min(METRICS_AT_ONCE);
            self.client.log(&run, &[], &self.metrics[..count])?;
            self.metrics.drain(..count);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<String, HttpError> {
        let RunSettings { experiment, name, .. } = &self.settings;
        let experiment = self.client.experiment(experiment)?;
        let run = self.client.begin(&experiment, name, now())?;
        self.note(format!("MLflow: {}", self.client.page(&experiment, &run)));
        self.run = Some(run.clone());
        Ok(run)
    }

    fn finish(&mut self, status: RunStatus) {
        if self.state == Delivery::Refused {
            return;
        }
        let sent = self.send();
        let ended = sent.and_then(|()| match &self.run {
            Some(run) => self.client.end(run, status, now()),
            None => Ok(()),
        });
        if let Err(error) = ended {
            let RunSettings { address, events, .. } = &self.settings;
            self.note(format!(
                "warning: the MLflow server {address} lacks {} values and the end of this run: {error}; all of them are in {events}",
                self.metrics.len()
            ));
        }
    }

    fn note(&self, line: String) {
        // Whoever listens no more has ended.
        let _ = self.say.send(line);
    }
}

/// JSON has no word for what is no finite number; protocol buffers have.
fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("NaN")
    } else {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

/// Milliseconds since 1970, as MLflow counts.
fn now() -> u64 {
    since_1970().as_millis() as u64
}
