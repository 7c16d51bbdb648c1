//! `lora sweep --list`: the trials of a sweep one by one, for people and for the tools that start them.

use std::collections::{BTreeSet, HashMap};

use lora_pipeline::error::Result;
use lora_report::{Better, Cell, Column, Table};
use serde::Serialize;

use super::Sweep;
use super::call::SweepCall;
use super::file::{RowCount, Stopping};
use super::result_files::KnownTrials;
use super::settings::{Settings, in_words, varied};
use super::work_estimate::TrainingWork;
use super::work_units::WorkUnit;

/// A trial as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedTrial {
    /// Its key.
    pub key: String,
    /// Name of the task.
    pub task: String,
    /// Training rows.
    pub rows: RowCount,
    /// Name of the method.
    pub method: String,
    /// How it predicts, in words.
    pub prediction: String,
    /// Which model of its training predicts.
    pub stopping: Stopping,
    /// Settings of its training that are not the defaults.
    pub settings: Settings,
    /// Its seed.
    pub seed: u64,
    /// Tokens that go through the model if it is computed alone, its trainings with it; estimated.
    pub tokens: u64,
    /// Trials with the same one share trainings, and are computed in one place.
    pub unit: String,
    /// Whether it is done.
    pub state: TrialState,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// It was scored.
    Done,
    /// It could not be.
    Failed,
    /// It is still to be computed.
    Open,
}

impl TrialState {
    fn of(key: &str, known: &KnownTrials) -> Self {
        if known.is_done(key) {
            Self::Done
        } else if known.has_failed(key) {
            Self::Failed
        } else {
            Self::Open
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Open => "open",
        }
    }
}

/// The trials of a call in the order of the plan.
///
/// # Errors
///
/// If a choice names no trial, or results cannot be read.
pub fn list(sweep: &Sweep, call: &SweepCall) -> Result<Vec<ListedTrial>> {
    let chosen = call.choice.trials(sweep)?;
    let known = sweep.known(call)?;
    let units = sweep.work_units()?;
    let unit_of: HashMap<usize, &WorkUnit> = units
        .iter()
        .flat_map(|unit| unit.trials.iter().map(move |&trial| (trial, unit)))
        .collect();
    let listed = |trial: usize| listed(sweep, trial, unit_of[&trial], &known);
    chosen.into_iter().map(listed).collect()
}

fn listed(sweep: &Sweep, trial: usize, unit: &WorkUnit, known: &KnownTrials) -> Result<ListedTrial> {
    let trial = &sweep.plan.trials[trial];
    let first = &sweep.plan.trainings[trial.trainings[0]];
    let task = &sweep.tasks[first.task];
    let mut tokens = 0;
    for &training in &trial.trainings {
        let training = &sweep.plan.trainings[training];
        tokens += TrainingWork::of(training, task, &[trial])?.tokens(training, task)?;
    }
    Ok(ListedTrial {
        key: trial.key.clone(),
        task: task.name.clone(),
        rows: first.rows,
        method: trial.method.clone(),
        prediction: trial.prediction.label(),
        stopping: trial.stopping,
        settings: first.settings.clone(),
        seed: first.seed,
        tokens,
        unit: unit.key.clone(),
        state: TrialState::of(&trial.key, known),
    })
}

/// For each trial the settings in which it differs from others of its method, in words; empty where there are none.
fn settings_in_words(trials: &[ListedTrial]) -> Vec<String> {
    let mut of_methods: HashMap<_, Vec<&Settings>> = HashMap::new();
    let method = |trial: &ListedTrial| (trial.task.clone(), trial.rows, trial.method.clone());
    for trial in trials {
        of_methods.entry(method(trial)).or_default().push(&trial.settings);
    }
    let keys: HashMap<_, BTreeSet<String>> = of_methods
        .into_iter()
        .map(|(method, settings)| (method, varied(settings)))
        .collect();
    let words = trials
        .iter()
        .map(|trial| in_words(&trial.settings, &keys[&method(trial)]).join(", "));
    words.collect()
}

/// The list as a table.
pub fn table(trials: &[ListedTrial]) -> Table {
    let columns = ["task", "rows", "method", "settings", "prediction", "seed"]
        .map(|name| Column::new(name, Better::None, 0));
    let more = [
        Column::new("thousand tokens", Better::None, 1),
        Column::new("state", Better::None, 0),
    ];
    let columns = columns.into_iter().chain(more).collect();
    let mut table = Table::new("The trials of the sweep", "key", columns).with_note(
        "Tokens: what goes through the model if the trial is computed alone, a backward pass counted as two; an estimate, in which the \
         size of the model has no part.",
    );
    for (trial, settings) in trials.iter().zip(settings_in_words(trials)) {
        let prediction = match trial.stopping {
            Stopping::Early => trial.prediction.clone(),
            Stopping::Never => format!("{}, last step", trial.prediction),
        };
        table.push(
            trial.key.clone(),
            vec![
                Cell::text(trial.task.clone()),
                Cell::text(trial.rows.to_string()),
                Cell::text(trial.method.clone()),
                if settings.is_empty() {
                    Cell::Empty
                } else {
                    Cell::text(settings)
                },
                Cell::text(prediction),
                Cell::text(trial.seed.to_string()),
                Cell::value(trial.tokens as f64 / 1e3),
                Cell::text(trial.state.word()),
            ],
        );
    }
    table
}
