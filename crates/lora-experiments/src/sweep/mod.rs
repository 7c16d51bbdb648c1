//! Methods, settings, tasks and seeds as a grid of trials, computed once each into one file of results.
//!
//! | file | holds |
//! |---|---|
//! | `file`, `settings`, `inference_method`, `inference_method_entry` | what the user writes, and the settings of a training that follow |
//! | `tasks`, `data` | rows: loaded, drawn by a seed, tokenized |
//! | `plan` | trainings and trials, with keys |
//! | `jobs` | workers; `training`, `curve`, `passes`, `laplace`, `outputs`, `trial` do the work of one trial; `members` waits for deep ensembles |
//! | `record`, `store` | the results file |
//! | `dry_run` | what would be done |

pub mod curve;
pub mod data;
mod dry_run;
pub mod file;
pub mod inference_method;
pub mod inference_method_entry;
pub mod jobs;
pub mod laplace;
pub mod members;
pub mod outputs;
pub mod passes;
pub mod plan;
pub mod record;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod tfb;
pub mod training;
pub mod trial;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lora_pipeline::base::BaseOptions;
use lora_pipeline::counted::counted;
use lora_pipeline::data::row_checks::RowChecks;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::progress::{CancelToken, Progress};

use data::SweepTask;
pub use dry_run::DryRun;
use file::SweepFile;
use jobs::{Queue, Tally, Work};
use members::Members;
use plan::Plan;
use record::{Line, RunRecord, TrialOutcome};
use store::Store;

/// A sweep that was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {} computed, {left} left: the same command goes on", counted(*done, "trial"))]
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

    /// What a results file does not hold yet; `jobs` trainings will run at once.
    ///
    /// # Errors
    ///
    /// If the results file cannot be used, or a model is not there.
    pub fn pending(
        &self,
        results: &Path,
        jobs: usize,
        retry_failed: bool,
        progress: &dyn Progress,
    ) -> Result<Pending<'_>> {
        for sentence in self.row_sentences()? {
            progress.note(&sentence);
        }
        let (store, lines) = Store::open(results)?;
        if let Some(line) = lines.truncated {
            progress.note(&format!(
                "{}, line {line} was truncated when a sweep was killed; it was taken out, its trial is computed again",
                results.display()
            ));
        }
        let known = outcomes(&lines.lines);
        let pending = self.unknown(&known, retry_failed);
        self.say_what_is_known(&known, pending.len(), retry_failed, progress);
        let members = Members::beside(results);
        let queue = Queue::new(&self.plan, &members, pending);
        self.check_models(&queue)?;
        let failed = self.failed(&known);
        Ok(Pending {
            sweep: self,
            results: results.to_owned(),
            store,
            members,
            // Else they are among those to be computed.
            failed: if retry_failed { 0 } else { failed },
            queue,
            jobs,
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
    fn check_models(&self, queue: &Queue) -> Result<()> {
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
    /// If the results file is there and cannot be used, or a model cannot be loaded.
    pub fn dry_run(&self, results: &Path, retry_failed: bool, progress: &dyn Progress) -> Result<DryRun> {
        let lines = if results.exists() {
            store::read(results)?.lines
        } else {
            Vec::new()
        };
        let known = outcomes(&lines);
        let pending = self.unknown(&known, retry_failed);
        self.say_what_is_known(&known, pending.len(), retry_failed, progress);
        let queue = Queue::new(&self.plan, &Members::beside(results), pending);
        dry_run::run(self, &queue, progress)
    }

    fn unknown(&self, known: &HashMap<&str, bool>, retry_failed: bool) -> BTreeSet<usize> {
        let is_pending = |key: &str| match known.get(key) {
            None => true,
            Some(is_done) => !is_done && retry_failed,
        };
        let trials = self.plan.trials.iter().enumerate();
        trials
            .filter(|(_, trial)| is_pending(&trial.key))
            .map(|(index, _)| index)
            .collect()
    }

    fn failed(&self, known: &HashMap<&str, bool>) -> usize {
        let trials = self.plan.trials.iter();
        trials
            .filter(|trial| known.get(trial.key.as_str()) == Some(&false))
            .count()
    }

    fn say_what_is_known(
        &self,
        known: &HashMap<&str, bool>,
        pending: usize,
        retry_failed: bool,
        progress: &dyn Progress,
    ) {
        let all = self.plan.trials.len();
        let failed = self.failed(known);
        let done = all - pending - if retry_failed { 0 } else { failed };
        if done > 0 {
            progress.note(&format!(
                "{done} of {} are done and skipped",
                counted(all, "trial")
            ));
        }
        if failed > 0 && !retry_failed {
            progress.note(&format!(
                "{} failed earlier and {} skipped; --retry-failed computes them again",
                counted(failed, "trial"),
                if failed == 1 { "is" } else { "are" }
            ));
        }
    }
}

/// The trials that are still to be computed.
pub struct Pending<'a> {
    sweep: &'a Sweep,
    results: PathBuf,
    store: Store,
    members: Members,
    queue: Queue,
    failed: usize,
    jobs: usize,
}

impl Pending<'_> {
    /// Computes them.
    ///
    /// # Errors
    ///
    /// [`SweepInterrupted`], [`TrialsFailed`], or a results file that cannot be written.
    pub fn run(mut self, progress: &dyn Progress, cancel: &CancelToken) -> Result<()> {
        let started = Instant::now();
        let trials = self.queue.trials().len();
        if trials == 0 {
            return failures(self.failed, &self.results);
        }
        progress.note(&format!(
            "{} to compute, with {}",
            counted(trials, "trial"),
            counted(self.queue.trainings().len(), "training")
        ));
        self.store.append(&Line::Run(Box::new(RunRecord {
            sweep: self.sweep.file.clone(),
            made_by: MadeBy::this_call(),
            jobs: self.jobs,
        })))?;
        let bar = progress.start(trials as u64, "sweep", "trials");
        let work = Work {
            plan: &self.sweep.plan,
            tasks: &self.sweep.tasks,
            members: &self.members,
            bar: &*bar,
            cancel,
            jobs: self.jobs,
        };
        let tally = work.run(&self.queue, self.store)?;
        bar.finish();
        let Tally { done, failed } = tally;
        let left = trials - done - failed;
        if left > 0 && cancel.is_cancelled() {
            return Err(SweepInterrupted { done, left }.into());
        }
        if failed == 0 {
            self.members.clear();
        }
        progress.note(&format!(
            "{} in {:.0} s: {}",
            counted(done, "trial"),
            started.elapsed().as_secs_f64(),
            self.results.display()
        ));
        failures(failed + self.failed, &self.results)
    }
}

/// Whether each trial of a results file is done; of several lines about one trial the last counts.
fn outcomes(lines: &[Line]) -> HashMap<&str, bool> {
    let trials = lines.iter().filter_map(|line| match line {
        Line::Trial(trial) => Some(trial),
        _ => None,
    });
    trials
        .map(|trial| (trial.key.as_str(), matches!(trial.outcome, TrialOutcome::Done(_))))
        .collect()
}

fn failures(failed: usize, results: &Path) -> Result<()> {
    if failed == 0 {
        return Ok(());
    }
    let results = results.to_owned();
    Err(TrialsFailed { failed, results }.into())
}
