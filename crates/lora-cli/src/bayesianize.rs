//! `lora bayesianize`: from any LoRA adapter to a calibrated ensemble, without training.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lora_eval::laplace::Structure;
use lora_eval::tfb::TfbSettings;
use lora_pipeline::bayesianize::{GaussianSource, bayesianize, members_of, read_rows};
use lora_pipeline::counted::counted;
use lora_pipeline::files::folder_swap::check_free;
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::saved::adapter::open_adapter;
use lora_pipeline::saved::trained_on::{UseInTraining, use_in_training};
use lora_pipeline::score::comparison::verdicts;
use lora_pipeline::score::{legend, table};
use serde_json::json;

use crate::shared_args::{AdapterPlace, ColumnArgs, OpeningArgs, input_file, positive};
use crate::terminal::Terminal;

/// Arguments of `lora bayesianize`.
#[derive(Args, Clone, Debug)]
pub struct BayesianizeArgs {
    #[command(flatten)]
    adapter: AdapterPlace,
    #[command(flatten)]
    opening: OpeningArgs,
    /// File of rows with labels that were not trained on: they say how much noise the adapter bears, and calibrate the ensemble.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Where results go: a new folder for the adapter with its Gaussian; PEFT loads the same adapter from it.
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// By which method the Gaussian is found.
    #[arg(long, value_enum, default_value = "tfb")]
    method: MethodArg,
    #[arg(long, value_name = "SHARE", help = tolerance_help())]
    tolerance: Option<f64>,
    /// Rows to train on, for laplace: those of the training, whose curvature is computed.
    #[arg(long, value_name = "FILE", required_if_eq("method", "laplace"))]
    train_file: Option<PathBuf>,
    /// For laplace: which entries of the curvature are computed [kronecker].
    #[arg(long, value_enum)]
    structure: Option<StructureArg>,
    /// Passes of the ensemble [as in training, else 8].
    #[arg(long, value_name = "N", value_parser = positive)]
    members: Option<usize>,
    /// Seed of the members.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

fn tolerance_help() -> String {
    format!(
        "For tfb: share by which the loss on --data may rise [{}]",
        TfbSettings::default().tolerance
    )
}

/// How a Gaussian is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    /// The largest noise at which the loss on --data rises by no more than --tolerance.
    Tfb,
    /// The curvature of the loss on --train-file; --data chooses the prior.
    Laplace,
}

/// Entries of a curvature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StructureArg {
    /// Its diagonal.
    Diagonal,
    /// Kronecker factors of each weight.
    Kronecker,
}

/// Puts a Gaussian over an adapter.
///
/// # Errors
///
/// If an input is wrong or the folder cannot be written.
pub fn run(args: &BayesianizeArgs, terminal: &Terminal) -> Result<()> {
    check_free(&args.output)?;
    args.check_method()?;
    let defaults = TfbSettings::default();
    let tfb = TfbSettings {
        tolerance: args.tolerance.unwrap_or(defaults.tolerance),
        ..defaults
    };
    tfb.check()
        .map_err(|error| anyhow::anyhow!("--tolerance: {error}"))?;
    let opened = open_adapter(&args.opening.options(args.adapter.folder()), None)?;
    note_unfinished(args.adapter.folder(), terminal);
    let columns = args.columns.options();
    let read = |path| read_rows(&opened, path, &columns, args.opening.batch_size, terminal);
    let data = input_file(&args.data);
    let rows = read(&data)?;
    // The validation rows of the training are what it is for.
    if use_in_training(args.adapter.folder(), &args.data) == Some(UseInTraining::Training) {
        terminal.note(format!(
            "note: the adapter was trained on the rows of `{}`, on which it looks better than on new texts, and the ensemble is fitted to that; \
             give rows that were not trained on",
            args.data.display()
        ));
    }
    let method = match args.method {
        MethodArg::Tfb => GaussianSource::Tfb(tfb),
        MethodArg::Laplace => GaussianSource::Laplace {
            train: Box::new(read(
                args.train_file.as_ref().context("--train-file is missing")?,
            )?),
            structure: match args.structure {
                Some(StructureArg::Diagonal) => Structure::Diagonal,
                Some(StructureArg::Kronecker) | None => Structure::Kronecker,
            },
        },
    };
    let members = args.members.map_or(members_of(&opened), |members| members as u64);
    let (bayesianized, outcome) = bayesianize(opened, &rows, &method, (members, args.seed), terminal)?;
    bayesianized.save(
        &args.output,
        &[("validation".to_owned(), outcome.methods.clone())],
    )?;
    let name = format!("{}, {}", args.data.display(), counted(rows.len(), "row"));
    terminal.table(&table(&name, &outcome.methods))?;
    terminal.paragraph(&format!("{}.", outcome.found))?;
    verdicts(&outcome.methods)?
        .iter()
        .try_for_each(|verdict| terminal.paragraph(verdict))?;
    terminal.paragraph(&format!(
        "These rows chose it and are its validation rows. {}. Measure it on others: lora eval --adapter {} --data FILE.",
        outcome.in_use,
        args.output.display()
    ))?;
    legend(&outcome.methods)
        .iter()
        .try_for_each(|line| terminal.paragraph(line))?;
    terminal.say(format!(
        "written: {} (adapter, its Gaussian, a model card)",
        args.output.display()
    ))?;
    terminal.document(&json!({
        "adapter": args.adapter.folder(),
        "data": args.data,
        "output": args.output,
        "rows": rows.len(),
        "outcome": outcome,
        "made_by": MadeBy::this_call(),
    }))
}

impl BayesianizeArgs {
    /// Refuses settings of the method that was not asked for, which would change nothing.
    fn check_method(&self) -> Result<()> {
        let (others, owner) = match self.method {
            MethodArg::Tfb => (
                [
                    ("--train-file", self.train_file.is_some()),
                    ("--structure", self.structure.is_some()),
                ]
                .to_vec(),
                "laplace",
            ),
            MethodArg::Laplace => ([("--tolerance", self.tolerance.is_some())].to_vec(), "tfb"),
        };
        match others.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                bail!("{flag} is a setting of --method {owner}; choose that method, or leave {flag} out")
            }
            None => Ok(()),
        }
    }
}
