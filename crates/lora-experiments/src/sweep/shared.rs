//! Workers that share a sweep: each takes a unit that no other has, until none is left. They know nothing of each other but a folder:
//!
//! | in the folder | what it is |
//! |---|---|
//! | `worker-N.results.jsonl` | what one worker computed |
//! | `claims/` | who computes what, see [`super::claims`] |
//! | `members/` | members of deep ensembles that are not scored yet |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use lora_core::atomic::create_file;
use lora_pipeline::counted::counted;
use lora_pipeline::error::Result;
use lora_pipeline::progress::{CancelToken, Counter, Progress};

use super::call::Resources;
use super::claims::{Claim, Claims, MonotonicTime};
use super::jobs::{Tally, Work};
use super::members::Members;
use super::pending::failures;
use super::queue::Queue;
use super::result_files::{KnownTrials, RESULTS_ENDING, read_all, results_files_in};
use super::store::{Store, new_file};
use super::work_done::{WorkDone, tokens_of};
use super::work_units::WorkUnit;
use super::{Sweep, SweepInterrupted};

/// How a worker takes part.
#[derive(Clone, Debug)]
pub struct SharedCall {
    /// The folder, the same for all workers.
    pub folder: PathBuf,
    /// Results files, or folders of them, from elsewhere: what they hold is not computed again.
    pub known: Vec<PathBuf>,
    /// How long this worker may give no sign of life before others take what it computes.
    pub expires_after: Duration,
    /// How trainings run.
    pub resources: Resources,
}

/// What a worker has done when nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerOutcome {
    /// Trials that this worker computed.
    pub computed: usize,
    /// Units that it took over from workers that had died or given up.
    pub taken_over: usize,
}

impl Sweep {
    /// Computes what no other worker computes, until every trial is done or has failed, whoever computed it.
    ///
    /// # Errors
    ///
    /// [`SweepInterrupted`], [`super::TrialsFailed`], or a folder that cannot be used.
    pub fn work_in(
        &self,
        call: &SharedCall,
        time: &dyn MonotonicTime,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<WorkerOutcome> {
        for sentence in self.row_sentences()? {
            progress.note(&sentence);
        }
        let all: BTreeSet<usize> = (0..self.plan.trials.len()).collect();
        let known = known(call)?;
        let pending = self.unknown(&all, &known, false);
        self.say_what_is_known(&all, &known, pending.len(), false, progress);
        let members = Members::in_folder(call.folder.join("members"));
        let queue = Queue::new(&self.plan, &members, pending);
        self.check_models(&queue)?;
        let tokens = tokens_of(&self.plan, &self.tasks, &queue)?;
        let bar = progress.start(all.len() as u64, "sweep", "trials");
        let mut worker = Worker {
            sweep: self,
            call,
            members,
            bar: &*bar,
            done: WorkDone::new(&*bar, tokens),
            cancel,
            own: None,
            outcome: WorkerOutcome::default(),
        };
        let known = worker.run(&all, time)?;
        bar.finish();
        let outcome = worker.outcome;
        let taken_over = match outcome.taken_over {
            0 => String::new(),
            units => format!(
                ", {} of them taken over from workers that had ended",
                counted(units, "unit")
            ),
        };
        progress.note(&format!(
            "{} computed here{taken_over}; all {} are in {}",
            counted(outcome.computed, "trial"),
            all.len(),
            call.folder.display()
        ));
        failures(self.failed(&all, &known), &call.folder)?;
        Ok(outcome)
    }
}

/// What all workers have computed so far.
fn known(call: &SharedCall) -> Result<KnownTrials> {
    let mut paths = call.known.clone();
    if call.folder.exists() {
        paths.extend(results_files_in(&call.folder)?);
    }
    Ok(KnownTrials::of_files(&read_all(&paths)?))
}

struct Worker<'a> {
    sweep: &'a Sweep,
    call: &'a SharedCall,
    members: Members,
    bar: &'a dyn Counter,
    /// Of what no worker had computed when this one began.
    done: WorkDone<'a>,
    cancel: &'a CancelToken,
    /// From the first claim on.
    own: Option<OwnFile>,
    outcome: WorkerOutcome,
}

/// The results file of this worker.
struct OwnFile {
    /// Its name without the ending.
    name: String,
    store: Store,
    has_results: bool,
}

impl Worker<'_> {
    /// Until nothing is left; returns what is known then.
    fn run(&mut self, all: &BTreeSet<usize>, time: &dyn MonotonicTime) -> Result<KnownTrials> {
        let units = self.sweep.work_units()?;
        let mut claims = Claims::new(self.call.folder.join("claims"), self.call.expires_after, time);
        loop {
            let known = known(self.call)?;
            let left = self.sweep.unknown(all, &known, false);
            self.bar.set((all.len() - left.len()) as u64);
            self.done.are_over_but(&self.trainings_of(&left));
            if left.is_empty() {
                // Nobody needs them: no ensemble is left.
                self.members.clear();
                return Ok(known);
            }
            if self.cancel.is_cancelled() {
                let (done, left) = (self.outcome.computed, left.len());
                return Err(SweepInterrupted { done, left }.into());
            }
            claims.look()?;
            let taken = self.take(&units, &left, &claims)?;
            if taken.is_empty() {
                self.bar.message("waiting for other workers");
                time.wait(claims.interval(), self.cancel);
                continue;
            }
            self.compute(taken, claims.interval())?;
        }
    }

    /// The trainings that some of these trials need.
    fn trainings_of(&self, trials: &BTreeSet<usize>) -> BTreeSet<usize> {
        let plan = &self.sweep.plan;
        let trainings = trials
            .iter()
            .flat_map(|&trial| plan.trials[trial].trainings.iter().copied());
        trainings.collect()
    }

    /// Claims as many units as trainings run at once.
    fn take<'u>(
        &mut self,
        units: &'u [WorkUnit],
        left: &BTreeSet<usize>,
        claims: &Claims<'_>,
    ) -> Result<Vec<(&'u WorkUnit, Claim)>> {
        let mut taken = Vec::new();
        for unit in units {
            if taken.len() == self.call.resources.jobs {
                break;
            }
            let is_left = unit.trials.iter().any(|trial| left.contains(trial));
            if is_left && claims.is_free(&unit.key) {
                let name = self.name()?;
                let claim = claims.take(&unit.key, &name)?;
                taken.extend(claim.map(|claim| (unit, claim)));
            }
        }
        Ok(taken)
    }

    /// The name of this worker; its results file is made with it, so a worker that finds nothing to do leaves none.
    fn name(&mut self) -> Result<String> {
        if let Some(own) = &self.own {
            return Ok(own.name.clone());
        }
        let (name, path) = new_results_file(&self.call.folder)?;
        let (store, _) = Store::open(&path)?;
        self.own = Some(OwnFile {
            name: name.clone(),
            store,
            has_results: false,
        });
        Ok(name)
    }

    /// Computes what is left of claimed units, and shows meanwhile that this worker lives.
    fn compute(&mut self, taken: Vec<(&WorkUnit, Claim)>, interval: Duration) -> Result<()> {
        // Whoever had a unit may have finished it before it was claimed here.
        let known = known(self.call)?;
        let trials = taken.iter().flat_map(|(unit, _)| unit.trials.iter().copied());
        let pending = self.sweep.unknown(&trials.collect(), &known, false);
        let Some(own) = self.own.as_mut().filter(|_| !pending.is_empty()) else {
            return Ok(());
        };
        if !own.has_results {
            own.has_results = true;
            own.store.append(&self.sweep.run_record(&self.call.resources))?;
        }
        self.outcome.taken_over += taken.iter().filter(|(_, claim)| claim.is_taken_over).count();
        let work = Work {
            plan: &self.sweep.plan,
            tasks: &self.sweep.tasks,
            members: &self.members,
            bar: self.bar,
            done: &self.done,
            cancel: self.cancel,
            resources: &self.call.resources,
        };
        let queue = Queue::new(&self.sweep.plan, &self.members, pending);
        let mut claims: Vec<Claim> = taken.into_iter().map(|(_, claim)| claim).collect();
        let tally = beating(&mut claims, interval, || work.run(&queue, &mut own.store));
        let is_complete = |tally: &Tally| tally.done + tally.failed == queue.trials().len();
        if !tally.as_ref().is_ok_and(is_complete) {
            claims.into_iter().for_each(Claim::release);
        }
        let Tally { done, failed } = tally?;
        self.outcome.computed += done + failed;
        Ok(())
    }
}

/// Makes the results file of a worker with the next number that nobody has.
fn new_results_file(folder: &Path) -> Result<(String, PathBuf)> {
    let mut number = 1;
    loop {
        let name = format!("worker-{number}");
        let path = folder.join(format!("{name}.{RESULTS_ENDING}"));
        if !path.exists() && create_file(&path, new_file().as_bytes())? {
            return Ok((name, path));
        }
        number += 1;
    }
}

/// Does something while a thread shows every now and then that the owner of the claims lives.
fn beating<R>(claims: &mut [Claim], interval: Duration, work: impl FnOnce() -> R) -> R {
    let (work_goes_on, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_over.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                claims.iter_mut().for_each(Claim::beat);
            }
        });
        // It is dropped here, also if the work panics.
        let _end = work_goes_on;
        work()
    })
}
