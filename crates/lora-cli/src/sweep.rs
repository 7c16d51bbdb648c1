//! `lora sweep`: methods, settings, tasks and seeds as a grid, computed once each into one file of results.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_experiments::sweep::{Sweep, file};
use serde_json::json;

use crate::interrupt::InterruptGuard;
use crate::terminal::Terminal;

/// Arguments of `lora sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Settings: what is compared, on what (.yaml)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Results of a sweep, one a line; a sweep that is called again goes on there [the file's name with .results.jsonl]
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Folder of the tasks' data sets
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Trainings at once; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Computes failed trials again
    #[arg(long)]
    retry_failed: bool,
    /// Only show what would happen: the table of trials with steps and an estimate of the time; trains and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs a sweep, or shows what it would do.
///
/// # Errors
///
/// If the file, its data or the results file cannot be used, trials failed, or Ctrl-C ended it.
pub fn run(args: &SweepArgs, terminal: &Terminal) -> Result<()> {
    let file = file::read(&args.config)?;
    let sweep = Sweep::open(&args.config, file, args.data_dir.as_deref())?;
    if sweep.plan.repeated > 0 {
        terminal.note(format!(
            "{} the same as others, because two methods have the same settings there; each is computed once, under the name of the \
             first",
            match sweep.plan.repeated {
                1 => "1 trial is".to_owned(),
                many => format!("{many} trials are"),
            }
        ));
    }
    let results = args
        .results
        .clone()
        .unwrap_or_else(|| args.config.with_extension("results.jsonl"));
    if args.dry_run {
        let dry_run = sweep.dry_run(&results, args.retry_failed, terminal)?;
        terminal.table(&dry_run.table)?;
        return terminal.document(&json!({
            "trainings": dry_run.trainings, "cells": dry_run.trials, "estimated_seconds": dry_run.estimated_seconds,
            "table": dry_run.table,
        }));
    }
    let pending = sweep.pending(&results, args.jobs.into(), args.retry_failed, terminal)?;
    let guard = InterruptGuard::begin()?;
    pending.run(terminal, guard.token())?;
    drop(guard);
    terminal.say(format!("now: lora report {}", results.display()))?;
    terminal.document(&json!({
        "cells": sweep.plan.trials.len(),
        "trainings": sweep.plan.trainings.len(),
        "results": results,
    }))
}
