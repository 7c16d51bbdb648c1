//! `cargo xtask interop`: builds the program and runs `xtask/interop.py` with it, in a Python that has PEFT.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Options of `cargo xtask interop`.
#[derive(Args)]
pub struct InteropOptions {
    /// A Python with torch, transformers and peft
    #[arg(long, value_name = "PATH")]
    python: PathBuf,
}

/// Trains here and there, and compares.
///
/// # Errors
///
/// If the program does not build, or a probability differs by more than the script allows.
pub fn run(root: &Path, options: &InteropOptions) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "lora-cli"])
        .current_dir(root)
        .status()
        .context("cannot start cargo build")?;
    ensure!(status.success(), "cargo build ended with {status}");
    let python = &options.python;
    let status = Command::new(python)
        .arg(root.join("xtask/interop.py"))
        .arg("--lora")
        .arg(crate::folder_of_programs()?.join("lora"))
        .status()
        .with_context(|| format!("--python {}: cannot start it", python.display()))?;
    ensure!(
        status.success(),
        "{}: interop.py ended with {status}",
        python.display()
    );
    Ok(())
}
