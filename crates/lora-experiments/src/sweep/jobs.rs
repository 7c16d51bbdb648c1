//! Running a plan: trainings side by side, each with the cells that wait for it.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::thread;

use lora_pipeline::error::{Error, Result};
use lora_pipeline::progress::{CancelToken, Counter};

use super::cell::{Costs, score};
use super::data::SweepTask;
use super::file::Stopping;
use super::inference_method::InferenceMethod;
use super::members::{Member, Members};
use super::outputs::TrialOutputs;
use super::passes::{self, Ask};
use super::plan::{Plan, PlannedCell, PlannedTraining};
use super::record::{CellRecord, CellResult, Line, Outcome};
use super::store::{Store, StoreError};
use super::training::{self, Trained};
use crate::memory;
use crate::side_by_side::on_own_threads;

/// What every worker needs.
pub struct Work<'a> {
    /// Everything there is.
    pub plan: &'a Plan,
    /// The tasks by index.
    pub tasks: &'a [SweepTask],
    /// Members of deep ensembles.
    pub members: &'a Members,
    /// Counts cells.
    pub bar: &'a dyn Counter,
    /// Ends the work before the next training.
    pub cancel: &'a CancelToken,
    /// Trainings at once.
    pub jobs: usize,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cells that were scored.
    pub done: usize,
    /// Cells that failed.
    pub failed: usize,
}

/// What workers share.
struct Shared {
    store: Store,
    /// The next training of the queue.
    next: usize,
    /// For each pending cell of several trainings, how many of them are still to come.
    missing: HashMap<usize, usize>,
    tally: Tally,
    /// Why everything has to end.
    broken: Option<StoreError>,
}

/// The trainings that pending cells need, in the order of the plan, and the cells that can be scored from members on disk alone.
pub struct Queue {
    trainings: Vec<usize>,
    pending: BTreeSet<usize>,
    ready: Vec<usize>,
}

impl Queue {
    /// Of the cells that are to be computed.
    pub fn new(plan: &Plan, members: &Members, pending: BTreeSet<usize>) -> Self {
        let has = |training: usize, stopping| members.has(&plan.trainings[training].key, stopping);
        let (mut trainings, mut ready) = (BTreeSet::new(), Vec::new());
        for &cell in &pending {
            let cell_trainings = &plan.cells[cell].trainings;
            if is_deep(&plan.cells[cell]) {
                let missing: Vec<usize> = cell_trainings
                    .iter()
                    .copied()
                    .filter(|&training| !has(training, plan.cells[cell].stopping))
                    .collect();
                if missing.is_empty() {
                    ready.push(cell);
                }
                trainings.extend(missing);
            } else {
                trainings.extend(cell_trainings);
            }
        }
        Self {
            trainings: trainings.into_iter().collect(),
            pending,
            ready,
        }
    }

    /// The trainings that there will be.
    pub fn trainings(&self) -> &[usize] {
        &self.trainings
    }

    /// The cells that there will be.
    pub fn cells(&self) -> &BTreeSet<usize> {
        &self.pending
    }
}

fn is_deep(cell: &PlannedCell) -> bool {
    matches!(cell.prediction, InferenceMethod::DeepEnsemble { .. })
}

impl Work<'_> {
    /// Runs everything in a queue, until it is cancelled. Failed cells are recorded, and the rest goes on.
    ///
    /// # Errors
    ///
    /// If the results file cannot be written.
    pub fn run(&self, queue: &Queue, store: Store) -> Result<Tally, StoreError> {
        let to_come = |cell: &usize| {
            let trainings = self.plan.cells[*cell].trainings.iter();
            trainings
                .filter(|training| queue.trainings.contains(training))
                .count()
        };
        let deep = queue
            .pending
            .iter()
            // Those whose members are all on disk are scored once, at the beginning.
            .filter(|&&cell| is_deep(&self.plan.cells[cell]) && !queue.ready.contains(&cell));
        let shared = Mutex::new(Shared {
            store,
            next: 0,
            missing: deep.map(|cell| (*cell, to_come(cell))).collect(),
            tally: Tally::default(),
            broken: None,
        });
        self.score_deep(&queue.ready, &shared);
        let jobs = self.jobs.clamp(1, queue.trainings.len().max(1));
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| on_own_threads(jobs, || self.worker(queue, &shared)));
            }
        });
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        match shared.broken {
            Some(error) => Err(error),
            None => Ok(shared.tally),
        }
    }

    fn worker(&self, queue: &Queue, shared: &Mutex<Shared>) {
        loop {
            let training = {
                let mut shared = lock(shared);
                if self.cancel.is_cancelled()
                    || shared.broken.is_some()
                    || shared.next == queue.trainings.len()
                {
                    return;
                }
                shared.next += 1;
                queue.trainings[shared.next - 1]
            };
            let planned = &self.plan.trainings[training];
            let waiting = queue.pending.iter().copied();
            let (deep, own): (Vec<usize>, Vec<usize>) = waiting
                .filter(|&cell| self.plan.cells[cell].trainings.contains(&training))
                .partition(|&cell| is_deep(&self.plan.cells[cell]));
            let is_measured = self.jobs == 1 && memory::reset_peak();
            // A bug that one setting brings to light must not cost the night.
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                self.train(planned, &own, &deep, is_measured, shared)
            }));
            let outcome = outcome.unwrap_or_else(|panic| Err(bug(&*panic)));
            match outcome {
                Ok(false) => return,
                Ok(true) => self.score_deep(&ready(&deep, shared), shared),
                Err(error) => {
                    let reason = error.sentence();
                    self.fail(&own, &reason, shared);
                    let member = format!("its member with seed {} failed: {reason}", planned.seed);
                    let deep: Vec<usize> = deep
                        .into_iter()
                        .filter(|cell| lock(shared).missing.remove(cell).is_some())
                        .collect();
                    self.fail(&deep, &member, shared);
                }
            }
        }
    }

    /// Trains, scores the cells of this training alone, and keeps what it gives to the deep ones. False if Ctrl-C came between.
    fn train(
        &self,
        planned: &PlannedTraining,
        own: &[usize],
        deep: &[usize],
        is_measured: bool,
        shared: &Mutex<Shared>,
    ) -> Result<bool> {
        let task = &self.tasks[planned.task];
        let what = format!(
            "{} {} {} seed {}",
            task.name, planned.rows, planned.method, planned.seed
        );
        let mut on_step = |step: u64, steps: u64| self.bar.message(&format!("{what}: step {step}/{steps}"));
        let swag = passes::collections(own.iter().map(|&cell| &self.plan.cells[cell].prediction));
        let Some(mut trained) = training::train(planned, task, &swag, &mut on_step, self.cancel)? else {
            return Ok(false);
        };
        trained.record.peak_memory = is_measured.then(memory::peak_memory_bytes).flatten();
        append(&Line::Training(Box::new(trained.record.clone())), shared);
        self.bar.message(&format!("{what}: predicting"));
        let mut asks: Vec<Ask<'_>> = own
            .iter()
            .map(|&cell| {
                let cell = &self.plan.cells[cell];
                (&cell.prediction, cell.stopping)
            })
            .collect();
        let mut as_member: Vec<Stopping> = Vec::new();
        for &cell in deep {
            let stopping = self.plan.cells[cell].stopping;
            if !as_member.contains(&stopping) {
                as_member.push(stopping);
            }
        }
        asks.extend(
            as_member
                .iter()
                .map(|&stopping| (&InferenceMethod::Mean, stopping)),
        );
        if is_measured {
            memory::reset_peak();
        }
        let Some(said) = passes::run(&trained, planned.seed, &asks, self.cancel) else {
            return Ok(false);
        };
        for (&stopping, said) in as_member.iter().zip(&said[own.len()..]) {
            if let Ok(said) = said {
                let member = Member {
                    said: said.clone(),
                    training_seconds: trained.record.seconds,
                };
                self.members.keep(&planned.key, stopping, &member)?;
            }
        }
        let costs = Costs {
            training_seconds: trained.record.seconds,
            peak_memory: is_measured.then(memory::peak_memory_bytes).flatten(),
        };
        for (&cell, said) in own.iter().zip(&said) {
            let outcome = match said {
                Ok(said) => self.score_own(cell, said, &trained, &costs),
                Err(reason) => Err(Error::input(reason.clone())),
            };
            self.record(cell, outcome, shared);
        }
        Ok(true)
    }

    fn score_own(
        &self,
        cell: usize,
        said: &TrialOutputs,
        trained: &Trained,
        costs: &Costs,
    ) -> Result<CellResult> {
        let cell = &self.plan.cells[cell];
        let task = &self.tasks[self.plan.trainings[cell.trainings[0]].task];
        score(
            said,
            &trained.parts,
            cell.prediction.average(),
            task.metric,
            costs,
        )
    }

    fn score_deep(&self, cells: &[usize], shared: &Mutex<Shared>) {
        for &cell in cells {
            if self.cancel.is_cancelled() {
                return;
            }
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.score_members(cell)));
            self.record(cell, outcome.unwrap_or_else(|panic| Err(bug(&*panic))), shared);
        }
    }

    fn score_members(&self, cell: usize) -> Result<CellResult> {
        let cell = &self.plan.cells[cell];
        let first = &self.plan.trainings[cell.trainings[0]];
        let task = &self.tasks[first.task];
        let read = |training: &usize| {
            self.members
                .read(&self.plan.trainings[*training].key, cell.stopping)
        };
        let members = cell.trainings.iter().map(read).collect::<Result<Vec<Member>>>()?;
        let costs = Costs {
            training_seconds: members.iter().map(|member| member.training_seconds).sum(),
            peak_memory: None,
        };
        let said: Vec<TrialOutputs> = members.into_iter().map(|member| member.said).collect();
        let said =
            TrialOutputs::joined(&said).ok_or_else(|| Error::input("a deep ensemble has no member"))?;
        let parts = training::rows_of(first, task)?;
        score(&said, &parts, cell.prediction.average(), task.metric, &costs)
    }

    fn fail(&self, cells: &[usize], reason: &str, shared: &Mutex<Shared>) {
        for &cell in cells {
            self.record(cell, Err(Error::input(reason.to_owned())), shared);
        }
    }

    fn record(&self, cell: usize, outcome: Result<CellResult>, shared: &Mutex<Shared>) {
        let planned = &self.plan.cells[cell];
        let first = &self.plan.trainings[planned.trainings[0]];
        let trainings = planned.trainings.iter();
        let is_done = outcome.is_ok();
        let record = CellRecord {
            key: planned.key.clone(),
            task: self.tasks[first.task].name.clone(),
            rows: first.rows,
            method: planned.method.clone(),
            prediction: planned.prediction.clone(),
            stopping: planned.stopping,
            seed: first.seed,
            data_seed: first.data_seed,
            settings: first.settings.clone(),
            trainings: trainings
                .map(|&training| self.plan.trainings[training].key.clone())
                .collect(),
            outcome: match outcome {
                Ok(result) => Outcome::Done(Box::new(result)),
                Err(error) => Outcome::Failed(error.sentence()),
            },
        };
        append(&Line::Cell(Box::new(record)), shared);
        let mut shared = lock(shared);
        if is_done {
            shared.tally.done += 1;
        } else {
            shared.tally.failed += 1;
        }
        drop(shared);
        self.bar.add(1);
    }
}

/// A panic that was caught, with its message.
fn bug(panic: &(dyn Any + Send)) -> Error {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::input(format!(
        "this is a bug in lora ({}); please report it with the command and its input",
        message.unwrap_or("no message")
    ))
}

/// A worker that panicked while it held the lock has left nothing half-done that others rely on.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cells of several trainings for which the last one has come.
fn ready(deep: &[usize], shared: &Mutex<Shared>) -> Vec<usize> {
    let mut shared = lock(shared);
    let mut is_ready = |cell: &usize| {
        let missing = shared.missing.get_mut(cell);
        missing.is_some_and(|missing| {
            *missing -= 1;
            *missing == 0
        })
    };
    deep.iter().copied().filter(|cell| is_ready(cell)).collect()
}

fn append(line: &Line, shared: &Mutex<Shared>) {
    let mut shared = lock(shared);
    if shared.broken.is_none()
        && let Err(error) = shared.store.append(line)
    {
        shared.broken = Some(error);
    }
}
