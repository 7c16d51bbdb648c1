//! `lora compare`: three methods on the user's own file.

use anyhow::Result;
use clap::Args;

use crate::terminal::Terminal;

/// Arguments of `lora compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {}

/// Compares.
///
/// # Errors
///
/// None.
pub fn run(_args: &CompareArgs, _terminal: &Terminal) -> Result<()> {
    Ok(())
}
