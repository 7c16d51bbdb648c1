//! `lora completions`: a script that makes a shell complete subcommands and flags.

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::terminal::Terminal;

/// Arguments of `lora completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script of a command line.
///
/// # Errors
///
/// If stdout cannot be written.
pub fn run(args: &CompletionsArgs, mut command: Command, terminal: &Terminal) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lora", &mut script);
    let script = String::from_utf8(script).context("the completion script is no text")?;
    terminal.raw(script.trim_end())
}
