#![doc = include_str!("../README.md")]
//!
//! | file | holds |
//! |---|---|
//! | `args` | the command line, from which help and shell completions are made |
//! | `shared_args`, `set_args`, `ensemble_args`, `config_flags` | arguments of several commands; a flag for every key of a training |
//! | `terminal` | the one place that prints: tables, progress, JSON; `time_left`: of a progress bar |
//! | `interrupt`, `module_paths` | Ctrl-C; paths in tables |
//! | `failure` | from an error to one sentence and an exit code |
//! | `train`, `eval`, `predict`, `compare`, `sweep`, `report`, `generate`, `inspect`, `bayesianize`, `merge`, `export`, `combine`, `push`, `tasks`, `demo`, `completions`, `serve` (with that feature) | the subcommands |

pub mod args;
pub mod bayesianize;
pub mod combine;
pub mod compare;
pub mod completions;
pub mod config_flags;
pub mod demo;
pub mod ensemble_args;
pub mod eval;
pub mod export;
pub mod failure;
pub mod generate;
pub mod inspect;
pub mod interrupt;
pub mod merge;
pub mod module_paths;
pub mod predict;
pub mod push;
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod set_args;
pub mod shared_args;
pub mod sweep;
pub mod tasks;
pub mod terminal;
mod time_left;
pub mod train;
mod unknown_flag;

use args::{Arguments, Command};
use clap::CommandFactory as _;
use terminal::Terminal;

/// Runs a subcommand.
///
/// # Errors
///
/// What went wrong, for [`failure::tell`].
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let terminal = Terminal::new(arguments.quiet, arguments.json);
    match &arguments.command {
        Command::Demo(args) => demo::run(args, &terminal),
        Command::Train(args) => train::run(args, &terminal),
        Command::Eval(args) => eval::run(args, &terminal),
        Command::Predict(args) => predict::run(args, &terminal),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args, &terminal),
        Command::Compare(args) => compare::run(args, &terminal),
        Command::Sweep(args) => sweep::run(args, &terminal),
        Command::Report(args) => report::run(args, &terminal),
        Command::Generate(args) => generate::run(args, &terminal),
        Command::Inspect(args) => inspect::run(args, &terminal),
        Command::Bayesianize(args) => bayesianize::run(args, &terminal),
        Command::Merge(args) => merge::run(args, &terminal),
        Command::Export(args) => export::run(args, &terminal),
        Command::Combine(args) => combine::run(args, &terminal),
        Command::Push(args) => push::run(args, &terminal),
        Command::Tasks(args) => tasks::run(args, &terminal),
        Command::Completions(args) => completions::run(args, Arguments::command(), &terminal),
    }
}
