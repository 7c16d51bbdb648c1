//! How much of a sweep is done, by tokens: a training under way counts, and so does one whose trials are still to be scored.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use lora_pipeline::error::Result;
use lora_pipeline::progress::Counter;

use super::data::SweepTask;
use super::plan::{Plan, PlannedTrial};
use super::queue::Queue;
use super::work_estimate::TrainingWork;

/// Tokens of one training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainingTokens {
    /// Until the last step.
    pub training: u64,
    /// Those, and what its trials predict.
    pub all: u64,
}

/// The tokens of each training of a queue, by its place in the plan.
///
/// # Errors
///
/// If a task has too few rows.
pub fn tokens_of(plan: &Plan, tasks: &[SweepTask], queue: &Queue) -> Result<HashMap<usize, TrainingTokens>> {
    let mut tokens = HashMap::new();
    for &index in queue.trainings() {
        let training = &plan.trainings[index];
        let task = &tasks[training.task];
        let pending = queue.trials().iter().map(|&trial| &plan.trials[trial]);
        let waiting: Vec<&PlannedTrial> = pending.filter(|trial| trial.trainings.contains(&index)).collect();
        let of = |trials: &[&PlannedTrial]| TrainingWork::of(training, task, trials)?.tokens(training, task);
        let (training, all) = (of(&[])?, of(&waiting)?);
        tokens.insert(index, TrainingTokens { training, all });
    }
    Ok(tokens)
}

/// Tells a counter the share that is done. It never falls.
pub struct WorkDone<'a> {
    bar: &'a dyn Counter,
    tokens: HashMap<usize, TrainingTokens>,
    all: u64,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    of_trainings: HashMap<usize, u64>,
    sum: u64,
}

impl<'a> WorkDone<'a> {
    /// Before anything is done.
    pub fn new(bar: &'a dyn Counter, tokens: HashMap<usize, TrainingTokens>) -> Self {
        bar.set_share(0.0);
        Self {
            bar,
            all: tokens.values().map(|tokens| tokens.all).sum(),
            tokens,
            done: Mutex::default(),
        }
    }

    /// So many steps of a training are done.
    pub fn stepped(&self, training: usize, [step, steps]: [u64; 2]) {
        let share = step as f64 / steps.max(1) as f64;
        #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
        let part = |tokens: TrainingTokens| (tokens.training as f64 * share) as u64;
        self.reach(training, part);
    }

    /// A training has ended, perhaps early; its trials are still to be scored.
    pub fn trained(&self, training: usize) {
        self.reach(training, |tokens| tokens.training);
    }

    /// Nothing is to be done for a training any more.
    pub fn is_over(&self, training: usize) {
        self.reach(training, |tokens| tokens.all);
    }

    /// As [`WorkDone::is_over`], for all trainings that are not still needed.
    pub fn are_over_but(&self, needed: &BTreeSet<usize>) {
        let over = self.tokens.keys().filter(|training| !needed.contains(training));
        over.for_each(|training| self.is_over(*training));
    }

    fn reach(&self, training: usize, tokens: impl Fn(TrainingTokens) -> u64) {
        let Some(known) = self.tokens.get(&training) else {
            return;
        };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let of_training = done.of_trainings.entry(training).or_default();
        let more = tokens(*known).saturating_sub(*of_training);
        if more == 0 {
            return;
        }
        *of_training += more;
        done.sum += more;
        // Under the lock, so that a share does not overtake a larger one.
        self.bar.set_share(done.sum as f64 / self.all.max(1) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shares(Mutex<Vec<f64>>);

    impl Counter for Shares {
        fn set(&self, _: u64) {}
        fn add(&self, _: u64) {}
        fn set_share(&self, share: f64) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        }
        fn message(&self, _: &str) {}
        fn note(&self, _: &str) {}
        fn is_visible(&self) -> bool {
            false
        }
        fn finish(&self) {}
    }

    #[test]
    fn steps_scores_and_trainings_of_others_count_by_their_tokens() {
        let shares = Shares::default();
        let tokens = [(3, [60, 80]), (5, [100, 120])];
        let tokens = tokens.map(|(index, [training, all])| (index, TrainingTokens { training, all }));
        let done = WorkDone::new(&shares, HashMap::from(tokens));
        done.stepped(3, [5, 10]);
        // It stops early.
        done.trained(3);
        // A step that is told late, and a training that does not belong here, change nothing.
        done.stepped(3, [6, 10]);
        done.is_over(4);
        done.is_over(3);
        // Another worker computes the rest.
        done.are_over_but(&BTreeSet::from([5]));
        done.are_over_but(&BTreeSet::new());
        let told = shares.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(told, [0.0, 0.15, 0.3, 0.4, 1.0]);
    }
}
