//! What is to be computed: trainings in the order of the plan, and trials that wait for them.

use std::collections::BTreeSet;

use super::inference_method::InferenceMethod;
use super::members::Members;
use super::plan::{Plan, PlannedTrial};

/// The trainings that pending trials need, in the order of the plan, and the trials that can be scored from members on disk alone.
pub struct Queue {
    trainings: Vec<usize>,
    pending: BTreeSet<usize>,
    ready: Vec<usize>,
}

impl Queue {
    /// Of the trials that are to be computed.
    pub fn new(plan: &Plan, members: &Members, pending: BTreeSet<usize>) -> Self {
        let has = |training: usize, stopping| members.has(&plan.trainings[training].key, stopping);
        let (mut trainings, mut ready) = (BTreeSet::new(), Vec::new());
        for &trial in &pending {
            let trial_trainings = &plan.trials[trial].trainings;
            if is_deep(&plan.trials[trial]) {
                let missing: Vec<usize> = trial_trainings
                    .iter()
                    .copied()
                    .filter(|&training| !has(training, plan.trials[trial].stopping))
                    .collect();
                if missing.is_empty() {
                    ready.push(trial);
                }
                trainings.extend(missing);
            } else {
                trainings.extend(trial_trainings);
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

    /// The trials of several trainings that need none of them any more.
    pub fn ready(&self) -> &[usize] {
        &self.ready
    }

    /// The trials that there will be.
    pub fn trials(&self) -> &BTreeSet<usize> {
        &self.pending
    }
}

/// Whether it needs several trainings.
pub(super) fn is_deep(trial: &PlannedTrial) -> bool {
    matches!(trial.prediction, InferenceMethod::DeepEnsemble { .. })
}
