//! `lora report`: the results of sweeps as a page, as Markdown, as CSV.
//!
//! | file | holds |
//! |---|---|
//! | `results` | cells of results files, in the groups that can be compared |
//! | `measure` | the numbers of a cell by name |
//! | `choice` | which settings stand for a method: validation rows say it |
//! | `against` | a method against the reference, with an interval |
//! | `tables`, `figures`, `curves`, `sentences` | what the page shows |
//! | `page`, `cells_csv` | the page, Markdown and CSV |

pub mod against;
pub mod cells_csv;
pub mod choice;
pub mod curves;
pub mod figures;
pub mod measure;
pub mod page;
pub mod results;
pub mod sentences;
pub mod tables;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_core::atomic::write_file;
use serde_json::json;

use crate::output_file::{check_output, check_report};
use crate::terminal::Terminal;
use page::Report;
use results::Results;

/// Arguments of `lora report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Results of `lora sweep`
    #[arg(value_name = "RESULTS", required = true)]
    results: Vec<PathBuf>,
    /// The page; an earlier one there is replaced [the first file's name with .html]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sentences and tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Every cell as a row
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes over Markdown and CSV files that are there
    #[arg(long)]
    overwrite: bool,
}

/// Reads results, and writes what is asked for.
///
/// # Errors
///
/// If results cannot be read or compared, or a file not be written.
pub fn run(args: &ReportArgs, terminal: &Terminal) -> Result<()> {
    let output = match &args.output {
        Some(path) => path.clone(),
        None => args.results[0].with_extension("html"),
    };
    check_report(&output)?;
    for path in [&args.markdown, &args.csv].into_iter().flatten() {
        let read = args.results.iter().find(|results| *results == path);
        check_output(path, read.map(PathBuf::as_path), args.overwrite)?;
    }
    let results = Results::read(&args.results)?;
    let report = Report::of(&results)?;
    for sentence in &report.summary {
        terminal.paragraph(sentence)?;
    }
    for table in &report.overall {
        terminal.say("")?;
        terminal.table(table)?;
    }
    if let Some(path) = &args.markdown {
        write_file(path, report.to_markdown().as_bytes())?;
    }
    if let Some(path) = &args.csv {
        write_file(path, cells_csv::to_csv(&results)?.as_bytes())?;
    }
    let document = json!({"summary": report.summary, "overall": report.overall, "page": output});
    let page = report.page();
    write_file(&output, page.to_html().as_bytes())?;
    terminal.say(format!("the page: {}", output.display()))?;
    terminal.document(&document)
}
