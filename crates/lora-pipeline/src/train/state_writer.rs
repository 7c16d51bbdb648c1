//! When checkpoints to resume from are written, and which of them stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lora_core::atomic::{WriteError, write_file};
use lora_models::Transformer;
use lora_train::event::TrainingPlan;
use lora_train::{Trainer, TrainingState};

use super::checkpoint_folder::CheckpointFile;
use super::checkpoints::Saving;
use super::own_checkpoints::OwnCheckpoints;
use crate::config::{RunConfig, SaveStrategy};
use crate::saved::task_file::TASK_FILE;

/// Checkpoints that nobody asked for: the newest is enough to go on.
const UNASKED: usize = 1;
/// Nobody minds to lose less.
const BETWEEN_UNASKED: Duration = Duration::from_secs(30);

/// Writes the state of a training.
///
/// Without `save_strategy` that is after an epoch, half a minute or more after the last time; the newest checkpoint alone, and there is none
/// any more when the training is finished. So a kill costs an epoch at most, and a short training writes nothing that it has no use for.
/// What is asked for stays, as Transformers' users expect, and holds the adapter too.
pub(super) struct StateWriter<'a> {
    saving: Saving<'a>,
    strategy: SaveStrategy,
    every: u64,
    limit: usize,
    is_asked_for: bool,
    file: CheckpointFile,
    began: Instant,
    last: Instant,
    seconds_before: f64,
    plan: Option<TrainingPlan>,
    /// Checkpoints of this training.
    own: OwnCheckpoints<'a>,
}

impl<'a> StateWriter<'a> {
    /// For a training that begins with `file`'s step and seconds; `resumed`: from this checkpoint.
    pub fn new(saving: Saving<'a>, config: &RunConfig, file: CheckpointFile, resumed: Option<&Path>) -> Self {
        let is_asked_for = config.save_strategy.is_some() || config.save_total_limit.is_some();
        Self {
            strategy: config.save_strategy.unwrap_or(SaveStrategy::Epoch),
            every: config.save_steps.unwrap_or(1),
            limit: config
                .save_total_limit
                .unwrap_or(if is_asked_for { usize::MAX } else { UNASKED }),
            is_asked_for,
            seconds_before: file.seconds,
            own: match resumed {
                Some(resumed) => OwnCheckpoints::up_to(saving.folder, resumed, file.step),
                None => OwnCheckpoints::none(saving.folder),
            },
            file,
            saving,
            began: Instant::now(),
            last: Instant::now(),
            plan: None,
        }
    }

    /// The training begins.
    pub fn start(&mut self, plan: TrainingPlan) {
        self.plan = Some(plan);
    }

    /// Whether a checkpoint is due after this step, or wanted because the training is interrupted there.
    pub fn is_due(&self, step: u64, is_interrupted: bool) -> bool {
        let is_last = self.plan.is_some_and(|plan| plan.steps == step);
        let of_epoch = self.plan.map_or(1, |plan| plan.steps_per_epoch);
        match self.strategy {
            SaveStrategy::No => false,
            SaveStrategy::Steps => is_interrupted || is_last || step.is_multiple_of(self.every),
            SaveStrategy::Epoch => {
                let is_worth_it = self.is_asked_for || self.last.elapsed() >= BETWEEN_UNASKED;
                is_interrupted || (is_worth_it && (is_last || step.is_multiple_of(of_epoch)))
            }
        }
    }

    /// Writes a checkpoint and removes those beyond the limit.
    pub fn write(&mut self, trainer: &Trainer<Transformer>, state: &TrainingState) -> Result<(), WriteError> {
        let file = CheckpointFile {
            step: trainer.steps_done(),
            seconds: self.seconds(),
            state: state.values().clone(),
            ..self.file.clone()
        };
        self.own.write(&file, state, |folder| {
            if !self.is_asked_for {
                return Ok(());
            }
            self.saving.write_tuned(folder, &trainer.adapted())?;
            write_file(&folder.join(TASK_FILE), self.saving.task.as_bytes())
        })?;
        self.last = Instant::now();
        self.own.keep(self.limit)
    }

    /// Seconds of training so far, those before an interruption included.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// The newest checkpoint of this training.
    pub fn newest(&self) -> Option<&PathBuf> {
        self.own.newest()
    }

    /// The checkpoints of other trainings in the folder.
    pub fn foreign(&self) -> Vec<PathBuf> {
        self.own.of_others()
    }

    /// The checkpoints that nobody asked for, once the training is finished.
    pub fn unasked(self) -> Vec<PathBuf> {
        if self.is_asked_for {
            Vec::new()
        } else {
            self.own.into_folders()
        }
    }
}
