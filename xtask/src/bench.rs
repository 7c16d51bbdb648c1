//! `cargo xtask bench`: criterion's benches, then the same work by this project, by Burn's own `apply_lora` and, if a
//! Python with them is given, by PyTorch + PEFT. One run, one machine: what counts is the ratio.

mod measure;
mod peer;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bench_model::SHAPES;
use clap::Args;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub struct Options {
    /// A Python with torch, transformers and peft: the peer
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// Measured repetitions of each piece of work
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(3..))]
    repetitions: u32,
    /// Only these shapes
    #[arg(long, value_name = "NAME")]
    shapes: Vec<String>,
    /// Only this work
    #[arg(long, value_name = "WORK")]
    work: Vec<report::Work>,
    /// Threads of every tool; all cores if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Leave out criterion's benches
    #[arg(long)]
    no_criterion: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Where the results go: NAME.json and NAME.md
    #[arg(long, value_name = "PATH", default_value = "target/bench/results")]
    output: PathBuf,
}

/// Measures, prints and writes.
///
/// # Errors
///
/// If a shape is unknown, or a tool cannot be run.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    for name in &options.shapes {
        ensure!(
            names.contains(&name.as_str()),
            "--shapes {name}: there are {}",
            names.join(", ")
        );
    }
    let threads = match options.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    // Burn's CPU backend takes its threads from rayon, which reads this once, before the first tensor.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .context("threads")?;

    if !options.no_criterion {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["bench", "--package", "benches"])
            .current_dir(root)
            .status()
            .context("cannot start cargo bench")?;
        ensure!(status.success(), "cargo bench ended with {status}");
    }

    let mut rows = Vec::new();
    for shape in SHAPES {
        if options.shapes.is_empty() || options.shapes.iter().any(|name| name == shape.name) {
            eprintln!("measuring {}", shape.name);
            rows.extend(measure::all(&shape, options.repetitions, &options.work)?);
        }
    }
    if let Some(python) = &options.peer_python {
        rows.extend(peer::run(
            root,
            python,
            &options.shapes,
            options.repetitions,
            threads,
        )?);
    }
    let results = report::Results::new(rows, threads, options.repetitions);
    let json = serde_json::to_string_pretty(&results)?;
    for (ending, content) in [("json", json.as_str()), ("md", &results.table().to_markdown())] {
        lora_core::atomic::write_file(
            &root.join(&options.output).with_extension(ending),
            content.as_bytes(),
        )?;
    }
    if options.json {
        println!("{json}");
    } else {
        println!("{}", results.table().to_text(None));
    }
    Ok(())
}
