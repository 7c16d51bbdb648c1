//! Methods, settings, tasks and seeds as a grid of trials, computed once each into one file of results.
//!
//! | file | holds |
//! |---|---|
//! | `file`, `settings`, `inference_method`, `inference_method_entry` | what the user writes, and the settings of a training that follow |
//! | `tasks`, `data` | rows: loaded, drawn by a seed, tokenized |
//! | `plan` | trainings and trials, with keys |
//! | `call` | which trials a call computes, and where results go; `shard`: a part of them |
//! | `work_estimate`, `work_units`, `work_done` | what trials cost; which of them share trainings; the share that is done |
//! | `pending` | what results lack, and computing it |
//! | `shared`, `claims` | several processes or machines that share a folder |
//! | `jobs` | threads; `training`, `curve`, `passes`, `laplace`, `outputs`, `trial` do the work of one trial; `members` waits for deep ensembles |
//! | `record`, `store`, `result_files` | a results file; many of them read together |
//! | `dry_run`, `list` | what would be done |

pub mod call;
pub mod claims;
pub mod curve;
pub mod data;
mod dry_run;
pub mod file;
pub mod inference_method;
pub mod inference_method_entry;
pub mod jobs;
pub mod laplace;
pub mod list;
pub mod members;
pub mod outputs;
pub mod passes;
mod pending;
pub mod plan;
pub mod queue;
pub mod record;
pub mod result_files;
pub mod settings;
pub mod shard;
pub mod shared;
pub mod store;
pub mod tasks;
pub mod tfb;
pub mod training;
pub mod trial;
pub mod work_done;
pub mod work_estimate;
pub mod work_units;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lora_pipeline::base::BaseOptions;
use lora_pipeline::counted::counted;
use lora_pipeline::data::row_checks::RowChecks;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::progress::Progress;

use call::SweepCall;
use data::SweepTask;
pub use dry_run::DryRun;
use file::SweepFile;
use members::Members;
pub use pending::Pending;
use plan::Plan;
use queue::Queue;
use work_units::WorkUnit;

/// A sweep that was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {} computed, {left} left: the same command goes on, and trains anew what was under way", counted(*done, "trial"))]
pub struct SweepInterrupted {
    /// Trials computed by this call.
    pub done: usize,
    /// Trials that are left.
    pub left: usize,
}

/// A sweep some of whose trials could not be computed.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of the trials failed; `{}` says why, and --retry-failed computes them again", results.display())]
pub struct TrialsFailed {
    /// How many.
    pub failed: usize,
    /// The results file.
    pub results: PathBuf,
}

/// A sweep with its tasks, planned.
#[derive(Debug)]
pub struct Sweep {
    /// What the user wants.
    pub file: SweepFile,
    /// The tasks, loaded.
    pub tasks: Vec<SweepTask>,
    /// What is to be computed.
    pub plan: Plan,
}

impl Sweep {
    /// Loads the tasks and plans. `path` is the file of the sweep, for messages.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with file and key.
    pub fn open(path: &Path, file: SweepFile, data_dir: Option<&Path>) -> Result<Self> {
        // What needs no data is checked before any is read.
        let mut sweep_tasks = Vec::new();
        for entry in &file.tasks {
            let loaded = tasks::load(path, entry, data_dir)?;
            let task =
                SweepTask::new(entry, &file, loaded).with_context(|| format!("`{}`", path.display()))?;
            sweep_tasks.push(task);
        }
        let plan = plan::plan(path, &file, &sweep_tasks)?;
        Ok(Self {
            file,
            tasks: sweep_tasks,
            plan,
        })
    }

    /// What makes scores misleading in the rows of the first seed, for each task.
    ///
    /// # Errors
    ///
    /// If there are too few rows.
    pub fn row_sentences(&self) -> Result<Vec<String>> {
        let mut sentences = Vec::new();
        let data_seed = self
            .file
            .data_seed
            .of(self.file.seeds.first().copied().unwrap_or_default());
        for (entry, task) in self.file.tasks.iter().zip(&self.tasks) {
            // The size with the most rows lacks the fewest classes.
            let most = entry
                .rows
                .iter()
                .copied()
                .max_by_key(|&rows| task.sizes(rows).map_or(0, |[train, _]| train));
            let checks = most.map(|rows| task.row_checks(rows, data_seed)).transpose()?;
            let found = checks.iter().flat_map(RowChecks::sentences);
            sentences.extend(found.map(|sentence| format!("{}: {sentence}", task.name)));
        }
        Ok(sentences)
    }

    /// A model that is not there would fail in every trial.
    pub(super) fn check_models(&self, queue: &Queue) -> Result<()> {
        let mut known = BTreeSet::new();
        for &index in queue.trainings() {
            let training = &self.plan.trainings[index];
            let config = &training.config;
            if known.insert((&config.model_name_or_path, &config.revision)) {
                BaseOptions::of(config).reader(&self.tasks[training.task].kind)?;
            }
        }
        Ok(())
    }

    /// What [`Sweep::pending`] would compute, with steps and an estimate of the time; writes nothing.
    ///
    /// # Errors
    ///
    /// If results are there and cannot be used, or a model cannot be loaded.
    pub fn dry_run(&self, call: &SweepCall, progress: &dyn Progress) -> Result<DryRun> {
        let chosen = call.choice.trials(self)?;
        let known = self.known(call)?;
        let pending = self.unknown(&chosen, &known, call.retry_failed);
        self.say_what_is_known(&chosen, &known, pending.len(), call.retry_failed, progress);
        let queue = Queue::new(&self.plan, &Members::beside(&call.output), pending);
        dry_run::run(self, &queue, progress)
    }

    /// What can be computed apart, the longest first.
    ///
    /// # Errors
    ///
    /// If a task has too few rows.
    pub fn work_units(&self) -> Result<Vec<WorkUnit>> {
        work_units::work_units(&self.plan, &self.tasks)
    }
}
