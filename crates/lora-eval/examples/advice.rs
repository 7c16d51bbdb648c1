//! How good advice on temperatures and methods is, on made-up data: the table of the book's page on calibration methods.
//!
//! ```sh
//! cargo run --release -p lora-eval --example advice -- 1000
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its table")]

#[path = "../tests/advice/simulation.rs"]
mod simulation;

use simulation::{KINDS, summarize};

/// Rows that measure the truth.
const UNSEEN: usize = 1_000;
/// Members of an ensemble.
const MEMBERS: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trials = std::env::args()
        .nth(1)
        .map_or(Ok(200), |argument| argument.parse())?;
    println!(
        "| data | validation rows | worse by > 0.01 | without these rules | 0.05 to gain in | found | a test that knows | mean change | plain LoRA |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for kind in KINDS {
        let of = summarize(&kind, trials, UNSEEN, MEMBERS)?;
        println!(
            "| {} | 3 × {} | {:.1} % | {:.1} % | {} of {} | {:.0} % | {:.0} % | {:+.3} | {:.0} % |",
            kind.name,
            kind.validation,
            100.0 * of.harmed,
            100.0 * of.naive_harmed,
            of.worthwhile,
            of.trials,
            100.0 * of.found,
            100.0 * of.power,
            of.mean_change,
            100.0 * of.plain
        );
    }
    Ok(())
}
