//! `lora demo`: the main job on embedded data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_experiments::demo::{self, DemoOptions};

use crate::shared_args::DeviceArgs;
use crate::terminal::Terminal;

/// Arguments of `lora demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// One seed and small data: a look at the program rather than at the method
    #[arg(long)]
    pub fast: bool,
    /// How many seeds; each draws its own training rows, first values, order and masks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub seeds: Option<u16>,
    /// Where results go: a folder for results.json and report.html; an earlier demo there is replaced
    #[arg(long, short, value_name = "DIR", default_value = "runs/demo")]
    pub output: PathBuf,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "the help of a flattened group is that of its arguments"
    )]
    pub device: DeviceArgs,
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
    let options = DemoOptions {
        fast: args.fast,
        seeds: args.seeds,
        output: args.output.clone(),
        device: args.device.device,
    };
    if args.choose {
        return terminal.table(&demo::choose(&options, terminal)?);
    }
    let outcome = demo::run(&options, terminal)?;
    for table in &outcome.tables {
        terminal.table(table)?;
        terminal.say("")?;
    }
    for sentence in &outcome.sentences {
        terminal.paragraph(sentence)?;
    }
    terminal.say(format!(
        "{:.0} s; the page: {}",
        outcome.results.seconds,
        outcome.page.display()
    ))?;
    terminal.document(&outcome.results)
}
