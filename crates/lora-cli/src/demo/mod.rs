//! `lora demo`: the main job on embedded data. A pretrained MiniLM, a few hundred labelled sentences, the same budget and
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

use anyhow::{Context, Result};
use clap::Args;
use lora_core::atomic::write_file;

use crate::device::DeviceName;
use crate::output::{RUN_FILE, Writer, check_folder, write_json};
use crate::pipeline::{EMBEDDED_MODEL, hub_options, open_checkpoint};
use crate::provenance::MadeBy;
use crate::terminal::Terminal;

use data::DemoData;
use plan::Plan;
use results::DemoResults;

/// Arguments of `lora demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// One seed and small data: a look at the program rather than at the method
    #[arg(long)]
    pub fast: bool,
    /// How many seeds; each draws its own training rows, first values, order and masks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub seeds: Option<u16>,
    /// Where results.json and report.html go; an earlier demo there is replaced
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub output: PathBuf,
    /// Device: flex, or another backend this program was built with
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: DeviceName,
    /// Only compare dropout probabilities on validation rows, as the demo's own were chosen; no test row is touched
    #[arg(long)]
    pub choose: bool,
}

/// Runs the demo, prints its table and writes its page.
///
/// # Errors
///
/// If the output folder cannot be written to, or holds something else.
pub fn run(args: &DemoArgs, terminal: &Terminal) -> Result<()> {
    let started = Instant::now();
    let device = args.device.open()?;
    let mut plan = if args.fast { Plan::fast() } else { Plan::usual() };
    if let Some(seeds) = args.seeds {
        plan.seeds = (1..=u64::from(seeds)).collect();
    }
    if !args.choose {
        check_folder(&args.output, Writer::Demo, true)?;
    }
    let checkpoint = open_checkpoint(EMBEDDED_MODEL, &hub_options(None))?;
    let data = DemoData::open(&checkpoint, &plan)?;
    if args.choose {
        return terminal.table(&study::choose(&checkpoint, &data, &plan, &device, terminal)?);
    }
    terminal.note(format!(
        "{} training rows a seed from movie reviews; {} test rows; {} tweets as the shifted domain",
        plan.train, plan.test, plan.shifted
    ));

    let base_rates = base_rates::base_rates(&data, &plan)?;
    let runs = study::run_all(&checkpoint, &data, &plan, &device, terminal)?;
    let results = DemoResults::new(plan, runs, base_rates, started.elapsed().as_secs_f64());
    for table in tables::all(&results)? {
        terminal.table(&table)?;
        terminal.say("")?;
    }
    for sentence in summary::summary(&results)? {
        terminal.paragraph(&sentence)?;
    }
    let made_by = MadeBy::this_call();
    let page = page::page(&results, &made_by)?.to_html();
    write_json(&args.output.join(RUN_FILE), &made_by)?;
    write_json(&args.output.join("results.json"), &results)?;
    let picture = page::picture(&results)?;
    write_file(&args.output.join("accuracy-ece.svg"), picture.as_bytes()).context("the picture")?;
    let report = args.output.join("report.html");
    write_file(&report, page.as_bytes()).context("the report")?;
    terminal.say(format!(
        "{:.0} s; the page: {}",
        results.seconds,
        report.display()
    ))?;
    terminal.document(&results)
}
