//! `cargo xtask bench`: criterion's benches, then the same work by this project, by Burn alone with its `apply_lora` and, if a
//! Python with them is given, by PyTorch + PEFT. One run, one machine: what counts is the ratio.

mod book;
mod measure;
mod peer;
mod plain_burn;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bench_model::SHAPES;
use clap::{Args, ValueEnum};

use report::Work;

/// Options of `cargo xtask bench`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    work: Vec<Work>,
    /// Threads of every tool; all cores if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Train one epoch on this file of labelled text, too: real rows of unequal length, padded batch by batch
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Rows of `--text` that are used at most
    #[arg(long, value_name = "ROWS", default_value_t = 8192)]
    text_rows: usize,
    /// Leave out criterion's benches
    #[arg(long)]
    no_criterion: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Where the results go: NAME.json and NAME.md
    #[arg(long, value_name = "PATH", default_value = "target/bench/results")]
    output: PathBuf,
    /// Write table and chart into the book's page of benchmarks, too
    #[arg(long)]
    book: bool,
    /// Measure the one shape and work named in this process, and print its rows as JSON
    #[arg(long, hide = true)]
    in_process: bool,
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
    if options.in_process {
        // Burn's CPU backend takes its threads from rayon, which reads this once, before the first tensor.
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context("threads")?;
        println!("{}", serde_json::to_string(&measure::asked(options)?)?);
        return Ok(());
    }

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
    let peer = |task: &peer::Task| -> Result<Vec<report::Row>> {
        match &options.peer_python {
            Some(python) => peer::run(root, python, task, options.repetitions, threads),
            None => Ok(Vec::new()),
        }
    };
    for shape in SHAPES {
        if !options.shapes.is_empty() && !options.shapes.iter().any(|name| name == shape.name) {
            continue;
        }
        for work in Work::OF_SHAPES {
            if options.work.is_empty() || options.work.contains(&work) {
                rows.extend(in_own_process(options, threads, Some((shape.name, work)))?);
            }
        }
        rows.extend(peer(&peer::Task::Shape(shape.name))?);
    }
    if let Some(path) = &options.text {
        let lengths = measure::encoded(path, options.text_rows)?.lengths();
        rows.extend(in_own_process(options, threads, None)?);
        rows.extend(peer(&peer::Task::Epoch(&lengths))?);
    }
    let results = report::Results::new(rows, threads, options.repetitions);
    let json = serde_json::to_string_pretty(&results)?;
    for (ending, content) in [("json", json.as_str()), ("md", &results.table().to_markdown())] {
        lora_core::atomic::write_file(
            &root.join(&options.output).with_extension(ending),
            content.as_bytes(),
        )?;
    }
    if options.book {
        book::write(root, &results)?;
    }
    if options.json {
        println!("{json}");
    } else {
        println!("{}", results.table().to_text(None));
    }
    Ok(())
}

/// Measures one work of a shape, or the epoch, in a process of its own: its peak memory is then that of the work.
fn in_own_process(options: &Options, threads: usize, work: Option<(&str, Work)>) -> Result<Vec<report::Row>> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
    command
        .args(["bench", "--in-process", "--threads", &threads.to_string()])
        .args(["--repetitions", &options.repetitions.to_string()])
        .stderr(std::process::Stdio::inherit());
    match (work, &options.text) {
        (Some((shape, work)), _) => {
            let work = work.to_possible_value().context("a work with a name")?;
            eprintln!("measuring {shape}: {}", work.get_name());
            command.args(["--shapes", shape, "--work", work.get_name()])
        }
        (None, Some(path)) => {
            eprintln!("measuring an epoch of {}", path.display());
            let rows = options.text_rows.to_string();
            command.arg("--text").arg(path).args(["--text-rows", &rows])
        }
        (None, None) => bail!("nothing to measure"),
    };
    let output = command.output().context("cannot start this program again")?;
    ensure!(output.status.success(), "measuring ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("unexpected output of this program")
}
