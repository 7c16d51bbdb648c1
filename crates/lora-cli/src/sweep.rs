//! `lora sweep`: methods, settings, tasks and seeds as a grid, computed once each, in one process or in many.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{ArgAction, Args};
use lora_experiments::sweep::call::{Resources, SweepCall, TrialChoice};
use lora_experiments::sweep::claims::ProcessTime;
use lora_experiments::sweep::result_files::{RESULTS_ENDING, parts_beside, results_files_in};
use lora_experiments::sweep::shard::Shard;
use lora_experiments::sweep::shared::SharedCall;
use lora_experiments::sweep::{Sweep, file, list};
use lora_pipeline::counted::counted;
use lora_pipeline::device::DeviceName;
use lora_pipeline::files::provenance::quoted;
use serde_json::json;

use crate::interrupt::InterruptGuard;
use crate::terminal::Terminal;

/// Above so many, the hint at the end names the folder of files in their place.
const MOST_NAMES: usize = 8;

/// Arguments of `lora sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Settings: what is compared, on what (.yaml)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Results of a sweep, a file or a folder of them: what they hold is not computed again. A single file also takes the new results,
    /// unless --output names another [the file's name with .results.jsonl, and the files of shards and trials beside it]
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    results: Vec<PathBuf>,
    /// Where results go: a file, one result a line; a sweep that is called again goes on there [that of --results; with --shard or --trial
    /// one named after them]
    #[arg(long, short, value_name = "FILE", conflicts_with = "shared")]
    output: Option<PathBuf>,
    /// Folder of the tasks' data sets
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only list the trials: key, task, method, settings, seed, estimated cost, and whether it is done
    #[arg(long, conflicts_with = "dry_run")]
    list: bool,
    /// Computes only the trials with these keys of --list
    #[arg(long = "trial", value_name = "KEY,KEY", value_delimiter = ',', conflicts_with_all = ["shard", "shared"])]
    trials: Vec<String>,
    /// Computes only the i-th of n parts, counted from 1, that take about equally long: 2/8
    #[arg(long, value_name = "I/N", conflicts_with = "shared")]
    shard: Option<Shard>,
    /// A folder that any number of workers share, all started with the same command: each computes what no other does, until nothing is left
    #[arg(long, value_name = "DIR", conflicts_with_all = ["retry_failed", "dry_run"])]
    shared: Option<PathBuf>,
    /// After how long without a sign of life others take over what this worker computes
    #[arg(long, value_name = "SECONDS", default_value_t = 180, requires = "shared", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    claim_expires: u64,
    /// Trainings at once; results do not depend on it [1, or the number of --devices]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Devices in place of that of the settings, each training on one of them: vulkan:0,vulkan:1
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    devices: Vec<DeviceName>,
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
/// If the file, its data or the results cannot be used, trials failed, or Ctrl-C ended it.
pub fn run(args: &SweepArgs, terminal: &Terminal) -> Result<()> {
    let file = file::read(&args.config)?;
    let sweep = Sweep::open(&args.config, file, args.data_dir.as_deref())?;
    if sweep.plan.repeated > 0 {
        terminal.note(format!(
            "left out as the same as others, because two methods have the same settings there: {}; each is computed once, under the name of \
             the first",
            counted(sweep.plan.repeated, "trial")
        ));
    }
    let call = args.call()?;
    if args.list {
        let trials = list::list(&sweep, &call)?;
        terminal.table(&list::table(&trials))?;
        return terminal.document(&json!({ "trials": trials }));
    }
    if args.dry_run {
        let dry_run = sweep.dry_run(&call, terminal)?;
        terminal.table(&dry_run.table)?;
        return terminal.document(&json!({
            "trainings": dry_run.trainings, "cells": dry_run.trials, "estimated_seconds": dry_run.estimated_seconds,
            "table": dry_run.table,
        }));
    }
    if let Some(folder) = &args.shared {
        return share(args, folder.clone(), &sweep, terminal);
    }
    let pending = sweep.pending(&call, terminal)?;
    let guard = InterruptGuard::begin()?;
    pending.run(terminal, guard.token())?;
    drop(guard);
    done(&sweep, &args.to_report(&call.output), &call.output, terminal)
}

/// Takes part until nothing is left.
fn share(args: &SweepArgs, folder: PathBuf, sweep: &Sweep, terminal: &Terminal) -> Result<()> {
    let call = SharedCall {
        folder,
        known: args.known(),
        expires_after: Duration::from_secs(args.claim_expires),
        resources: args.resources(),
    };
    let guard = InterruptGuard::begin()?;
    sweep.work_in(&call, &ProcessTime::begin(), terminal, guard.token())?;
    drop(guard);
    let hint = format!("now: lora report {}", in_shell(&call.folder));
    done(sweep, &hint, &call.folder, terminal)
}

fn done(sweep: &Sweep, hint: &str, results: &Path, terminal: &Terminal) -> Result<()> {
    terminal.say(hint)?;
    terminal.document(&json!({
        "cells": sweep.plan.trials.len(),
        "trainings": sweep.plan.trainings.len(),
        "results": results,
    }))
}

/// A path in a command that people copy.
fn in_shell(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// The folder in which files lie, if it holds no other results: `lora report` reads all of a folder.
fn folder_of_all(files: &[PathBuf]) -> Option<&Path> {
    let folder = files.first()?.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // A folder that is not there yet holds none.
    let there = results_files_in(folder).unwrap_or_default();
    let is_ours = |name: &OsStr| files.iter().any(|file| file.file_name() == Some(name));
    there
        .iter()
        .all(|file| file.file_name().is_some_and(is_ours))
        .then_some(folder)
}

impl SweepArgs {
    fn resources(&self) -> Resources {
        let jobs = self.jobs.map_or(self.devices.len().max(1), usize::from);
        Resources {
            jobs,
            devices: self.devices.clone(),
        }
    }

    fn choice(&self) -> TrialChoice {
        match self.shard {
            Some(shard) => TrialChoice::Shard(shard),
            None if self.trials.is_empty() => TrialChoice::All,
            None => TrialChoice::Keys(self.trials.clone()),
        }
    }

    /// How the results are seen, together with those of the other parts of the sweep, which lie beside unless they were given other names.
    fn to_report(&self, output: &Path) -> String {
        let report = |files: &[PathBuf]| {
            let folder = folder_of_all(files).filter(|_| files.len() > MOST_NAMES);
            let names: Vec<String> = folder.map_or_else(
                || files.iter().map(|file| in_shell(file)).collect(),
                |folder| vec![in_shell(folder)],
            );
            format!("lora report {}", names.join(" "))
        };
        match self.shard {
            Some(_) if self.output.is_some() => format!(
                "when all parts are there: {} OTHERS, or lora report and the folder that holds them all",
                report(&[output.to_owned()])
            ),
            Some(shard) => {
                let of_part = |part: Shard| {
                    self.config
                        .with_extension(format!("{}.{RESULTS_ENDING}", part.in_words()))
                };
                let files: Vec<PathBuf> = shard.all().map(of_part).collect();
                let missing: Vec<String> = shard
                    .all()
                    .filter(|part| !of_part(*part).exists())
                    .map(|part| part.to_string())
                    .collect();
                if missing.is_empty() {
                    format!("now: {}", report(&files))
                } else {
                    let which = if missing.len() > MOST_NAMES {
                        format!("{} of {} are missing", missing.len(), files.len())
                    } else {
                        missing.join(", ")
                    };
                    format!("when the other parts are there too ({which}): {}", report(&files))
                }
            }
            None if self.results.is_empty() => {
                let whole = self.config.with_extension(RESULTS_ENDING);
                let mut files = parts_beside(&whole);
                files.retain(|part| part != output);
                files.extend(Some(whole).filter(|whole| whole.exists() && whole != output));
                files.insert(0, output.to_owned());
                format!("now: {}", report(&files))
            }
            None => {
                let mut files = self.results.clone();
                if !files.iter().any(|known| output.starts_with(known)) {
                    files.push(output.to_owned());
                }
                format!("now: {}", report(&files))
            }
        }
    }

    /// Results that are named, else those of the default name if they are there.
    fn known(&self) -> Vec<PathBuf> {
        let of_all = self.config.with_extension(RESULTS_ENDING);
        if self.results.is_empty() && of_all.exists() {
            return vec![of_all];
        }
        self.results.clone()
    }

    fn call(&self) -> Result<SweepCall> {
        let choice = self.choice();
        let mut known = self.known();
        if self.results.is_empty() && self.shared.is_none() {
            known.extend(parts_beside(&self.config.with_extension(RESULTS_ENDING)));
        }
        if let Some(folder) = self.shared.as_ref().filter(|folder| folder.exists()) {
            known.extend(results_files_in(folder)?);
        }
        let writes = !self.list && !self.dry_run && self.shared.is_none();
        let output = match (&self.output, choice.in_file_names(), &self.results[..]) {
            (Some(output), ..) => output.clone(),
            (None, Some(name), _) => self.config.with_extension(format!("{name}.{RESULTS_ENDING}")),
            (None, None, [file]) if !file.is_dir() => file.clone(),
            (None, None, [_, ..]) if writes => {
                bail!(
                    "--results names a folder or several files; name the file that takes new results with --output"
                )
            }
            (None, None, _) => self.config.with_extension(RESULTS_ENDING),
        };
        // Its own results are known anyway, and it need not be there yet.
        known.retain(|path| *path != output);
        Ok(SweepCall {
            choice,
            known,
            output,
            retry_failed: self.retry_failed,
            resources: self.resources(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Call {
        #[command(flatten)]
        sweep: SweepArgs,
    }

    #[test]
    fn the_hint_names_few_files_or_the_folder_of_many_as_a_shell_reads_them() {
        let runs = tempfile::tempdir().unwrap();
        let folder = runs.path().join("my runs");
        std::fs::create_dir(&folder).unwrap();
        let config = folder.join("sweep.yaml");
        let hint = |shard: &str| {
            let words = ["lora", "--config", config.to_str().unwrap(), "--shard", shard];
            let args = Call::parse_from(words).sweep;
            args.to_report(&args.call().unwrap().output)
        };
        let of_two = ["1-of-2", "2-of-2"].map(|part| {
            let file = folder.join(format!("sweep.shard-{part}.results.jsonl"));
            format!("'{}'", file.display())
        });
        assert_eq!(
            hint("1/2"),
            format!(
                "when the other parts are there too (1/2, 2/2): lora report {}",
                of_two.join(" ")
            )
        );
        let of_many = format!(
            "when the other parts are there too (200 of 200 are missing): lora report '{}'",
            folder.display()
        );
        assert_eq!(hint("3/200"), of_many);
        // A folder with results of another sweep is not read as this one.
        std::fs::write(folder.join("other.results.jsonl"), "").unwrap();
        assert!(
            hint("3/200").contains("sweep.shard-200-of-200"),
            "{}",
            hint("3/200")
        );
    }
}
