//! What a training and its trials compute, counted from the plan alone: no model is loaded, so every machine gets the same numbers.

use std::collections::{BTreeSet, HashMap};
use std::ops::AddAssign;

use lora_pipeline::error::Result;

use super::data::{GAP_ROWS, SweepTask};
use super::file::Stopping;
use super::inference_method::{InferenceMethod, Varied};
use super::laplace::MOST_COLUMNS;
use super::plan::{PlannedTraining, PlannedTrial};
use super::tfb;

/// A step goes forward once and backward once, which costs about as much as two passes.
const PASSES_OF_A_STEP: u64 = 3;

/// Steps, and rows that go through the model without a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrainingWork {
    /// Optimizer steps.
    pub steps: u64,
    /// Those of the first epoch.
    pub first_steps: u64,
    /// Rows that go through the model in evaluations and predictions, members counted.
    pub passes: u64,
    /// Those among them that go through all layers, because nothing is known of them.
    pub first_passes: u64,
}

impl TrainingWork {
    /// Of a training and the trials that wait for it.
    ///
    /// # Errors
    ///
    /// If the task has too few rows.
    pub fn of(training: &PlannedTraining, task: &SweepTask, trials: &[&PlannedTrial]) -> Result<Self> {
        let [train, validation] = task.sizes(training.rows)?;
        let config = &training.config.train;
        let steps = config.total_steps(train);
        let steps_per_epoch = config.steps_per_epoch(train).max(1);
        let evaluations = steps / steps_per_epoch;
        let scored = (train.min(GAP_ROWS) + validation + task.test_sizes().iter().sum::<usize>()) as u64;
        let fitted = train as u64 * fitting_passes(trials, task.classes())
            + validation as u64 * searching_passes(trials);
        let members = members_of_sources(trials);
        let mut passes = evaluations * validation as u64 + scored * members.iter().sum::<u64>() + fitted;
        if let Some(curve) = &training.curve {
            let points = curve.epochs.iter().filter(|epoch| **epoch <= evaluations).count() as u64;
            let rows = curve.rows.min(train) + curve.rows.min(task.test_sizes()[0]);
            passes += points * rows as u64 * (1 + curve.members);
        }
        // Each way to predict goes through the test rows as if it were the only one.
        let of_test = task.test_sizes()[0] as u64 * (members.len() as u64).saturating_sub(1);
        Ok(Self {
            steps,
            first_steps: steps.min(steps_per_epoch),
            passes,
            first_passes: validation as u64 + scored + of_test + fitted,
        })
    }

    /// Tokens that go through the model, a backward pass counted as two. The size of the model is left out, for it is known only where
    /// the model is.
    ///
    /// # Errors
    ///
    /// If the task has too few rows.
    pub fn tokens(&self, training: &PlannedTraining, task: &SweepTask) -> Result<u64> {
        let [train, _] = task.sizes(training.rows)?;
        let config = &training.config.train;
        let of_batches = config.per_device_train_batch_size * config.gradient_accumulation_steps;
        let of_step = of_batches.min(train) as u64 * config.masks_per_step as u64;
        let rows = PASSES_OF_A_STEP * self.steps * of_step + self.passes;
        Ok(rows * task.tokens_a_row(training.config.max_seq_length))
    }
}

impl AddAssign for TrainingWork {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.first_steps += other.first_steps;
        self.passes += other.passes;
        self.first_passes += other.first_passes;
    }
}

/// Passes over each row that predictions of one training need, for each way to predict; those that differ in the number of members alone
/// share them.
fn members_of_sources(trials: &[&PlannedTrial]) -> Vec<u64> {
    let mut of_source: HashMap<(Stopping, String), u64> = HashMap::new();
    for trial in trials {
        let (mut source, mut members) = (
            trial.prediction.passes(),
            trial.prediction.members_of_a_training(),
        );
        if let InferenceMethod::Laplace {
            of: Varied::LastLayer,
            members: drawn,
            ..
        } = &mut source
        {
            // Its members share the pass below it, with the average in closed form too.
            (*drawn, members) = (None, 1);
        }
        let most = of_source
            .entry((trial.stopping, format!("{source:?}")))
            .or_default();
        *most = (*most).max(members);
    }
    of_source.into_values().collect()
}

/// Passes over each training row that Laplace approximations are fitted with; a backward pass costs about as much as two.
fn fitting_passes(trials: &[&PlannedTrial], classes: usize) -> u64 {
    let columns = classes.min(MOST_COLUMNS);
    let fits = trials.iter().filter_map(|trial| match &trial.prediction {
        InferenceMethod::Laplace {
            of, structure, prior, ..
        } => Some((of.part().is_some(), format!("{of:?} {structure:?} {prior:?}"))),
        _ => None,
    });
    let fits: BTreeSet<(bool, String)> = fits.collect();
    let passes = |(needs_gradients, _): (bool, String)| if needs_gradients { 3 * columns as u64 } else { 1 };
    fits.into_iter().map(passes).sum()
}

/// Passes over each validation row by which the noise of TFB is looked for, at most.
fn searching_passes(trials: &[&PlannedTrial]) -> u64 {
    let searches = trials.iter().filter_map(|trial| match &trial.prediction {
        InferenceMethod::Tfb { search, .. } => {
            Some(((trial.stopping, format!("{search:?}")), search.most_rounds()))
        }
        _ => None,
    });
    let unique: HashMap<(Stopping, String), u32> = searches.collect();
    unique
        .values()
        .map(|rounds| 1 + tfb::CHOOSING_MEMBERS * u64::from(*rounds))
        .sum()
}
