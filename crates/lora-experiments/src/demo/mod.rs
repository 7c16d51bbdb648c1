//! What LoRA Dropout is for, on embedded data: plain LoRA, PEFT's input dropout and LoRA Dropout with the same fixed budget, in
//! which LoRA overfits; then the same with early stopping and with a temperature. A sweep with a preset and a page of its own.

mod arms;
mod page;
mod preset;
mod sentences;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Instant;

use lora_core::atomic::write_file;
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::files::output::{FolderWriter, RUN_FILE, check_folder, write_json};
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::progress::{CancelToken, Progress};
use lora_report::Table;
use serde::Serialize;

use crate::report::page::judge;
use crate::report::results::Results;
use crate::sweep::Sweep;
use crate::sweep::call::SweepCall;
pub use arms::ArmScores;
use arms::Arms;

/// Name of the file of results.
const RESULTS: &str = "results.jsonl";

/// What the demo does.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// One seed and small data: a look at the program rather than at the method.
    pub fast: bool,
    /// How many seeds; none: as many as the demo has. Each draws its own training rows, initial weights, order and masks.
    pub seeds: Option<u16>,
    /// Where the results and report.html go.
    pub output: PathBuf,
    /// Where the tensors are.
    pub device: DeviceName,
    /// Trainings at once; results do not depend on it.
    pub jobs: usize,
}

/// What came out, in the order in which it is told.
#[derive(Debug, Serialize)]
pub struct DemoOutcome {
    /// Test and training loss by epoch, in letters.
    #[serde(skip)]
    pub charts: Vec<String>,
    /// The result, and when to use the method, in words.
    pub sentences: Vec<String>,
    /// How sure and how right; then the scores.
    #[serde(skip)]
    pub tables: Vec<Table>,
    /// What early stopping and a temperature leave of the difference, in words; none of a quick look.
    pub careful: Option<String>,
    /// The same in tables.
    #[serde(skip)]
    pub careful_tables: Vec<Table>,
    /// Every method without and with early stopping.
    pub scores: Vec<ArmScores>,
    /// Wall time of this call.
    pub seconds: f64,
    /// The page.
    pub page: PathBuf,
}

/// Runs the demo and writes its page. What an interrupted demo has computed is not computed again.
///
/// # Errors
///
/// If the output folder cannot be written to or holds something else, a training failed, or it was cancelled.
pub fn run(options: &DemoOptions, progress: &dyn Progress, cancel: &CancelToken) -> Result<DemoOutcome> {
    let started = Instant::now();
    check_folder(&options.output, FolderWriter::Demo, true)?;
    let sizes = preset::DemoSizes::of(options);
    let sweep = Sweep::open(Path::new("lora demo"), preset::sweep(options)?, None)?;
    let time = preset::DemoSizes::time(options).map_or_else(String::new, |time| format!("; {time}"));
    progress.note(&format!(
        "{} movie reviews to train on, {} to test on, cut at {} tokens; {} epochs, {} trainings{time}",
        sizes.train,
        sizes.test,
        preset::LONGEST,
        sizes.epochs,
        sweep.plan.trainings.len()
    ));
    let made_by = MadeBy::this_call();
    write_json(&options.output.join(RUN_FILE), &made_by)?;
    let results = results(&sweep, options, progress, cancel)?;
    let (judged, ..) = judge(&results)?;
    let arms = Arms::of(&judged, &results.trainings, sizes, options.fast)?;
    let page = page::page(&arms, &results, &made_by)?;
    let picture = page::picture(&arms);
    write_file(&options.output.join("loss-by-epoch.svg"), picture.svg.as_bytes()).context("the picture")?;
    let report = options.output.join("report.html");
    write_file(&report, page.to_html().as_bytes()).context("the report")?;
    Ok(DemoOutcome {
        charts: page::text_charts(&arms),
        sentences: sentences::first(&arms)?,
        tables: vec![tables::trust(&arms)?, tables::scores(&arms)?],
        careful: sentences::careful(&arms)?,
        careful_tables: tables::careful(&arms)?,
        scores: arms.scores(),
        seconds: started.elapsed().as_secs_f64(),
        page: report,
    })
}

/// Only compares p on validation rows, as that of the demo was chosen.
///
/// # Errors
///
/// As [`run`].
pub fn choose(options: &DemoOptions, progress: &dyn Progress, cancel: &CancelToken) -> Result<Table> {
    check_folder(&options.output, FolderWriter::Demo, true)?;
    let sweep = Sweep::open(Path::new("lora demo --choose"), preset::choices(options)?, None)?;
    write_json(&options.output.join(RUN_FILE), &MadeBy::this_call())?;
    let results = results(&sweep, options, progress, cancel)?;
    tables::choices(&results)
}

fn results(
    sweep: &Sweep,
    options: &DemoOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Results> {
    let path = options.output.join(RESULTS);
    let call = SweepCall::of_file(path.clone(), options.jobs, true);
    sweep.pending(&call, progress)?.run(progress, cancel)?;
    // A demo with other options may lie in the same file.
    Results::of_plan(&path, &sweep.plan)
}
