//! The trials of results files, in the groups that can be compared: what differs in the seed alone, on one task.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lora_pipeline::error::Result;
use serde_json::Value;
use thiserror::Error;

use crate::sweep::file::{MethodEntry, RowCount, Stopping};
use crate::sweep::inference_method::InferenceMethod;
use crate::sweep::plan::Plan;
use crate::sweep::record::{Line, RunRecord, TrainingRecord, TrialOutcome, TrialRecord, TrialResult};
use crate::sweep::result_files::{ResultsFile, read_all};
use crate::sweep::settings::{self, Settings};

/// Everything that results files hold.
#[derive(Debug, Default)]
pub struct Results {
    /// Trials that are done, each once, in the order of the files.
    pub trials: Vec<TrialRecord>,
    /// Trials that failed and were not computed since.
    pub failed: Vec<TrialRecord>,
    /// How many trials are left out because a later one is of the same seed and settings, with other rows.
    pub replaced: usize,
    /// Trainings by key.
    pub trainings: Trainings,
    /// The calls that computed them.
    pub runs: Vec<RunRecord>,
    /// The method that others are compared with, if it is not for the calls to say.
    pub reference: Option<String>,
}

/// Results that belong together: those of files whose sweeps have the same methods. What other files hold is told apart from
/// them, because their methods were compared among each other.
#[derive(Debug)]
pub struct Experiment {
    /// The names of its files, without endings.
    pub name: String,
    /// What they hold.
    pub results: Results,
}

/// Files whose sweeps have the same methods.
struct FileGroup {
    /// None where no call of a sweep is told.
    methods: Option<Vec<MethodEntry>>,
    names: Vec<String>,
    lines: Vec<Line>,
    files: usize,
}

/// Trainings by key.
pub type Trainings = HashMap<String, TrainingRecord>;

/// Results that no report can be made of.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// There is no trial.
    #[error("{} no trial that is done; run `lora sweep` first{}", paths(paths_read), failed_note(*failed))]
    Nothing {
        /// The files.
        paths_read: Vec<PathBuf>,
        /// Trials that failed.
        failed: usize,
    },
    /// No method has the name.
    #[error("--reference {found}: no such method; the results have {}", known.join(", "))]
    Reference {
        /// The name.
        found: String,
        /// The methods.
        known: Vec<String>,
    },
}

/// Compares with this method wherever there is one of the name.
///
/// # Errors
///
/// If no experiment has it.
pub fn refer_to(experiments: &mut [Experiment], method: &str) -> Result<(), ResultsError> {
    let mut known = Vec::new();
    for results in experiments.iter_mut().map(|experiment| &mut experiment.results) {
        for trial in &results.trials {
            if trial.method == method {
                results.reference = Some(method.to_owned());
            }
            if !known.contains(&trial.method) {
                known.push(trial.method.clone());
            }
        }
    }
    if known.iter().any(|name| name == method) {
        return Ok(());
    }
    Err(ResultsError::Reference {
        found: method.to_owned(),
        known,
    })
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    format!(
        "{} hold{}",
        shown.join(", "),
        if paths.len() == 1 { "s" } else { "" }
    )
}

/// The name of a results file without its endings.
fn experiment_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_default();
    stem.strip_suffix(".results").unwrap_or(&stem).to_owned()
}

fn is_done(trial: &TrialRecord) -> bool {
    matches!(trial.outcome, TrialOutcome::Done(_))
}

fn failed_note(failed: usize) -> String {
    if failed == 0 {
        return String::new();
    }
    format!(" ({failed} failed; --retry-failed computes them again)")
}

impl Results {
    /// Reads results files, and those in folders. Of several lines about one trial the last counts, and one that failed in one place and
    /// was scored in another is scored.
    ///
    /// # Errors
    ///
    /// If one is no results file, or none holds a trial that is done.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let files = read_all(paths)?;
        let results = Self::of(files.into_iter().flat_map(|file| file.lines).collect());
        if results.trials.is_empty() {
            let (paths_read, failed) = (paths.to_vec(), results.failed.len());
            return Err(ResultsError::Nothing { paths_read, failed }.into());
        }
        Ok(results)
    }

    /// Reads the results file of a sweep, and leaves out what other sweeps wrote into it.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn of_plan(path: &Path, plan: &Plan) -> Result<Self> {
        let mut results = Self::read(&[path.to_owned()])?;
        let is_planned = |trial: &TrialRecord| plan.trials.iter().any(|planned| planned.key == trial.key);
        results.trials.retain(is_planned);
        Ok(results)
    }

    /// Reads results files, each experiment for itself. A file without a result that is done is left out.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn read_experiments(paths: &[PathBuf]) -> Result<Vec<Experiment>> {
        let mut groups: Vec<FileGroup> = Vec::new();
        for ResultsFile { given, lines, .. } in read_all(paths)? {
            let methods = lines.iter().rev().find_map(|line| match line {
                Line::Run(run) => Some(run.sweep.methods.clone()),
                _ => None,
            });
            let name = experiment_name(&given);
            match groups.iter_mut().find(|group| group.methods == methods) {
                Some(group) => {
                    // All files of a folder have its name.
                    if group.names.last() != Some(&name) {
                        group.names.push(name);
                    }
                    group.lines.extend(lines);
                    group.files += 1;
                }
                None => groups.push(FileGroup {
                    methods,
                    names: vec![name],
                    lines,
                    files: 1,
                }),
            }
        }
        let experiments = groups.into_iter().map(|group| {
            let mut results = Self::of(group.lines);
            if group.files > 1 {
                results.order_as_planned();
            }
            Experiment {
                name: group.names.join(" and "),
                results,
            }
        });
        let (full, empty): (Vec<_>, Vec<_>) =
            experiments.partition(|experiment| !experiment.results.trials.is_empty());
        if full.is_empty() {
            let failed = empty.iter().map(|experiment| experiment.results.failed.len());
            let (paths_read, failed) = (paths.to_vec(), failed.sum());
            return Err(ResultsError::Nothing { paths_read, failed }.into());
        }
        Ok(full)
    }

    /// Of the lines of files.
    pub fn of(lines: Vec<Line>) -> Self {
        let mut results = Self::default();
        let mut place_of: HashMap<String, usize> = HashMap::new();
        let mut trials: Vec<TrialRecord> = Vec::new();
        for line in lines {
            match line {
                Line::Header(_) => {}
                Line::Run(run) => results.runs.push(*run),
                Line::Training(training) => {
                    results.trainings.insert(training.key.clone(), *training);
                }
                Line::Trial(trial) => {
                    let place = *place_of.entry(trial.key.clone()).or_insert(trials.len());
                    if place == trials.len() {
                        trials.push(*trial);
                    } else if is_done(&trial) || !is_done(&trials[place]) {
                        trials[place] = *trial;
                    }
                }
            }
        }
        (results.trials, results.failed) = trials.into_iter().partition(is_done);
        results.keep_the_last_of_equals();
        results
    }

    /// Parts of a sweep that were computed apart, as if one process had computed them in the order of its file; and what each of the calls
    /// said of it once.
    fn order_as_planned(&mut self) {
        let mut said: Vec<RunRecord> = Vec::new();
        for run in std::mem::take(&mut self.runs) {
            let is_same = |known: &RunRecord| {
                known.sweep == run.sweep && known.made_by.platform == run.made_by.platform
            };
            if !said.iter().any(is_same) {
                said.push(run);
            }
        }
        self.runs = said;
        let Some(RunRecord { sweep, .. }) = self.runs.last() else {
            return;
        };
        let place = |trial: &TrialRecord| {
            let task = sweep.tasks.iter().position(|task| task.name == trial.task);
            let rows =
                task.and_then(|task| sweep.tasks[task].rows.iter().position(|rows| *rows == trial.rows));
            let method = sweep
                .methods
                .iter()
                .position(|method| method.name == trial.method);
            // What the last call does not know comes last.
            [task, rows, method].map(|place| place.unwrap_or(usize::MAX))
        };
        self.trials.sort_by_key(place);
    }

    /// A file to which a sweep of other rows was added holds two trials of one seed, which no mean may take for two seeds.
    fn keep_the_last_of_equals(&mut self) {
        let all = std::mem::take(&mut self.trials);
        let before = all.len();
        let mut last: HashMap<String, usize> = HashMap::new();
        let name = |trial: &TrialRecord| {
            let of = (&trial.task, trial.rows, trial.stopping, trial.seed);
            let by = (&trial.method, &trial.prediction, &trial.settings);
            serde_json::json!([of, by]).to_string()
        };
        for (index, trial) in all.iter().enumerate() {
            last.insert(name(trial), index);
        }
        let is_last = |(index, trial): &(usize, TrialRecord)| last[&name(trial)] == *index;
        let kept = all.into_iter().enumerate().filter(is_last);
        self.trials = kept.map(|(_, trial)| trial).collect();
        self.replaced = before - self.trials.len();
    }

    /// The trials by task, number of rows and stopping, in the order of the files.
    pub fn tasks(&self) -> Vec<TaskResults<'_>> {
        let mut tasks: Vec<TaskResults<'_>> = Vec::new();
        for trial in &self.trials {
            let TrialOutcome::Done(result) = &trial.outcome else {
                continue;
            };
            let place = tasks.iter().position(|task| task.is_of(trial));
            let place = place.unwrap_or_else(|| {
                tasks.push(TaskResults {
                    name: &trial.task,
                    rows: trial.rows,
                    stopping: trial.stopping,
                    configurations: Vec::new(),
                });
                tasks.len() - 1
            });
            tasks[place].add(trial, result);
        }
        tasks
    }
}

/// All that was found on one task with one number of training rows, and with one rule of stopping.
#[derive(Debug)]
pub struct TaskResults<'a> {
    /// Name of the task.
    pub name: &'a str,
    /// Training rows.
    pub rows: RowCount,
    /// Which model of each training predicts.
    pub stopping: Stopping,
    /// What was compared.
    pub configurations: Vec<Configuration<'a>>,
}

/// A method with its settings and a way to predict: its trials differ in the seed.
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    /// Name of the method.
    pub method: &'a str,
    /// How it predicts.
    pub prediction: &'a InferenceMethod,
    /// Settings that are not the defaults.
    pub settings: &'a Settings,
    /// The trials in the order of their seeds.
    pub trials: Vec<(&'a TrialRecord, &'a TrialResult)>,
}

impl<'a> TaskResults<'a> {
    fn is_of(&self, trial: &TrialRecord) -> bool {
        self.name == trial.task && self.rows == trial.rows && self.stopping == trial.stopping
    }

    fn add(&mut self, trial: &'a TrialRecord, result: &'a TrialResult) {
        let is_same = |configuration: &Configuration<'_>| {
            configuration.method == trial.method
                && *configuration.prediction == trial.prediction
                && *configuration.settings == trial.settings
        };
        match self
            .configurations
            .iter_mut()
            .find(|configuration| is_same(configuration))
        {
            Some(configuration) => {
                configuration.trials.push((trial, result));
                configuration.trials.sort_by_key(|(trial, _)| trial.seed);
            }
            None => self.configurations.push(Configuration {
                method: &trial.method,
                prediction: &trial.prediction,
                settings: &trial.settings,
                trials: vec![(trial, result)],
            }),
        }
    }

    /// Task and rows in words.
    pub fn title(&self) -> String {
        match self.rows {
            RowCount::Some(rows) => format!("{}, {rows} training rows", self.name),
            RowCount::All => format!("{}, all training rows", self.name),
        }
    }

    /// Task and rows, short.
    pub fn short(&self) -> String {
        match self.rows {
            RowCount::Some(rows) => format!("{} {rows}", self.name),
            RowCount::All => self.name.to_owned(),
        }
    }
}

impl Configuration<'_> {
    /// A setting of its training; the default where results say nothing of it, if there is one.
    pub fn setting(&self, key: &str) -> Option<Value> {
        settings::setting(self.settings, key)
    }

    /// The results of the seeds.
    pub fn results(&self) -> impl Iterator<Item = &TrialResult> + Clone {
        self.trials.iter().map(|(_, result)| *result)
    }

    /// The seeds.
    pub fn seeds(&self) -> Vec<u64> {
        self.trials.iter().map(|(trial, _)| trial.seed).collect()
    }
}
