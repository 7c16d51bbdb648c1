//! `lora demo`: what LoRA Dropout is for, on embedded data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_experiments::demo::{self, DemoOptions};

use crate::interrupt::InterruptGuard;
use crate::shared_args::DeviceArgs;
use crate::terminal::Terminal;

/// Arguments of `lora demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// One seed and small data: a look at the program rather than at the method
    #[arg(long)]
    pub fast: bool,
    /// How many seeds; each draws its own training rows, initial weights, order and masks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub seeds: Option<u16>,
    /// Where results go: a folder for results.jsonl and report.html; an interrupted demo goes on there
    #[arg(long, short, value_name = "DIR", default_value = "runs/demo")]
    pub output: PathBuf,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "the help of a flattened group is that of its arguments"
    )]
    pub device: DeviceArgs,
    /// Trainings at once; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Only compare p on validation rows, as that of the demo was chosen
    #[arg(long)]
    pub choose: bool,
}

/// Runs the demo, prints its table and writes its page.
///
/// # Errors
///
/// If the output folder cannot be written to, or holds something else.
pub fn run(args: &DemoArgs, terminal: &Terminal) -> Result<()> {
    let options = DemoOptions {
        fast: args.fast,
        seeds: args.seeds,
        output: args.output.clone(),
        device: args.device.device,
        jobs: args.jobs.into(),
    };
    let guard = InterruptGuard::begin()?;
    if args.choose {
        let table = demo::choose(&options, terminal, guard.token())?;
        terminal.table(&table)?;
        return terminal.document(&table);
    }
    let outcome = demo::run(&options, terminal, guard.token())?;
    drop(guard);
    for chart in &outcome.charts {
        terminal.say(chart)?;
        terminal.say("")?;
    }
    for sentence in &outcome.sentences {
        terminal.paragraph(sentence)?;
    }
    for table in &outcome.tables {
        terminal.say("")?;
        terminal.table(table)?;
    }
    if let Some(careful) = &outcome.careful {
        terminal.say("")?;
        terminal.paragraph(careful)?;
    }
    for table in &outcome.careful_tables {
        terminal.say("")?;
        terminal.table(table)?;
    }
    terminal.say(format!(
        "{:.0} s; the page: {}",
        outcome.seconds,
        outcome.page.display()
    ))?;
    terminal.document(&outcome)
}
