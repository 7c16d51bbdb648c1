//! `lora eval`: how good, and how honest, is an adapter on labelled text?

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lora_core::peft::{Average, EnsembleSettings, SIDE_FILE};
use lora_data::{LabelRule, Task, read_file};
use lora_eval::calibration::Binning;
use serde_json::json;

use crate::adapter::{AdapterArgs, ColumnArgs, OpenedAdapter, open_adapter, read_options};
use crate::comparison::verdicts;
use crate::config::DEFAULT_MEMBERS;
use crate::output::note_unfinished;
use crate::output_file::check_report;
use crate::pipeline::EncodedPart;
use crate::provenance::MadeBy;
use crate::scoring::{legend, member_sampler, run_passes, score, table};
use crate::terminal::{Terminal, counted};
use crate::train::report::score_page;

/// Arguments of `lora eval`.
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Labelled text (.csv, .tsv, .jsonl, .json, .parquet).
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    ensemble: EnsembleArgs,
    /// Write a report page; an earlier report there is replaced, nothing else.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// The ensemble, over what the adapter folder recommends.
#[derive(Args, Clone, Copy, Debug)]
pub struct EnsembleArgs {
    /// Passes of the ensemble, each with masks of its own; 0 for none [as in training].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = member_count)]
    pub members: Option<u64>,
    /// Seed of the members' masks [as in training].
    #[arg(long)]
    pub seed: Option<u64>,
    /// What the ensemble averages [as in training].
    #[arg(long, value_enum)]
    pub average: Option<AverageArg>,
}

/// What an ensemble averages over its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AverageArg {
    /// Class probabilities.
    Probabilities,
    /// Logits.
    Logits,
}

fn member_count(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "expected a whole number of passes, 0 for no ensemble".to_owned())
}

impl EnsembleArgs {
    /// The ensemble to run: flags over the folder's recommendation; none where nothing differs between members.
    ///
    /// # Errors
    ///
    /// If members are asked for and the adapter has no masks.
    pub fn settings(&self, opened: &OpenedAdapter) -> Result<Option<EnsembleSettings>> {
        let sampler = member_sampler(&opened.adapted, 0);
        let saved = opened.ensemble;
        let usual = saved.map_or(
            if sampler.dropout.is_some() {
                DEFAULT_MEMBERS
            } else {
                0
            },
            |saved| saved.members,
        );
        let members = self.members.unwrap_or(usual);
        if members == 0 {
            return Ok(None);
        }
        if sampler.dropout.is_none() && sampler.input_dropout == 0.0 && self.members.is_none() {
            bail!(
                "task.json asks for an ensemble of {members}, but the adapter has no masks: {SIDE_FILE} is missing beside it; put \
                 it back, or give --members 0 for the mean pass alone"
            );
        }
        if sampler.dropout.is_none() && sampler.input_dropout == 0.0 {
            bail!(
                "--members is {members}, but the adapter was trained without LoRA Dropout, so that all members would \
                 be the same; leave --members out, or train with mask_probability"
            );
        }
        Ok(Some(EnsembleSettings {
            members,
            seed: self.seed.or(saved.map(|saved| saved.seed)).unwrap_or(42),
            average: match self.average {
                Some(AverageArg::Probabilities) => Average::Probabilities,
                Some(AverageArg::Logits) => Average::Logits,
                None => saved.map_or(Average::default(), |saved| saved.average),
            },
        }))
    }
}

/// Scores an adapter.
///
/// # Errors
///
/// If an input is wrong or a report cannot be written.
pub fn run(args: &EvalArgs, terminal: &Terminal) -> Result<()> {
    args.report.as_deref().map(check_report).transpose()?;
    let opened = open_adapter(&args.adapter)?;
    note_unfinished(&args.adapter.adapter, terminal);
    let ensemble = args.ensemble.settings(&opened)?;
    let labels = match &opened.task {
        Task::Classification { labels } => LabelRule::Known(labels.clone()),
        Task::Regression => LabelRule::Numbers,
    };
    let options = read_options(opened.task_file.as_ref(), &args.columns, labels);
    let read = read_file(&args.data, &options)?;
    terminal.note(format!(
        "{}: {} rows, {}",
        args.data.display(),
        read.dataset.len(),
        read.columns
    ));
    let part = EncodedPart::new(&read.dataset, &opened.tokenizer, args.adapter.batch_size)?;
    let outputs = run_passes(&opened.adapted, &part, ensemble, "scoring", terminal);
    let saved = opened.task_file.as_ref();
    let temperatures = saved
        .map(|task| task.temperatures_for(ensemble))
        .unwrap_or_default();
    let methods = score(&outputs, &part.encoded.targets, temperatures)?;
    let name = args.data.display().to_string();
    let table = table(&name, &methods);
    terminal.table(&table)?;
    let verdicts = verdicts(&methods)?;
    for line in verdicts.iter().chain(&legend(&methods)) {
        terminal.paragraph(line)?;
    }
    let document = json!({
        "adapter": args.adapter.adapter,
        "base_model": opened.base_model,
        "data": args.data,
        "rows": part.encoded.len(),
        "truncated": part.encoded.truncated,
        "device": args.adapter.device.to_string(),
        "ensemble": ensemble,
        "binning": Binning::default().to_string(),
        "methods": methods,
        "made_by": MadeBy::this_call(),
    });
    if let Some(path) = &args.report {
        let mut page = score_page("Scores of an adapter", &[(name, &methods[..])], &document);
        page.subtitle = format!(
            "{}, {}",
            args.adapter.adapter.display(),
            counted(part.encoded.len(), "row")
        );
        page.summary = verdicts;
        lora_core::atomic::write_file(path, page.to_html().as_bytes())?;
        terminal.note(format!("report: {}", path.display()));
    }
    terminal.document(&document)
}
