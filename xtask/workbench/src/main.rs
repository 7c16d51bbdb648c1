//! The tasks of the project that run models. `cargo xtask bench`, `golden` and `interop` build this program in release and start it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod bench;
mod golden;
mod interop;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Tasks of the project that run models"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Times of kernels and training steps, side by side with Burn's own LoRA and PyTorch + PEFT
    Bench(bench::BenchOptions),
    /// Reference cases computed by Hugging Face Transformers and PEFT, compared number by number
    Golden(golden::GoldenOptions),
    /// Adapters trained here load in PEFT and the other way round, with the same probabilities
    Interop(interop::InteropOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Bench(options) => bench::run(repository_root(), &options),
        Task::Golden(options) => golden::run(&options),
        Task::Interop(options) => interop::run(repository_root(), &options),
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
fn repository_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Where this program lies, and so what else was built beside it, whatever `CARGO_TARGET_DIR` says.
fn folder_of_programs() -> anyhow::Result<PathBuf> {
    use anyhow::Context as _;
    let program = std::env::current_exe().context("the path of this program")?;
    let folder = program.parent().context("the folder of this program")?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    //! The command line as people type it.

    use clap::CommandFactory as _;

    use super::{Arguments, repository_root};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_repository_root_has_the_workspace_manifest() {
        assert!(repository_root().join("xtask/workbench").is_dir());
        assert!(repository_root().join("Cargo.toml").is_file());
    }
}
