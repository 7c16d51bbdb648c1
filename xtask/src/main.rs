//! Project tasks: `cargo xtask check` is the gate that CI runs, `cargo xtask tidy` its rules of the house.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
mod check;
mod golden;
mod interop;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Tasks of the project"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass before a change lands: format, house rules, lints, docs, tests, the demo
    Check(check::Options),
    /// Times of kernels and training steps, side by side with Burn's own LoRA and PyTorch + PEFT
    Bench(bench::Options),
    /// Reference cases computed by Hugging Face Transformers and PEFT, compared number by number
    Golden(golden::Options),
    /// Adapters trained here load in PEFT and the other way round, with the same probabilities
    Interop(interop::Options),
    /// The rules of the house that no other tool knows: layers, file sizes and names, leftovers
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Check(options) => check::run(&repository_root(), &options),
        Task::Bench(options) => bench::run(&repository_root(), &options),
        Task::Golden(options) => golden::run(&options),
        Task::Interop(options) => interop::run(&repository_root(), &options),
        Task::Tidy => tidy::run(&repository_root()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace, wherever the command is typed.
fn repository_root() -> PathBuf {
    let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_folder.parent().unwrap_or(manifest_folder).to_owned()
}

#[cfg(test)]
mod tests {
    //! The command line as people type it.

    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_repository_root_has_the_workspace_manifest() {
        assert!(
            super::repository_root().join("xtask").is_dir()
                && super::repository_root().join("Cargo.toml").is_file()
        );
    }
}
