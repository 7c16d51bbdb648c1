//! `lora sweep`: methods, settings, tasks and seeds as a grid of cells, computed once each into one file of results.
//!
//! | file | holds |
//! |---|---|
//! | `file`, `settings`, `prediction`, `prediction_entry` | what the user writes, and the settings of a training that follow |
//! | `tasks`, `data` | rows: loaded, drawn by a seed, tokenized |
//! | `plan` | trainings and cells, with keys |
//! | `jobs` | workers; `training`, `passes`, `laplace`, `cell` do the work of one cell; `members` waits for deep ensembles |
//! | `record`, `store` | the results file |
//! | `dry_run` | what would be done |

pub mod cell;
pub mod data;
mod dry_run;
pub mod file;
pub mod jobs;
pub mod laplace;
pub mod members;
pub mod memory;
pub mod passes;
pub mod plan;
pub mod prediction;
pub mod prediction_entry;
pub mod record;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod training;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use thiserror::Error;

use crate::interrupt::{Patience, is_asked};
use crate::opening::open_tokenizer_of;
use crate::provenance::MadeBy;
use crate::terminal::{Terminal, counted};
use data::SweepTask;
use file::SweepFile;
use jobs::{Queue, Tally, Work};
use members::Members;
use plan::Plan;
use record::{Line, Outcome, RunRecord};
use store::Store;

/// Arguments of `lora sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// What is compared, on what (.yaml).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where results are, one a line; a sweep that is called again goes on there [the file's name with .results.jsonl]
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// The folder in which the data sets of the tasks lie
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Trainings at once; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Computes failed cells again
    #[arg(long)]
    retry_failed: bool,
    /// Prints the table of cells with steps and an estimate of the time; trains and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// A sweep that was ended by Ctrl-C.
#[derive(Debug, Error)]
#[error("interrupted; {} computed, {left} left: the same command goes on", counted(*done, "cell"))]
pub struct SweepInterrupted {
    /// Cells computed by this call.
    pub done: usize,
    /// Cells that are left.
    pub left: usize,
}

/// A sweep some of whose cells could not be computed.
#[derive(Debug, Error)]
#[error("{failed} of the cells failed; `{}` says why, and --retry-failed computes them again", results.display())]
pub struct CellsFailed {
    /// How many.
    pub failed: usize,
    /// The results file.
    pub results: PathBuf,
}

/// A sweep with its tasks, planned.
#[derive(Debug)]
pub struct Sweep {
    /// What the user wants.
    pub file: SweepFile,
    /// The tasks, loaded.
    pub tasks: Vec<SweepTask>,
    /// What is to be computed.
    pub plan: Plan,
}

impl Sweep {
    /// Loads the tasks and plans. `path` is the file of the sweep, for messages.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with file and key.
    pub fn open(path: &Path, file: SweepFile, data_dir: Option<&Path>, terminal: &Terminal) -> Result<Self> {
        // What needs no data is checked before any is read.
        let mut sweep_tasks = Vec::new();
        for entry in &file.tasks {
            let loaded = tasks::load(path, entry, data_dir, terminal)?;
            let task =
                SweepTask::new(entry, &file, loaded).with_context(|| format!("`{}`", path.display()))?;
            sweep_tasks.push(task);
        }
        let plan = plan::plan(path, &file, &sweep_tasks)?;
        Ok(Self {
            file,
            tasks: sweep_tasks,
            plan,
        })
    }

    /// Computes the cells that a results file does not hold.
    ///
    /// # Errors
    ///
    /// [`SweepInterrupted`], [`CellsFailed`], or a results file that cannot be used.
    pub fn run(&self, results: &Path, jobs: usize, retry_failed: bool, terminal: &Terminal) -> Result<()> {
        let started = Instant::now();
        let (mut store, lines) = Store::open(results)?;
        if let Some(line) = lines.torn {
            terminal.note(format!(
                "{}, line {line} was torn when a sweep was killed; it was taken out, its cell is computed again",
                results.display()
            ));
        }
        let known = outcomes(&lines.lines);
        let pending = self.pending(&known, retry_failed);
        self.say_what_is_known(&known, pending.len(), retry_failed, terminal);
        if pending.is_empty() {
            return failures(self.failed(&known), results);
        }
        let members = Members::beside(results);
        let queue = Queue::new(&self.plan, &members, pending.clone());
        self.check_models(&queue)?;
        terminal.note(format!(
            "{} to compute, with {}",
            counted(pending.len(), "cell"),
            counted(queue.trainings().len(), "training")
        ));
        store.append(&Line::Run(Box::new(RunRecord {
            sweep: self.file.clone(),
            made_by: MadeBy::this_call(),
            jobs,
        })))?;
        let patience = Patience::begin()?;
        let bar = terminal.progress(pending.len() as u64, "sweep", "cells");
        let work = Work {
            plan: &self.plan,
            tasks: &self.tasks,
            members: &members,
            bar: &bar,
            jobs,
        };
        let tally = work.run(&queue, store)?;
        bar.finish_and_clear();
        drop(patience);
        let Tally { done, failed } = tally;
        let left = pending.len() - done - failed;
        if left > 0 && is_asked() {
            return Err(SweepInterrupted { done, left }.into());
        }
        if failed == 0 {
            members.clear();
        }
        terminal.note(format!(
            "{} in {:.0} s: {}",
            counted(done, "cell"),
            started.elapsed().as_secs_f64(),
            results.display()
        ));
        let old = if retry_failed { 0 } else { self.failed(&known) };
        failures(failed + old, results)
    }

    /// A model that is not there would fail in every cell.
    fn check_models(&self, queue: &Queue) -> Result<()> {
        let mut known = BTreeSet::new();
        for &index in queue.trainings() {
            let training = &self.plan.trainings[index];
            let config = &training.config;
            if known.insert((&config.model_name_or_path, &config.revision)) {
                open_tokenizer_of(config, &self.tasks[training.task].kind)?;
            }
        }
        Ok(())
    }

    /// Prints what [`Sweep::run`] would compute; writes nothing.
    ///
    /// # Errors
    ///
    /// If the results file is there and cannot be used, or as [`dry_run::run`].
    fn dry_run(&self, results: &Path, retry_failed: bool, terminal: &Terminal) -> Result<()> {
        let lines = if results.exists() {
            store::read(results)?.lines
        } else {
            Vec::new()
        };
        let known = outcomes(&lines);
        let pending = self.pending(&known, retry_failed);
        self.say_what_is_known(&known, pending.len(), retry_failed, terminal);
        let queue = Queue::new(&self.plan, &Members::beside(results), pending);
        dry_run::run(self, &queue, terminal)
    }

    fn pending(&self, known: &HashMap<&str, bool>, retry_failed: bool) -> BTreeSet<usize> {
        let is_pending = |key: &str| match known.get(key) {
            None => true,
            Some(is_done) => !is_done && retry_failed,
        };
        let cells = self.plan.cells.iter().enumerate();
        cells
            .filter(|(_, cell)| is_pending(&cell.key))
            .map(|(index, _)| index)
            .collect()
    }

    fn failed(&self, known: &HashMap<&str, bool>) -> usize {
        let cells = self.plan.cells.iter();
        cells
            .filter(|cell| known.get(cell.key.as_str()) == Some(&false))
            .count()
    }

    fn say_what_is_known(
        &self,
        known: &HashMap<&str, bool>,
        pending: usize,
        retry_failed: bool,
        terminal: &Terminal,
    ) {
        let all = self.plan.cells.len();
        let failed = self.failed(known);
        let done = all - pending - if retry_failed { 0 } else { failed };
        if done > 0 {
            terminal.note(format!("{done} of {} are done and skipped", counted(all, "cell")));
        }
        if failed > 0 && !retry_failed {
            terminal.note(format!(
                "{} failed earlier and {} skipped; --retry-failed computes them again",
                counted(failed, "cell"),
                if failed == 1 { "is" } else { "are" }
            ));
        }
    }
}

/// Whether each cell of a results file is done; of several lines about one cell the last counts.
fn outcomes(lines: &[Line]) -> HashMap<&str, bool> {
    let cells = lines.iter().filter_map(|line| match line {
        Line::Cell(cell) => Some(cell),
        _ => None,
    });
    cells
        .map(|cell| (cell.key.as_str(), matches!(cell.outcome, Outcome::Done(_))))
        .collect()
}

fn failures(failed: usize, results: &Path) -> Result<()> {
    if failed == 0 {
        return Ok(());
    }
    let results = results.to_owned();
    Err(CellsFailed { failed, results }.into())
}

/// Runs a sweep, or shows what it would do.
///
/// # Errors
///
/// If the file, its data or the results file cannot be used, cells failed, or Ctrl-C ended it.
pub fn run(args: &SweepArgs, terminal: &Terminal) -> Result<()> {
    let file = file::read(&args.config)?;
    let sweep = Sweep::open(&args.config, file, args.data_dir.as_deref(), terminal)?;
    if sweep.plan.repeated > 0 {
        terminal.note(format!(
            "{} the same as others, because two methods have the same settings there; each is computed once, under the name of the \
             first",
            match sweep.plan.repeated {
                1 => "1 cell is".to_owned(),
                many => format!("{many} cells are"),
            }
        ));
    }
    let results = args
        .results
        .clone()
        .unwrap_or_else(|| args.config.with_extension("results.jsonl"));
    if args.dry_run {
        return sweep.dry_run(&results, args.retry_failed, terminal);
    }
    sweep.run(&results, args.jobs.into(), args.retry_failed, terminal)?;
    terminal.say(format!("now: lora report {}", results.display()))?;
    terminal.document(&json!({
        "cells": sweep.plan.cells.len(),
        "trainings": sweep.plan.trainings.len(),
        "results": results,
    }))
}
