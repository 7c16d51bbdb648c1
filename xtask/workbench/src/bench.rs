//! `cargo xtask bench`: criterion's benches, then the same work by this project, by Burn alone with its `apply_lora` and, if a
//! Python with them is given, by PyTorch + PEFT. One run, one machine: what counts is the ratio.

mod book;
mod measure;
mod peer;
mod plain_burn;
mod report;
mod worker;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bench_model::{SHAPES, decoder};
use clap::Args;
use lora_cli::terminal::Terminal;
use lora_pipeline::device::DeviceName;
use lora_pipeline::progress::Progress;

use report::{Measurement, Workload};
use worker::Worker;

/// Options of `cargo xtask bench`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct BenchOptions {
    /// A Python with torch, transformers and peft: the peer
    #[arg(long, value_name = "PATH")]
    peer_python: Option<PathBuf>,
    /// Turns of each piece of work that are measured; a turn lasts at least 0.5 s, and two repetitions
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(3..))]
    turns: u32,
    /// Only these shapes
    #[arg(long, value_name = "NAME")]
    shapes: Vec<String>,
    /// Only this work
    #[arg(long, value_name = "WORK")]
    work: Vec<Workload>,
    /// Threads of every tool; all cores if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Device of this project's works, such as vulkan or cuda:1, of a backend that this program was built with
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    device: DeviceName,
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
    /// Do the one shape and work named, a turn for each line of standard input
    #[arg(long, hide = true)]
    in_process: bool,
}

/// Measures, prints and writes.
///
/// # Errors
///
/// If a shape is unknown, or a tool cannot be run.
pub fn run(root: &Path, options: &BenchOptions) -> Result<()> {
    let mut names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    names.extend([decoder::NAME, RAGGED]);
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
        return measure::take_turns(options);
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

    let bench = Bench {
        root,
        options,
        threads,
    };
    let mut rows = Vec::new();
    let is_asked = |shape: &str| options.shapes.is_empty() || options.shapes.iter().any(|name| name == shape);
    for shape in SHAPES {
        if !is_asked(shape.name) {
            continue;
        }
        for compared in Workload::COMPARED {
            let mut works = compared.to_vec();
            works.retain(|work| bench.wants(*work));
            rows.extend(bench.shape(shape.name, &works)?);
        }
    }
    if is_asked(decoder::NAME) {
        for compared in Workload::DECODER {
            let mut works = compared.to_vec();
            works.retain(|work| bench.wants(*work));
            rows.extend(bench.shape(decoder::NAME, &works)?);
        }
    }
    if is_asked(RAGGED) {
        let mut works = Workload::RAGGED.to_vec();
        works.retain(|work| bench.wants(*work));
        rows.extend(bench.shape(RAGGED, &works)?);
    }
    if let Some(path) = options.text.as_ref().filter(|_| bench.wants(Workload::Epoch)) {
        rows.extend(bench.epoch(path)?);
    }
    ensure!(
        !rows.is_empty(),
        "--work {}: there is nothing to measure; an epoch is of a --text",
        options.work[0].argument()
    );
    let is_processor = options.device.to_string() == "flex";
    let results = report::BenchResults::new(rows, threads, options.turns, &options.device.to_string());
    let json = serde_json::to_string_pretty(&results)?;
    for (ending, content) in [("json", json.as_str()), ("md", &results.table().to_markdown())] {
        lora_core::atomic::write_file(
            &root.join(&options.output).with_extension(ending),
            content.as_bytes(),
        )?;
    }
    if options.book {
        ensure!(
            is_processor,
            "--book: the page has a table for each processor, and --device is {}",
            options.device
        );
        book::write(root, &results)?;
    }
    if options.json {
        println!("{json}");
    } else {
        println!("{}", results.table().to_text(None));
    }
    Ok(())
}

/// The embedded MiniLM on real text in rows of unequal length: the name of a shape, beside [`SHAPES`].
const RAGGED: &str = "ragged";

/// What all measurements share.
struct Bench<'a> {
    root: &'a Path,
    options: &'a BenchOptions,
    threads: usize,
}

impl Bench<'_> {
    /// Whether this work is asked for, as all is that is not named.
    fn wants(&self, work: Workload) -> bool {
        self.options.work.is_empty() || self.options.work.contains(&work)
    }

    /// Works of one shape that are compared with each other, and with the peer's, in turns.
    fn shape(&self, shape: &str, works: &[Workload]) -> Result<Vec<Measurement>> {
        let mut workers = Vec::new();
        for work in works {
            if !work.is_of_peer_alone() {
                let mut command = self.this_program()?;
                command.args(["--shapes", shape, "--work", &work.argument()]);
                workers.push(Worker::start(&mut command, work.tool(), shape, *work)?);
            }
            workers.extend(self.peer(shape, *work, shape.as_ref())?);
        }
        let turns = u64::from(self.options.turns) + 1;
        let bar = Terminal::new(false, false).start(turns * workers.len() as u64, shape, "turns");
        // The first turn of each does not count: thread pools and the allocator settle.
        for turn in 0..turns {
            for worker in &mut workers {
                bar.message(&worker.name());
                worker.turn(turn > 0)?;
                bar.add(1);
            }
        }
        bar.finish();
        workers.into_iter().map(Worker::finish).collect()
    }

    /// Training once on every row of a text: ours, then the peer's.
    fn epoch(&self, text: &Path) -> Result<Vec<Measurement>> {
        const SHAPE: &str = "minilm";
        let text_rows = self.options.text_rows;
        let lengths = tempfile::NamedTempFile::new().context("a file for the lengths of rows")?;
        serde_json::to_writer(&lengths, &measure::encoded(text, text_rows)?.lengths())
            .context("the lengths of rows")?;
        let bar = Terminal::new(false, false).start(2, "an epoch", "turns");
        let once = |mut worker: Worker| {
            bar.message(&worker.name());
            worker.turn(true)?;
            bar.add(1);
            worker.finish()
        };
        let mut command = self.this_program()?;
        command
            .arg("--text")
            .arg(text)
            .args(["--text-rows", &text_rows.to_string()]);
        let ours = Worker::start(&mut command, report::OURS, SHAPE, Workload::Epoch)?;
        let mut rows = vec![once(ours)?];
        // Not before ours is done: it would get ready on the same cores.
        if let Some(peer) = self.peer(SHAPE, Workload::Epoch, lengths.path().as_os_str())? {
            rows.push(once(peer)?);
        }
        bar.finish();
        Ok(rows)
    }

    /// The peer, if there is one and it does such work.
    fn peer(&self, shape: &str, work: Workload, of: &OsStr) -> Result<Option<Worker>> {
        let Some(python) = self
            .options
            .peer_python
            .as_ref()
            .filter(|_| peer::WORKS.contains(&work))
        else {
            return Ok(None);
        };
        let mut command = peer::command(self.root, python, self.threads, work, of);
        let worker = Worker::start(&mut command, report::PEER, shape, work);
        worker.context("--peer-python").map(Some)
    }

    /// This program again, as a worker.
    fn this_program(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
        command.args(["bench", "--in-process", "--threads", &self.threads.to_string()]);
        command.args(["--device", &self.options.device.to_string()]);
        Ok(command)
    }
}
