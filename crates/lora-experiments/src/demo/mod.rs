//! The main job on embedded data. A pretrained MiniLM, a few hundred labelled sentences, the same budget and
//! seeds for plain LoRA, PEFT's input dropout and LoRA Dropout with and without its ensemble; in the domain of training
//! and in another one.

mod base_rates;
pub(crate) mod data;
mod page;
mod plan;
mod results;
mod study;
mod summary;
mod tables;

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use lora_core::atomic::write_file;
use lora_models::Checkpoint;
use lora_pipeline::base::checkpoint::{EMBEDDED_MODEL, open_checkpoint};
use lora_pipeline::base::hub::hub_options;
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::files::output::{RUN_FILE, Writer, check_folder, write_json};
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::progress::Progress;
use lora_report::Table;

use data::DemoData;
use plan::Plan;
pub use results::DemoResults;

/// What the demo does.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// One seed and small data: a look at the program rather than at the method.
    pub fast: bool,
    /// How many seeds; none: as many as the demo has. Each draws its own training rows, first values, order and masks.
    pub seeds: Option<u16>,
    /// Where results.json and report.html go; an earlier demo there is replaced.
    pub output: PathBuf,
    /// Where the tensors are.
    pub device: DeviceName,
}

/// What came out.
#[derive(Debug)]
pub struct DemoOutcome {
    /// The scores.
    pub tables: Vec<Table>,
    /// What they say, in words.
    pub sentences: Vec<String>,
    /// All of it.
    pub results: DemoResults,
    /// The page.
    pub page: PathBuf,
}

/// Everything that the demo needs.
struct Opened {
    device: Device,
    plan: Plan,
    checkpoint: Checkpoint,
    data: DemoData,
}

fn open(options: &DemoOptions, check: impl FnOnce() -> Result<()>) -> Result<Opened> {
    let device = options.device.open()?;
    let mut plan = if options.fast { Plan::fast() } else { Plan::usual() };
    if let Some(seeds) = options.seeds {
        plan.seeds = (1..=u64::from(seeds)).collect();
    }
    check()?;
    let checkpoint = open_checkpoint(EMBEDDED_MODEL, &hub_options(None))?;
    let data = DemoData::open(&checkpoint, &plan)?;
    Ok(Opened {
        device,
        plan,
        checkpoint,
        data,
    })
}

/// Only compares dropout probabilities on validation rows, as the demo's own were chosen; no test row is touched.
///
/// # Errors
///
/// If a training diverges.
pub fn choose(options: &DemoOptions, progress: &dyn Progress) -> Result<Table> {
    let Opened {
        device,
        plan,
        checkpoint,
        data,
    } = open(options, || Ok(()))?;
    study::choose(&checkpoint, &data, &plan, &device, progress)
}

/// Runs the demo and writes its page.
///
/// # Errors
///
/// If the output folder cannot be written to, or holds something else.
pub fn run(options: &DemoOptions, progress: &dyn Progress) -> Result<DemoOutcome> {
    let started = Instant::now();
    let check = || Ok(check_folder(&options.output, Writer::Demo, true)?);
    let Opened {
        device,
        plan,
        checkpoint,
        data,
    } = open(options, check)?;
    progress.note(&format!(
        "{} training rows a seed from movie reviews; {} test rows; {} tweets as the shifted domain",
        plan.train, plan.test, plan.shifted
    ));
    let base_rates = base_rates::base_rates(&data, &plan)?;
    let runs = study::run_all(&checkpoint, &data, &plan, &device, progress)?;
    let results = DemoResults::new(plan, runs, base_rates, started.elapsed().as_secs_f64());
    let (tables, sentences) = (tables::all(&results)?, summary::summary(&results)?);
    let made_by = MadeBy::this_call();
    let page = page::page(&results, &made_by)?.to_html();
    write_json(&options.output.join(RUN_FILE), &made_by)?;
    write_json(&options.output.join("results.json"), &results)?;
    let picture = page::picture(&results)?;
    write_file(&options.output.join("accuracy-ece.svg"), picture.as_bytes()).context("the picture")?;
    let report = options.output.join("report.html");
    write_file(&report, page.as_bytes()).context("the report")?;
    Ok(DemoOutcome {
        tables,
        sentences,
        results,
        page: report,
    })
}
