//! Running a plan: trainings side by side, each with the trials that wait for it.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use itertools::Itertools as _;
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::{Error, Result};
use lora_pipeline::progress::{CancelToken, Counter};

use super::call::Resources;
use super::data::SweepTask;
use super::file::Stopping;
use super::inference_method::InferenceMethod;
use super::members::{Member, Members};
use super::outputs::TrialOutputs;
use super::passes::{self, TrialMethod};
use super::plan::{Plan, PlannedTraining};
use super::queue::{Queue, is_deep};
use super::record::{Line, TrialOutcome, TrialRecord, TrialResult};
use super::settings;
use super::store::{Store, StoreError};
use super::training::{self, Trained};
use super::trial::{Costs, score};
use super::work_done::WorkDone;
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
    /// Counts trials.
    pub bar: &'a dyn Counter,
    /// Tells the share that is done.
    pub done: &'a WorkDone<'a>,
    /// Ends the work before the next training.
    pub cancel: &'a CancelToken,
    /// How trainings run.
    pub resources: &'a Resources,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Trials that were scored.
    pub done: usize,
    /// Trials that failed.
    pub failed: usize,
}

/// What threads share.
struct Shared<'s> {
    store: &'s mut Store,
    /// The next training of the queue.
    next: usize,
    /// For each pending trial of several trainings, how many of them are still to come.
    missing: HashMap<usize, usize>,
    tally: Tally,
    /// Why everything has to end.
    broken: Option<StoreError>,
}

impl Work<'_> {
    /// Runs everything in a queue, until it is cancelled. Failed trials are recorded, and the rest goes on.
    ///
    /// # Errors
    ///
    /// If the results file cannot be written.
    pub fn run(&self, queue: &Queue, store: &mut Store) -> Result<Tally, StoreError> {
        let to_come = |trial: &usize| {
            let trainings = self.plan.trials[*trial].trainings.iter();
            trainings
                .filter(|training| queue.trainings().contains(training))
                .count()
        };
        // What is ready is scored at once: a training of its that has to be repeated for another trial does not score it again.
        let deep = queue
            .trials()
            .iter()
            .filter(|&trial| is_deep(&self.plan.trials[*trial]) && !queue.ready().contains(trial));
        let shared = Mutex::new(Shared {
            store,
            next: 0,
            missing: deep.map(|trial| (*trial, to_come(trial))).collect(),
            tally: Tally::default(),
            broken: None,
        });
        self.score_deep(queue.ready(), &shared);
        let jobs = self.resources.jobs.clamp(1, queue.trainings().len().max(1));
        thread::scope(|scope| {
            for job in 0..jobs {
                let (shared, device) = (&shared, self.resources.device(job));
                scope.spawn(move || on_own_threads(jobs, || self.worker(queue, device, shared)));
            }
        });
        let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        match shared.broken {
            Some(error) => Err(error),
            None => Ok(shared.tally),
        }
    }

    fn worker(&self, queue: &Queue, device: Option<DeviceName>, shared: &Mutex<Shared<'_>>) {
        loop {
            let training = {
                let mut shared = lock(shared);
                if self.cancel.is_cancelled()
                    || shared.broken.is_some()
                    || shared.next == queue.trainings().len()
                {
                    return;
                }
                shared.next += 1;
                queue.trainings()[shared.next - 1]
            };
            let planned = self.plan.trainings[training].on(device);
            let waiting = queue.trials().iter().copied();
            let (deep, own): (Vec<usize>, Vec<usize>) = waiting
                .filter(|&trial| self.plan.trials[trial].trainings.contains(&training))
                .partition(|&trial| is_deep(&self.plan.trials[trial]));
            let is_measured = self.resources.jobs == 1 && memory::reset_peak();
            // A bug that one setting brings to light must not cost the night.
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                self.train((training, &planned), &own, &deep, is_measured, shared)
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
                        .filter(|trial| lock(shared).missing.remove(trial).is_some())
                        .collect();
                    self.fail(&deep, &member, shared);
                }
            }
            self.done.is_over(training);
        }
    }

    /// Trains, scores the trials of this training alone, and keeps what it gives to the deep ones. False if Ctrl-C came between.
    fn train(
        &self,
        (index, planned): (usize, &PlannedTraining),
        own: &[usize],
        deep: &[usize],
        is_measured: bool,
        shared: &Mutex<Shared<'_>>,
    ) -> Result<bool> {
        let task = &self.tasks[planned.task];
        let what = self.in_words(planned);
        let mut on_step = |step: u64, steps: u64| {
            self.done.stepped(index, [step, steps]);
            self.bar.message(&format!("{what}: step {step}/{steps}"));
        };
        let swag = passes::collections(own.iter().map(|&trial| &self.plan.trials[trial].prediction));
        let Some(mut trained) = training::train(planned, task, &swag, &mut on_step, self.cancel)? else {
            return Ok(false);
        };
        trained.record.peak_memory = is_measured.then(memory::peak_memory_bytes).flatten();
        append(&Line::Training(Box::new(trained.record.clone())), shared);
        self.done.trained(index);
        self.bar.message(&format!("{what}: predicting"));
        let trials = &self.plan.trials;
        let as_member: Vec<Stopping> = deep
            .iter()
            .map(|&trial| trials[trial].stopping)
            .unique()
            .collect();
        let mean_passes = as_member
            .iter()
            .map(|&stopping| (&InferenceMethod::Mean, stopping));
        let requests: Vec<TrialMethod<'_>> = own
            .iter()
            .map(|&trial| (&trials[trial].prediction, trials[trial].stopping))
            .chain(mean_passes)
            .collect();
        if is_measured {
            memory::reset_peak();
        }
        let Some(outputs) = passes::run(&trained, planned.seed, &requests, self.cancel) else {
            return Ok(false);
        };
        for (&stopping, outputs) in as_member.iter().zip(&outputs[own.len()..]) {
            if let Ok(outputs) = outputs {
                let member = Member {
                    outputs: outputs.clone(),
                    training_seconds: trained.record.seconds,
                };
                self.members.keep(&planned.key, stopping, &member)?;
            }
        }
        let costs = Costs {
            training_seconds: trained.record.seconds,
            peak_memory: is_measured.then(memory::peak_memory_bytes).flatten(),
        };
        for (&trial, outputs) in own.iter().zip(&outputs) {
            let outcome = match outputs {
                Ok(outputs) => self.score_own(trial, outputs, &trained, &costs),
                Err(reason) => Err(Error::input(reason.clone())),
            };
            self.record(trial, outcome, shared);
        }
        Ok(true)
    }

    /// A training in words: task, rows, method, the settings in which it differs from others of its method, and its seed.
    fn in_words(&self, planned: &PlannedTraining) -> String {
        let of = |training: &PlannedTraining| (training.task, training.rows, training.method.clone());
        let all = self.plan.trainings.iter();
        let kin = all.filter(|other| of(other) == of(planned));
        let keys = settings::varied(kin.map(|other| &other.settings));
        let mut words = vec![format!(
            "{} {} {}",
            self.tasks[planned.task].name, planned.rows, planned.method
        )];
        words.extend(settings::in_words(&planned.settings, &keys));
        words.push(format!("seed {}", planned.seed));
        words.join(" ")
    }

    fn score_own(
        &self,
        trial: usize,
        outputs: &TrialOutputs,
        trained: &Trained,
        costs: &Costs,
    ) -> Result<TrialResult> {
        let trial = &self.plan.trials[trial];
        let task = &self.tasks[self.plan.trainings[trial.trainings[0]].task];
        score(
            outputs,
            &trained.splits,
            trial.prediction.average(),
            task.metric,
            costs,
        )
    }

    fn score_deep(&self, trials: &[usize], shared: &Mutex<Shared<'_>>) {
        for &trial in trials {
            if self.cancel.is_cancelled() {
                return;
            }
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.score_members(trial)));
            self.record(trial, outcome.unwrap_or_else(|panic| Err(bug(&*panic))), shared);
        }
    }

    fn score_members(&self, trial: usize) -> Result<TrialResult> {
        let trial = &self.plan.trials[trial];
        let first = &self.plan.trainings[trial.trainings[0]];
        let task = &self.tasks[first.task];
        let read = |training: &usize| {
            self.members
                .read(&self.plan.trainings[*training].key, trial.stopping)
        };
        let members = trial
            .trainings
            .iter()
            .map(read)
            .collect::<Result<Vec<Member>>>()?;
        let costs = Costs {
            training_seconds: members.iter().map(|member| member.training_seconds).sum(),
            peak_memory: None,
        };
        let outputs: Vec<TrialOutputs> = members.into_iter().map(|member| member.outputs).collect();
        let outputs = TrialOutputs::joined(&outputs)?;
        let splits = training::rows_of(first, task)?;
        score(&outputs, &splits, trial.prediction.average(), task.metric, &costs)
    }

    fn fail(&self, trials: &[usize], reason: &str, shared: &Mutex<Shared<'_>>) {
        for &trial in trials {
            self.record(trial, Err(Error::input(reason.to_owned())), shared);
        }
    }

    fn record(&self, trial: usize, outcome: Result<TrialResult>, shared: &Mutex<Shared<'_>>) {
        let planned = &self.plan.trials[trial];
        let first = &self.plan.trainings[planned.trainings[0]];
        let trainings = planned.trainings.iter();
        let is_done = outcome.is_ok();
        let record = TrialRecord {
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
                Ok(result) => TrialOutcome::Done(Box::new(result)),
                Err(error) => TrialOutcome::Failed(error.sentence()),
            },
        };
        append(&Line::Trial(Box::new(record)), shared);
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
fn lock<'l, 's>(shared: &'l Mutex<Shared<'s>>) -> MutexGuard<'l, Shared<'s>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trials of several trainings for which the last one has come.
fn ready(deep: &[usize], shared: &Mutex<Shared<'_>>) -> Vec<usize> {
    let mut shared = lock(shared);
    let mut is_ready = |trial: &usize| {
        let missing = shared.missing.get_mut(trial);
        missing.is_some_and(|missing| {
            *missing -= 1;
            *missing == 0
        })
    };
    deep.iter().copied().filter(|trial| is_ready(trial)).collect()
}

fn append(line: &Line, shared: &Mutex<Shared<'_>>) {
    let mut shared = lock(shared);
    if shared.broken.is_none()
        && let Err(error) = shared.store.append(line)
    {
        shared.broken = Some(error);
    }
}
