//! `lora compare`: LoRA, input dropout, LoRA Dropout and a deep ensemble on the user's own labelled text, and which to use.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lora_data::{Format, ProblemType};
use lora_experiments::compare::{CompareOptions, Comparison, DEFAULT_EPOCHS};
use lora_pipeline::base::checkpoint::EMBEDDED_MODEL;
use serde_json::json;

use crate::interrupt::InterruptGuard;
use crate::shared_args::{DeviceArgs, positive};
use crate::terminal::Terminal;

/// Arguments of `lora compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Labelled text with a header (.csv, .tsv, .jsonl, .json, .parquet).
    #[arg(value_name = "FILE", required_unless_present = "data")]
    pub file: Option<PathBuf>,
    /// File of rows: the same, by its flag
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub data: Option<PathBuf>,
    /// Column of the text [the default names, such as text or sentence]
    #[arg(long = "text-column", value_name = "COLUMN")]
    pub text: Option<String>,
    /// Column of the second text, for pairs
    #[arg(long = "text-pair-column", value_name = "COLUMN")]
    pub text_pair: Option<String>,
    /// Column of the label [the default names, such as label]
    #[arg(long = "label-column", value_name = "COLUMN")]
    pub label: Option<String>,
    /// What is predicted: `single_label_classification` or regression [told from the labels]
    #[arg(long, value_name = "TYPE")]
    pub problem_type: Option<String>,
    /// Base model: a folder, a hub id, or the embedded one
    #[arg(long, value_name = "MODEL", default_value = EMBEDDED_MODEL)]
    pub model: String,
    /// Passes over the training rows, at most: a training ends when its validation loss no longer falls
    #[arg(long, visible_alias = "epochs", value_name = "N", default_value_t = DEFAULT_EPOCHS, value_parser = clap::value_parser!(u32).range(1..))]
    pub num_train_epochs: u32,
    /// Longest text in tokens; longer ones are cut
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = positive)]
    pub max_seq_length: usize,
    /// Format of the file, if its name does not tell: csv, tsv, tsv-quoted, jsonl, json, parquet
    #[arg(long, value_name = "FORMAT")]
    pub data_format: Option<Format>,
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "the help of a flattened group is that of its arguments"
    )]
    pub device: DeviceArgs,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub seeds: u16,
    /// Where results go: a folder for results.jsonl and report.html
    #[arg(long, short, value_name = "DIR", default_value = "runs/compare")]
    pub output: PathBuf,
    /// Trainings at once; results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// What is predicted, by its name.
fn problem_type(name: &str) -> Result<ProblemType> {
    let known = serde_json::from_value(json!(name)).ok();
    known.with_context(|| {
        format!("--problem-type `{name}` is unknown; lora compare takes single_label_classification and regression")
    })
}

/// Trains and scores the preset, and says what came out.
///
/// # Errors
///
/// If the file cannot be used, a training failed, or Ctrl-C ended it.
pub fn run(args: &CompareArgs, terminal: &Terminal) -> Result<()> {
    let file = args.file.as_ref().or(args.data.as_ref());
    let file = file.context("no file is named; give one, as in lora compare reviews.csv")?;
    let options = CompareOptions {
        file: file.clone(),
        text: args.text.clone(),
        text_pair: args.text_pair.clone(),
        label: args.label.clone(),
        problem_type: args.problem_type.as_deref().map(problem_type).transpose()?,
        format: args.data_format,
        model: args.model.clone(),
        epochs: args.num_train_epochs,
        max_seq_length: args.max_seq_length,
        device: args.device.device,
        seeds: args.seeds,
        output: args.output.clone(),
    };
    let comparison = Comparison::open(options, terminal)?;
    let pending = comparison.pending(args.jobs.into(), terminal)?;
    let guard = InterruptGuard::begin()?;
    pending.run(terminal, guard.token())?;
    drop(guard);
    let mut outcome = comparison.report()?;
    for sentence in &outcome.advice {
        terminal.paragraph(sentence)?;
    }
    if let Some(command) = &outcome.command {
        // In one line, to be copied.
        terminal.say(format!("To train it:\n{command}"))?;
        outcome.advice.push(format!("To train it: {command}"));
    }
    for table in &outcome.tables {
        terminal.say("")?;
        terminal.table(table)?;
    }
    terminal.say(format!("the page: {}", outcome.page.display()))?;
    terminal.document(&json!({
        "advice": outcome.advice,
        "command": outcome.command,
        "tables": outcome.tables,
        "page": outcome.page,
    }))
}
