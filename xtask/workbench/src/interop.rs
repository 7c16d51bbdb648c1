//! `cargo xtask interop`: builds the program and runs `xtask/interop.py` and `xtask/formats.py` with it, in a Python that has PEFT.

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

/// Adapters there and back; files that are written for other programs.
const SCRIPTS: [&str; 2] = ["interop.py", "formats.py"];

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
    for script in SCRIPTS {
        run_script(root, &options.python, script)?;
    }
    Ok(())
}

fn run_script(root: &Path, python: &Path, script: &str) -> Result<()> {
    let status = Command::new(python)
        .arg(root.join("xtask").join(script))
        .arg("--lora")
        .arg(crate::folder_of_programs()?.join("lora"))
        .status()
        .with_context(|| format!("--python {}: cannot start it", python.display()))?;
    ensure!(
        status.success(),
        "{}: {script} ended with {status}",
        python.display()
    );
    Ok(())
}
