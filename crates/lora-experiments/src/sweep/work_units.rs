//! What can be computed in one place without the rest: trainings, and the trials that predict with them.

use std::collections::BTreeMap;

use lora_pipeline::error::Result;

use super::data::SweepTask;
use super::plan::{Plan, PlannedTrial};
use super::work_estimate::TrainingWork;

/// Trials that share trainings, directly or through others: a training with all that predicts with it; where there are deep ensembles,
/// the trainings of all that have a member in common. Computed in one place, nothing is trained twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkUnit {
    /// The least of the keys of its trainings.
    pub key: String,
    /// Its trials, by their place in the plan.
    pub trials: Vec<usize>,
    /// How many trainings it has.
    pub trainings: usize,
    /// Tokens that go through the model, estimated.
    pub tokens: u64,
}

/// The units of a plan, those with the most tokens first.
///
/// # Errors
///
/// If a task has too few rows.
pub fn work_units(plan: &Plan, tasks: &[SweepTask]) -> Result<Vec<WorkUnit>> {
    let leaders = leaders(plan);
    let mut units: BTreeMap<usize, WorkUnit> = BTreeMap::new();
    for (index, training) in plan.trainings.iter().enumerate() {
        let trials = plan.trials.iter();
        let waiting: Vec<&PlannedTrial> = trials.filter(|trial| trial.trainings.contains(&index)).collect();
        let task = &tasks[training.task];
        let tokens = TrainingWork::of(training, task, &waiting)?.tokens(training, task)?;
        let unit = units.entry(leaders[index]).or_insert_with(|| WorkUnit {
            key: training.key.clone(),
            trials: Vec::new(),
            trainings: 0,
            tokens: 0,
        });
        unit.tokens += tokens;
        unit.trainings += 1;
        if training.key < unit.key {
            unit.key.clone_from(&training.key);
        }
    }
    for (index, trial) in plan.trials.iter().enumerate() {
        if let Some(unit) = units.get_mut(&leaders[trial.trainings[0]]) {
            unit.trials.push(index);
        }
    }
    let mut units: Vec<WorkUnit> = units.into_values().collect();
    units.sort_by(|left, right| {
        right
            .tokens
            .cmp(&left.tokens)
            .then_with(|| left.key.cmp(&right.key))
    });
    Ok(units)
}

/// For each training the first one that it hangs together with.
fn leaders(plan: &Plan) -> Vec<usize> {
    let mut leaders: Vec<usize> = (0..plan.trainings.len()).collect();
    for trial in &plan.trials {
        let joined = trial.trainings.iter().map(|&training| leaders[training]);
        let joined: Vec<usize> = joined.collect();
        if let Some(&first) = joined.iter().min() {
            for leader in leaders.iter_mut().filter(|leader| joined.contains(leader)) {
                *leader = first;
            }
        }
    }
    leaders
}
