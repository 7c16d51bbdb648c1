//! `lora report`: the results of sweeps as a page, as Markdown, as CSV, as pictures.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgAction, Args};
use lora_core::atomic::write_file;
use lora_experiments::report::page::Report;
use lora_experiments::report::results::{Results, refer_to};
use lora_experiments::report::{files, trials_csv};
use lora_experiments::sweep::result_files::whole_of;
use lora_pipeline::files::output_file::{check_output, check_report};
use serde_json::json;

use crate::terminal::Terminal;

/// Arguments of `lora report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Title of the page [Methods side by side]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// What the page opens with, under its title: what a reader finds there
    #[arg(long, value_name = "TEXT")]
    lead: Option<String>,
    /// Results of `lora sweep`: files, or folders of files whose names end in results.jsonl
    #[arg(
        value_name = "RESULTS",
        required_unless_present = "by_flag",
        conflicts_with = "by_flag"
    )]
    results: Vec<PathBuf>,
    /// Results of a sweep: the same, by its flag, which may be given several times
    #[arg(long = "results", value_name = "FILE", action = ArgAction::Append)]
    by_flag: Vec<PathBuf>,
    /// The method that the others are compared with [the sweep's `reference`, or its first method]
    #[arg(long, value_name = "METHOD")]
    reference: Option<String>,
    /// Where results go: the page; an earlier one there is replaced [the first file's name with .html; for parts of a
    /// sweep that of the whole]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sentences and tables as Markdown, with the pictures of --figures
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Every trial as a row
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// A new folder with every picture as an SVG file
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Write over Markdown, CSV and SVG files that are there
    #[arg(long)]
    overwrite: bool,
}

/// Reads results, and writes what is asked for.
///
/// # Errors
///
/// If results cannot be read or compared, or a file not be written.
pub fn run(args: &ReportArgs, terminal: &Terminal) -> Result<()> {
    let results = [&args.results[..], &args.by_flag].concat();
    let output = match &args.output {
        Some(path) => path.clone(),
        None => default_page(&results),
    };
    // It is made again from the results at any time, so an earlier one is no loss.
    check_report("--output", &output, true)?;
    for (flag, path) in [("--markdown", &args.markdown), ("--csv", &args.csv)] {
        for (path, read) in path
            .iter()
            .flat_map(|path| results.iter().map(move |read| (path, read)))
        {
            check_output(flag, path, Some(read), args.overwrite)?;
        }
    }
    if let Some(folder) = &args.figures {
        files::check_figures(folder, args.overwrite)?;
    }
    let mut experiments = Results::read_experiments(&results)?;
    if let Some(reference) = &args.reference {
        refer_to(&mut experiments, reference)?;
    }
    let mut report = Report::of_experiments(&experiments)?;
    if let Some(title) = &args.title {
        report.title.clone_from(title);
    }
    if let Some(lead) = &args.lead {
        report.summary.insert(0, lead.clone());
    }
    for sentence in report.summary.iter().chain(&report.outcomes) {
        terminal.paragraph(sentence)?;
    }
    for table in &report.overall {
        terminal.say("")?;
        terminal.table(table)?;
    }
    let document = json!({"summary": report.summary, "overall": report.overall, "page": output});
    let page = report.page();
    if let Some(folder) = &args.figures {
        files::write_figures(&page, folder)?;
    }
    if let Some(path) = &args.markdown {
        let figures = args.figures.as_deref();
        let folder = figures.and_then(|figures| files::as_seen_from(figures, path));
        write_file(path, page.to_markdown(folder.as_deref()).as_bytes())?;
    }
    if let Some(path) = &args.csv {
        write_file(path, trials_csv::to_csv(&experiments)?.as_bytes())?;
    }
    write_file(&output, page.to_html().as_bytes())?;
    terminal.say(format!("the page: {}", output.display()))?;
    terminal.document(&document)
}

/// The page of some results: beside a file or a folder, by its name; of parts of one sweep by that of the whole.
fn default_page(results: &[PathBuf]) -> PathBuf {
    let first = &results[0];
    if first.is_dir() {
        // The current folder has no name to go by.
        return match first.file_name() {
            Some(_) => first.with_extension("html"),
            None => first.join("report.html"),
        };
    }
    let whole = whole_of(first);
    let named = if results.len() > 1 && results.iter().all(|file| whole_of(file) == whole) {
        &whole
    } else {
        first
    };
    named.with_extension("html")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::default_page;

    #[test]
    fn the_page_of_all_parts_has_the_name_of_the_sweep() {
        for (results, page) in [
            (&["runs/grid.results.jsonl"][..], "runs/grid.results.html"),
            (
                &[
                    "grid.shard-1-of-2.results.jsonl",
                    "grid.shard-2-of-2.results.jsonl",
                ],
                "grid.results.html",
            ),
            (
                &["grid.shard-1-of-2.results.jsonl"],
                "grid.shard-1-of-2.results.html",
            ),
            (&["a.jsonl", "b.jsonl"], "a.html"),
            (&["."], "./report.html"),
        ] {
            let results: Vec<PathBuf> = results.iter().map(PathBuf::from).collect();
            assert_eq!(default_page(&results), Path::new(page), "{results:?}");
        }
    }
}
