//! `lora compare`: three methods on the user's own labelled text. A sweep with a preset, and a page that says which to use.

mod advice;
mod preset;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use lora_core::atomic::write_file;
use serde_json::json;

use crate::output_file::check_report;
use crate::pipeline::EMBEDDED_MODEL;
use crate::report::page::Report;
use crate::report::results::Results;
use crate::report::sentences::caveats;
use crate::sweep::record::Line;
use crate::sweep::{Sweep, store};
use crate::terminal::Terminal;
use preset::{CommonestLabel, Preset};

/// Arguments of `lora compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Labelled text with a header (.csv, .tsv, .jsonl, .json, .parquet)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Column of the text [the usual names, such as text or sentence]
    #[arg(long, value_name = "COLUMN")]
    pub text: Option<String>,
    /// Column of the second text, for pairs
    #[arg(long, value_name = "COLUMN")]
    pub text_pair: Option<String>,
    /// Column of the label [the usual names, such as label]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Base model: a folder, a hub id, or the embedded one
    #[arg(long, value_name = "MODEL", default_value = EMBEDDED_MODEL)]
    pub model: String,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub seeds: u16,
    /// Where results.jsonl and report.html go
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    pub output: PathBuf,
    /// Trainings at once; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// Trains and scores the preset, and says what came out.
///
/// # Errors
///
/// If the file cannot be used, or as [`Sweep::run`].
pub fn run(args: &CompareArgs, terminal: &Terminal) -> Result<()> {
    let page = args.output.join("report.html");
    if args.output.exists() {
        check_report("--output", &page)?;
    }
    let results_file = args.output.join("results.jsonl");
    if let Some(other) = compared_file(&results_file)?.filter(|other| *other != args.file) {
        bail!(
            "--output `{}` holds the comparison on `{}`; give `{}` a folder of its own",
            args.output.display(),
            other.display(),
            args.file.display()
        );
    }
    let preset = Preset::of(args)?;
    let sweep = Sweep::open(Path::new("lora compare"), preset.sweep(args)?, None, terminal)?;
    terminal.note(format!(
        "{} rows: {} to train on, {} for validation, {} for the test; {} trainings",
        preset.rows,
        preset.train,
        preset.validation,
        preset.test,
        sweep.plan.trainings.len(),
    ));
    sweep.run(&results_file, args.jobs.into(), true, terminal)?;
    let mut results = Results::read(&[results_file])?;
    // An earlier comparison may lie in the same file.
    results
        .cells
        .retain(|cell| sweep.plan.cells.iter().any(|planned| planned.key == cell.key));
    let mut report = Report::of(&results)?;
    report.title = format!("Three methods on {}", args.file.display());
    let advice = advice::advice(&results, args)?;
    report.summary = advice.sentences;
    report
        .summary
        .extend(preset.commonest_label.as_ref().map(CommonestLabel::sentence));
    report.summary.extend(caveats(&results));
    for sentence in &report.summary {
        terminal.paragraph(sentence)?;
    }
    if let Some(command) = &advice.command {
        // In one line, to be copied.
        terminal.say(format!("To train it:\n{command}"))?;
        report.summary.push(format!("To train it: {command}"));
    }
    for table in &report.studies {
        terminal.say("")?;
        terminal.table(table)?;
    }
    let document = json!({
        "advice": report.summary,
        "command": advice.command,
        "tables": report.studies,
        "page": page,
    });
    write_file(&page, report.page().to_html().as_bytes())?;
    terminal.say(format!("the page: {}", page.display()))?;
    terminal.document(&document)
}

/// The user's file that earlier results are of; none without results.
fn compared_file(results: &Path) -> Result<Option<PathBuf>> {
    if !results.exists() {
        return Ok(None);
    }
    let lines = store::read(results)?.lines;
    Ok(lines.into_iter().find_map(|line| match line {
        Line::Run(run) => {
            let data = run.sweep.tasks.into_iter().next()?.data?;
            data.get("data_file")?.as_str().map(PathBuf::from)
        }
        _ => None,
    }))
}
