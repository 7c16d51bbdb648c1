//! The trials of a call that are still to be computed, and computing them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lora_pipeline::counted::counted;
use lora_pipeline::error::Result;
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::progress::{CancelToken, Progress};

use super::call::{Resources, SweepCall};
use super::jobs::{Tally, Work};
use super::members::Members;
use super::queue::Queue;
use super::record::{Line, RunRecord};
use super::result_files::{KnownTrials, ResultsFile, check_contradictions, read_all};
use super::store::Store;
use super::work_done::{WorkDone, tokens_of};
use super::{Sweep, SweepInterrupted, TrialsFailed};

impl Sweep {
    /// What the results of a call do not hold yet.
    ///
    /// # Errors
    ///
    /// If results cannot be used or contradict each other, there is no trial of a key, or a model is not there.
    pub fn pending(&self, call: &SweepCall, progress: &dyn Progress) -> Result<Pending<'_>> {
        let chosen = call.choice.trials(self)?;
        let mut files = read_all(&call.known)?;
        for sentence in self.row_sentences()? {
            progress.note(&sentence);
        }
        let (store, lines) = Store::open(&call.output)?;
        if let Some(line) = lines.truncated {
            progress.note(&format!(
                "{}, line {line} was truncated when a sweep was killed; it was taken out, its trial is computed again",
                call.output.display()
            ));
        }
        files.push(ResultsFile {
            path: call.output.clone(),
            given: call.output.clone(),
            lines: lines.lines,
        });
        check_contradictions(&files)?;
        let known = KnownTrials::of_files(&files);
        let pending = self.unknown(&chosen, &known, call.retry_failed);
        self.say_what_is_known(&chosen, &known, pending.len(), call.retry_failed, progress);
        let members = Members::beside(&call.output);
        let queue = Queue::new(&self.plan, &members, pending);
        self.check_models(&queue)?;
        Ok(Pending {
            sweep: self,
            results: call.output.clone(),
            store,
            members,
            // Else they are among those to be computed.
            failed: if call.retry_failed {
                0
            } else {
                self.failed(&chosen, &known)
            },
            queue,
            resources: call.resources.clone(),
        })
    }

    /// What the results of a call say; nothing is written.
    ///
    /// # Errors
    ///
    /// If results cannot be used or contradict each other.
    pub fn known(&self, call: &SweepCall) -> Result<KnownTrials> {
        let mut paths = call.known.clone();
        if call.output.exists() {
            paths.push(call.output.clone());
        }
        Ok(KnownTrials::of_files(&read_all(&paths)?))
    }

    /// The chosen trials that are to be computed.
    pub(super) fn unknown(
        &self,
        chosen: &BTreeSet<usize>,
        known: &KnownTrials,
        retry_failed: bool,
    ) -> BTreeSet<usize> {
        let is_pending = |trial: &usize| {
            let key = &self.plan.trials[*trial].key;
            known.is_new(key) || (retry_failed && known.has_failed(key))
        };
        chosen.iter().copied().filter(is_pending).collect()
    }

    /// How many of the chosen trials failed.
    pub(super) fn failed(&self, chosen: &BTreeSet<usize>, known: &KnownTrials) -> usize {
        let keys = chosen.iter().map(|&trial| &self.plan.trials[trial].key);
        keys.filter(|key| known.has_failed(key)).count()
    }

    pub(super) fn say_what_is_known(
        &self,
        chosen: &BTreeSet<usize>,
        known: &KnownTrials,
        pending: usize,
        retry_failed: bool,
        progress: &dyn Progress,
    ) {
        let failed = self.failed(chosen, known);
        let done = chosen.len() - pending - if retry_failed { 0 } else { failed };
        if done > 0 {
            progress.note(&format!(
                "{done} of {} are done and skipped",
                counted(chosen.len(), "trial")
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

    /// What stands in a results file before the results of a call.
    pub(super) fn run_record(&self, resources: &Resources) -> Line {
        Line::Run(Box::new(RunRecord {
            sweep: self.file.clone(),
            made_by: MadeBy::this_call(),
            jobs: resources.jobs,
        }))
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
    resources: Resources,
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
        self.store.append(&self.sweep.run_record(&self.resources))?;
        let tokens = tokens_of(&self.sweep.plan, &self.sweep.tasks, &self.queue)?;
        let bar = progress.start(trials as u64, "sweep", "trials");
        let work_done = WorkDone::new(&*bar, tokens);
        let work = Work {
            plan: &self.sweep.plan,
            tasks: &self.sweep.tasks,
            members: &self.members,
            bar: &*bar,
            done: &work_done,
            cancel,
            resources: &self.resources,
        };
        let tally = work.run(&self.queue, &mut self.store)?;
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

/// An error if trials failed.
pub(super) fn failures(failed: usize, results: &Path) -> Result<()> {
    if failed == 0 {
        return Ok(());
    }
    let results = results.to_owned();
    Err(TrialsFailed { failed, results }.into())
}
