//! The `lora` program as a library, so that tests and other programs can use its parts.
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line, from which help and shell completions are made |
//! | `config` | [`config::RunConfig`]: the settings of a training, from file and flags |
//! | `device` | `--device` |
//! | `terminal` | the one place that prints: tables, progress, JSON |
//! | `interrupt`, `module_paths` | Ctrl-C; paths in tables |
//! | `failure` | from an error to one sentence and an exit code |
//! | `benchmark` | a benchmark by name and folder: splits, labels, metric |
//! | `kind`, `encoded_part` | kinds of task; their rows as tokens, and the way back from outputs |
//! | `pipeline`, `adapter`, `adapter_kind` | checkpoint, tokenizer, data and adapter folder, opened and checked |
//! | `parameters`, `memory` | PEFT's line of parameter counts; how much memory the program took |
//! | `output`, `output_file`, `provenance` | the output folder, or the one file; what made a result |
//! | `task` | `task.json`: what an adapter folder must know to be used again |
//! | `scoring` | passes over a data set, and the rows of the score table |
//! | `adaptive` | ensembles that stop early |
//! | `reliability_bars` | bins of a reliability table as bars of its diagram |
//! | `comparison` | ensemble against mean pass, with a verdict |
//! | `folder_swap` | a folder that appears whole or not at all |
//! | `language_model` | a causal language model with all that generation needs |
//! | `sweep`, `report`, `compare` | a grid of trainings and predictions, its page, and a preset of both |
//! | `train`, `eval`, `predict`, `generate`, `inspect`, `merge`, `export`, `combine`, `tasks`, `demo`, `completions` | the subcommands |

pub mod adapter;
mod adapter_kind;
pub mod adaptive;
pub mod args;
pub mod asking;
pub mod benchmark;
pub mod combine;
pub mod compare;
pub mod comparison;
pub mod completions;
pub mod config;
pub mod demo;
pub mod device;
pub mod encoded_part;
pub mod eval;
pub mod export;
pub mod failure;
pub mod folder_swap;
pub mod generate;
pub mod inspect;
pub mod interrupt;
pub mod kind;
pub mod language_model;
pub mod memory;
pub mod merge;
pub mod model_folder;
pub mod module_paths;
pub mod opening;
pub mod output;
pub mod output_file;
pub mod parameters;
pub mod pipeline;
pub mod predict;
pub mod provenance;
mod reliability_bars;
pub mod report;
pub mod saved;
pub mod scoring;
pub mod side_by_side;
pub mod sweep;
pub mod task;
pub mod tasks;
pub mod terminal;
pub mod train;

use args::{Arguments, Command};
use terminal::Terminal;

/// Runs a subcommand.
///
/// # Errors
///
/// What went wrong, for [`failure::sentence`] and [`failure::exit_code`].
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let terminal = Terminal::new(arguments.quiet, arguments.json);
    match &arguments.command {
        Command::Demo(args) => demo::run(args, &terminal),
        Command::Train(args) => train::run(args, &terminal),
        Command::Eval(args) => eval::run(args, &terminal),
        Command::Predict(args) => predict::run(args, &terminal),
        Command::Compare(args) => compare::run(args, &terminal),
        Command::Sweep(args) => sweep::run(args, &terminal),
        Command::Report(args) => report::run(args, &terminal),
        Command::Generate(args) => generate::run(args, &terminal),
        Command::Inspect(args) => inspect::run(args, &terminal),
        Command::Merge(args) => merge::run(args, &terminal),
        Command::Export(args) => export::run(args, &terminal),
        Command::Combine(args) => combine::run(args, &terminal),
        Command::Tasks(args) => tasks::run(args, &terminal),
        Command::Completions(args) => completions::run(args, &terminal),
    }
}

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
