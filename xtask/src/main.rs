//! Project tasks: `cargo xtask check` is the gate that CI runs, `cargo xtask tidy` its rules of the house. What runs models
//! (`bench`, `golden`, `interop`) is a program of its own, which is built when it is called.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod book;
mod check;
mod tidy;
mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

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
    /// Everything that must pass before a change lands: format, house rules, lints, docs, tests
    Check(check::CheckOptions),
    /// The rules of the house that no other tool knows: layers, file sizes and names, leftovers
    Tidy,
    /// The program as a Python wheel, installed and tried in a fresh virtual environment
    Wheel(wheel::Options),
    /// Times of kernels and training steps, side by side with Burn's own LoRA and PyTorch + PEFT
    #[command(disable_help_flag = true)]
    Bench(Passed),
    /// Reference cases computed by Hugging Face Transformers and PEFT, compared number by number
    #[command(disable_help_flag = true)]
    Golden(Passed),
    /// Adapters trained here load in PEFT and the other way round, with the same probabilities
    #[command(disable_help_flag = true)]
    Interop(Passed),
    /// Commands killed at random moments and repeated, and compared with those that nobody killed
    Torture(Torture),
    /// Every reader of foreign bytes on inputs made of reference cases: no panic, no hang, no memory beyond reason
    Fuzz(Fuzz),
}

/// How long.
#[derive(Args)]
struct Torture {
    /// Kills, of all commands together; each number gives other moments
    #[arg(long, default_value_t = 500)]
    kills: usize,
}

/// How many inputs.
#[derive(Args)]
struct Fuzz {
    /// One reader, such as `csv`, or all whose names have this in them; all by default
    reader: Option<String>,
    /// Inputs of each reader
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// Number of the first: each number gives another input, always the same
    #[arg(long, default_value_t = 0)]
    first: u64,
}

/// Arguments that are handed on as they are.
#[derive(Args)]
struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Check(options) => check::run(&repository_root(), &options),
        Task::Tidy => tidy::run(&repository_root()),
        Task::Wheel(options) => wheel::run(&repository_root(), &options),
        Task::Bench(passed) => run_workbench("bench", &passed),
        Task::Golden(passed) => run_workbench("golden", &passed),
        Task::Interop(passed) => run_workbench("interop", &passed),
        Task::Torture(options) => torture(&options),
        Task::Fuzz(options) => fuzz(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The test of the gate, with more kills.
fn torture(options: &Torture) -> Result<()> {
    test(
        "program",
        "torture::",
        &[("LORA_TORTURE_KILLS", options.kills.to_string())],
    )
}

/// The test of the gate, with more inputs, each of which takes the processor for a second at most.
fn fuzz(options: &Fuzz) -> Result<()> {
    let Fuzz {
        reader,
        inputs,
        first,
    } = options;
    test(
        "inputs",
        reader.as_deref().unwrap_or_default(),
        &[
            ("LORA_FUZZ_INPUTS", inputs.to_string()),
            ("LORA_FUZZ_FIRST", first.to_string()),
            ("LORA_FUZZ_SLOWEST", "1".to_owned()),
        ],
    )
}

/// Some tests of a file, which read variables of the environment, with all that they print.
fn test(file: &str, filter: &str, variables: &[(&str, String)]) -> Result<()> {
    let status = cargo()
        .args(["test", "--workspace", "--test", file, "--", filter, "--nocapture"])
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .current_dir(repository_root())
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("see above");
    }
    Ok(())
}

/// Builds the program that runs models, and does one of its tasks.
fn run_workbench(task: &str, passed: &Passed) -> Result<()> {
    let status = cargo()
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "workbench",
            "--",
            task,
        ])
        .args(&passed.arguments)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("{task} ended with {status}");
    }
    Ok(())
}

/// The cargo that runs this program, without what it says of this package: the build script of `ring` asks for these variables, so it
/// and all that uses it would be compiled anew whenever a build by hand follows one from here.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
        if is_of_this_package {
            command.env_remove(name);
        }
    }
    command
}

/// The folder of the workspace, wherever the command is typed.
fn repository_root() -> PathBuf {
    let manifest_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_folder.parent().unwrap_or(manifest_folder).to_owned()
}

#[cfg(test)]
mod tests {
    //! The command line as people type it.

    use clap::{CommandFactory as _, Parser as _};

    use super::{Arguments, Task, repository_root};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_of_tasks_that_run_models_are_handed_on_with_their_hyphens() {
        let typed = ["cargo xtask", "golden", "--dir", "cases", "--json", "--help"];
        let Task::Golden(passed) = Arguments::parse_from(typed).task else {
            panic!("`golden` is another task");
        };
        assert_eq!(passed.arguments, ["--dir", "cases", "--json", "--help"]);
    }

    #[test]
    fn the_repository_root_has_the_workspace_manifest() {
        assert!(repository_root().join("xtask").is_dir());
        assert!(repository_root().join("Cargo.toml").is_file());
    }
}
