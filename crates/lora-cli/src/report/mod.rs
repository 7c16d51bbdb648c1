//! `lora report`: results of sweeps as a page.

pub mod against;
pub mod choice;
pub mod measure;
pub mod results;
pub mod tables;

use anyhow::Result;
use clap::Args;

use crate::terminal::Terminal;

/// Arguments of `lora report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {}

/// Reports.
///
/// # Errors
///
/// None.
pub fn run(_args: &ReportArgs, _terminal: &Terminal) -> Result<()> {
    Ok(())
}
