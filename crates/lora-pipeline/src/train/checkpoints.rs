//! What a training shows and writes while it runs.

use std::path::Path;

use lora_core::atomic::{WriteError, write_file};
use lora_core::gaussian::{POSTERIOR_FILE, POSTERIOR_TENSOR_FILE};
use lora_core::peft::{CONFIG_FILE, EnsembleSettings, SIDE_FILE, SaveOptions, TENSOR_FILE, TaskType};
use lora_core::tuned::{TUNED_TENSOR_FILE, TUNING_FILE};
use lora_core::{Adapted, Tuning};
use lora_models::Transformer;
use lora_train::event::FinishReason;
use lora_train::{
    CheckpointKind, Event, Flow, History, Metric, Observer, TrainConfig, Trainer, TrainingState,
};
use serde_json::{Value, json};

use super::checkpoint_folder;
use super::event_log::{EventLog, remove_earlier};
use super::state_writer::StateWriter;
use crate::base::model_folder::{
    AUXILIARY_FILES, MODEL_CONFIG_FILE, ModelFolder, TOKENIZER_FILE, WEIGHT_FILE,
};
use crate::calibration::CALIBRATION_FILE;
use crate::card::remove_card;
use crate::files::output::{RUN_FILE, UNFINISHED, remove_file, write_together};
use crate::progress::{CancelToken, Counter, Progress, Silent};
use crate::saved::missing::is_adapter;
use crate::saved::task_file::TASK_FILE;

/// All scores and the history of the training.
pub const RESULTS_FILE: &str = "results.json";
/// The page.
pub const REPORT_FILE: &str = "report.html";

/// Name of the folder, in the output folder, of the adapter after the last step.
pub const LAST: &str = "last";

/// Where and how checkpoints are written.
#[derive(Clone, Copy, Debug)]
pub struct Saving<'a> {
    /// The output folder.
    pub folder: &'a Path,
    /// What the adapter is for.
    pub task_type: TaskType,
    /// The base model, by the name that other programs know.
    pub base_model: &'a str,
    /// The ensemble that the adapter is meant for.
    pub ensemble: Option<EnsembleSettings>,
    /// What a whole model's folder holds beside its weights.
    pub model_folder: &'a ModelFolder,
    /// `run.json`, which makes the folder a run. With a checkpoint it says that the training has not finished.
    pub run: &'a Value,
    /// `task.json`, which makes a checkpoint usable even if the training is interrupted.
    pub task: &'a str,
}

impl Saving<'_> {
    /// LoRA as PEFT has it, a whole model as Transformers has it, and anything else as the tensors that were trained.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub(crate) fn write_tuned(
        &self,
        folder: &Path,
        adapted: &Adapted<Transformer>,
    ) -> Result<(), WriteError> {
        let options = SaveOptions {
            ensemble: self.ensemble,
            ..SaveOptions::new(self.task_type).with_base_model(self.base_model)
        };
        match adapted.tuning() {
            Tuning::Full(_) => self.model_folder.write(folder, &adapted.model),
            Tuning::Lora(_) | Tuning::BitFit(_) | Tuning::Bottleneck(_) => adapted.save(folder, &options),
        }
    }

    /// `run.json` of a training under way. A killed one takes nothing back, so what it leaves must say by itself that it is no whole run.
    /// `step`: of the adapter in the folder, none before the first evaluation.
    fn run_text(&self, step: Option<u64>) -> String {
        let mut run = self.run.clone();
        run[UNFINISHED] = json!({ "step": step });
        format!("{run:#}\n")
    }

    /// Writes an adapter folder: the best one is the output folder itself, and `best_step` its step. Together with the first checkpoint this
    /// is the first thing that a training writes, so one that fails before leaves the folder, and an earlier run in it, as they were.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write(
        &self,
        kind: CheckpointKind,
        best_step: Option<u64>,
        adapted: &Adapted<Transformer>,
    ) -> Result<(), WriteError> {
        let run = self.run_text(best_step);
        let place = |folder: &Path| match kind {
            CheckpointKind::Best => folder.to_owned(),
            CheckpointKind::Last => folder.join(LAST),
        };
        write_together(self.folder, |beside| {
            self.write_tuned(&place(beside), adapted)?;
            write_file(&beside.join(TASK_FILE), self.task.as_bytes())?;
            write_file(&place(beside).join(TASK_FILE), self.task.as_bytes())?;
            write_file(&beside.join(RUN_FILE), run.as_bytes())
        })?;
        // What an earlier run left here would be taken for this one's.
        if adapted.posterior().is_none() {
            remove_file(&place(self.folder).join(POSTERIOR_FILE))?;
            remove_file(&place(self.folder).join(POSTERIOR_TENSOR_FILE))?;
        }
        for file in foreign_files(adapted) {
            remove_file(&place(self.folder).join(file))?;
        }
        remove_card(self.folder)?;
        remove_file(&self.folder.join(RESULTS_FILE))?;
        remove_file(&self.folder.join(CALIBRATION_FILE))?;
        remove_file(&self.folder.join(REPORT_FILE))
    }
}

/// The files that folders of other tuners have: not those of this one.
fn foreign_files(adapted: &Adapted<Transformer>) -> Vec<&'static str> {
    const OF_LORA: [&str; 3] = [CONFIG_FILE, TENSOR_FILE, SIDE_FILE];
    const OF_TUNED: [&str; 2] = [TUNING_FILE, TUNED_TENSOR_FILE];
    const OF_MODELS: [&str; 3] = [MODEL_CONFIG_FILE, WEIGHT_FILE, TOKENIZER_FILE];
    match adapted.tuning() {
        Tuning::Lora(config) => {
            let side = config.dropout.is_none().then_some(SIDE_FILE);
            let of_models = OF_MODELS.into_iter().chain(AUXILIARY_FILES);
            OF_TUNED.into_iter().chain(of_models).chain(side).collect()
        }
        Tuning::Full(_) => OF_LORA.into_iter().chain(OF_TUNED).collect(),
        Tuning::BitFit(_) | Tuning::Bottleneck(_) => {
            let of_models = OF_MODELS.into_iter().chain(AUXILIARY_FILES);
            OF_LORA.into_iter().chain(of_models).collect()
        }
    }
}

/// Tells of a training, and ends it when it is cancelled.
pub struct Reporter<'a> {
    metric: Metric,
    may_stop_early: bool,
    progress: &'a dyn Progress,
    cancel: &'a CancelToken,
    bar: Box<dyn Counter>,
    last_loss: f64,
    best_step: u64,
    /// The p of masks, where it is looked for.
    masks: Option<f64>,
    /// Whether the training was cancelled.
    pub is_interrupted: bool,
}

impl<'a> Reporter<'a> {
    /// Before the first step.
    pub fn new(train: &TrainConfig, progress: &'a dyn Progress, cancel: &'a CancelToken) -> Self {
        Self {
            metric: train.metric_for_best_model,
            may_stop_early: train.early_stopping_patience.is_some(),
            progress,
            cancel,
            bar: Box::new(Silent),
            last_loss: f64::NAN,
            best_step: 0,
            masks: None,
            is_interrupted: false,
        }
    }

    /// Of a training that goes on where this one stood.
    pub(super) fn after(mut self, before: &History) -> Self {
        let best = before.evaluations.iter().rfind(|evaluation| evaluation.is_best);
        self.best_step = best.map_or(0, |evaluation| evaluation.step);
        self.masks = before.mask_changes.last().map(|change| change.probability);
        if let Some(p) = self.masks {
            self.progress.note(&format!("masks: on with p {p}"));
        }
        self
    }

    /// A line about what is going on.
    fn note(&self, line: &str) {
        if self.bar.is_visible() {
            self.bar.note(line);
        } else {
            self.progress.note(line);
        }
    }
}

impl Observer<Transformer> for Reporter<'_> {
    fn on_event(&mut self, event: &Event) -> Flow {
        match event {
            Event::Started(plan) => {
                let what = if self.may_stop_early {
                    "training (may stop early)"
                } else {
                    "training"
                };
                self.bar = self.progress.start(plan.steps, what, "steps");
            }
            Event::Stepped { report, epoch } => {
                self.last_loss = report.loss;
                self.bar.set(report.step);
                let masks = self.masks.map_or_else(String::new, |p| format!(" · p {p}"));
                self.bar
                    .message(&format!("epoch {epoch:.1} · loss {:.3}{masks}", report.loss));
            }
            Event::Evaluating { .. } => {}
            Event::Evaluated(evaluation) => {
                let mut best = "";
                if evaluation.is_best {
                    (self.best_step, best) = (evaluation.step, " · best so far");
                }
                let metric = match (self.metric, evaluation.metric) {
                    (Metric::Loss, _) | (_, None) => String::new(),
                    (metric, Some(value)) => format!(" · {metric} {value:.4}"),
                };
                self.bar.note(&format!(
                    "step {} · epoch {:.1} · training loss {:.4} · validation loss {:.4}{metric}{best}",
                    evaluation.step, evaluation.epoch, self.last_loss, evaluation.loss
                ));
            }
            Event::MasksChanged(change) => {
                let before = self.masks.replace(change.probability);
                let words = change.in_words(before.unwrap_or(change.probability));
                self.note(&format!("masks: {words}"));
            }
            Event::Finished(reason) => {
                self.bar.finish();
                self.bar = Box::new(Silent);
                if *reason == FinishReason::EarlyStopping {
                    let best = self.best_step;
                    self.progress
                        .note(&format!("stopped early: nothing was better than step {best}"));
                }
            }
        }
        if self.cancel.is_cancelled() && !matches!(event, Event::Finished(_)) {
            self.is_interrupted = true;
            return Flow::Stop;
        }
        Flow::Continue
    }
}

/// What of a training is in its output folder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WrittenRun {
    /// Whether the folder is this training's, and `run.json` says so. Before that it may hold an earlier run.
    pub is_begun: bool,
    /// Whether an adapter of it is there.
    pub has_adapter: bool,
    /// Of which step the best one is.
    pub best_step: Option<u64>,
}

/// A [`Reporter`] that also writes adapters, checkpoints and events. After an error the training stops, and the error waits.
pub(super) struct Watcher<'a> {
    saving: Saving<'a>,
    reporter: Reporter<'a>,
    log: Option<EventLog>,
    /// Writes what it takes to go on.
    pub states: StateWriter<'a>,
    /// What of this training is in the folder.
    pub written: WrittenRun,
    /// Why the training was stopped.
    pub error: Option<WriteError>,
}

impl<'a> Watcher<'a> {
    /// Before the first step; `written`: of a training that goes on, what is there already.
    pub fn new(
        saving: Saving<'a>,
        states: StateWriter<'a>,
        reporter: Reporter<'a>,
        log: Option<EventLog>,
        written: WrittenRun,
    ) -> Self {
        Self {
            saving,
            reporter,
            log,
            states,
            written,
            error: None,
        }
    }

    /// Whether the training was cancelled.
    pub fn is_interrupted(&self) -> bool {
        self.reporter.is_interrupted
    }

    fn write_adapter(
        &mut self,
        kind: CheckpointKind,
        step: u64,
        adapted: &Adapted<Transformer>,
    ) -> Result<(), WriteError> {
        if kind == CheckpointKind::Best {
            self.written.best_step = Some(step);
        }
        self.saving.write(kind, self.written.best_step, adapted)?;
        self.written.has_adapter = true;
        self.begin()
    }

    /// Writes a checkpoint to go on from. Where there is no adapter of an earlier run, which would be hidden, the folder is this run's from
    /// then on.
    fn write_state(
        &mut self,
        trainer: &Trainer<Transformer>,
        state: &TrainingState,
    ) -> Result<(), WriteError> {
        self.states.write(trainer, state)?;
        if !self.written.is_begun {
            if is_adapter(self.saving.folder) {
                return Ok(());
            }
            let run = self.saving.run_text(None);
            write_file(&self.saving.folder.join(RUN_FILE), run.as_bytes())?;
        }
        self.begin()
    }

    /// The folder is this run's from now on. What an earlier one left here would be taken for its events, or resumed in its place.
    fn begin(&mut self) -> Result<(), WriteError> {
        if !self.written.is_begun {
            remove_earlier(self.saving.folder)?;
            for folder in self.states.foreign() {
                checkpoint_folder::remove(&folder)?;
            }
        }
        self.written.is_begun = true;
        self.log.as_mut().map_or(Ok(()), EventLog::begin)
    }

    fn or_stop(&mut self, written: Result<(), WriteError>) -> Flow {
        match written {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.error = Some(error);
                Flow::Stop
            }
        }
    }
}

impl Observer<Transformer> for Watcher<'_> {
    fn on_event(&mut self, event: &Event) -> Flow {
        if let Event::Started(plan) = event {
            self.states.start(*plan);
        }
        let recorded = match &mut self.log {
            Some(log) if self.error.is_none() => log.record(event),
            _ => Ok(()),
        };
        let wanted = [self.or_stop(recorded), self.reporter.on_event(event)];
        for line in self.log.iter().flat_map(EventLog::notes) {
            self.reporter.note(&line);
        }
        if wanted.contains(&Flow::Stop) {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    fn on_checkpoint(&mut self, kind: CheckpointKind, step: u64, adapted: &Adapted<Transformer>) -> Flow {
        // Before the first evaluation there is no best adapter, and half of a run would hide an earlier one.
        if self.error.is_some()
            || (self.is_interrupted() && !self.written.has_adapter && kind == CheckpointKind::Last)
        {
            return Flow::Stop;
        }
        let written = self.write_adapter(kind, step, adapted);
        self.or_stop(written)
    }

    fn between_steps(&mut self, trainer: &Trainer<Transformer>, state: &dyn Fn() -> TrainingState) -> Flow {
        if self.error.is_some() {
            return Flow::Stop;
        }
        if !self.states.is_due(trainer.steps_done(), self.is_interrupted()) {
            return Flow::Continue;
        }
        let written = self.write_state(trainer, &state());
        self.or_stop(written)
    }
}
