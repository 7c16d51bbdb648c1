//! `lora eval`: how good, and how honest, is an adapter on labelled text?

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use lora_data::tasks::{self, Benchmark, ChoiceQuestion, Rows, TaskMetric, of_own_files};
use lora_data::{Dataset, LabelRule, Target, Task, read_file};
use lora_eval::calibration::Binning;
use lora_pipeline::calibration::{
    calibrator_section, calibrator_table, score_calibrators, score_sets, set_section, set_tables,
};
use lora_pipeline::counted::counted;
use lora_pipeline::data::benchmark::read_scored;
use lora_pipeline::data::encoded::{EncodedSplit, RowEncoder};
use lora_pipeline::data::indices_in_words;
use lora_pipeline::files::output_file::check_report;
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::inference::infer;
use lora_pipeline::saved::adapter::{OpenedAdapter, open_adapter, read_options};
use lora_pipeline::saved::task_file::TaskFile;
use lora_pipeline::saved::trained_on::{UseInTraining, note_trained_on};
use lora_pipeline::score::accuracy::as_sentence;
use lora_pipeline::score::adaptive::{Spared, score_adaptively};
use lora_pipeline::score::by_class::ByClass;
use lora_pipeline::score::comparison::verdicts;
use lora_pipeline::score::first_lines::first_lines;
use lora_pipeline::score::report::score_page;
use lora_pipeline::score::{ScoredMethod, legend, official, official_line, score_split, table};
use serde_json::{Value, json};

use crate::ensemble_args::EnsembleArgs;
use crate::set_args::SetArgs;
use crate::shared_args::{AdapterPlace, ColumnArgs, OpeningArgs, input_file, positive};
use crate::terminal::Terminal;

/// Arguments of `lora eval`.
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    adapter: AdapterPlace,
    #[command(flatten)]
    opening: OpeningArgs,
    /// File of rows with labels, like those of the training (.csv, .tsv, .jsonl, .json, .parquet, .conll).
    #[arg(long, value_name = "FILE", required_unless_present = "task_name")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    #[command(flatten)]
    ensemble: EnsembleArgs,
    #[command(flatten)]
    sets: SetArgs,
    /// Compare the calibrators that the training fitted: temperature, vector scaling, Dirichlet, isotonic.
    #[arg(long = "compare-calibrators", alias = "calibrators")]
    calibrators: bool,
    /// Write a report page.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Write over an earlier report that --report names; no other file is written over.
    #[arg(long, requires = "report")]
    overwrite: bool,
}

/// A benchmark in place of a file.
#[derive(Args, Clone, Debug)]
pub struct BenchmarkArgs {
    /// A benchmark by name, scored by its own metric; lora tasks lists them.
    #[arg(long, value_name = "NAME", requires = "data_dir", conflicts_with = "data")]
    task_name: Option<String>,
    /// Folder of the benchmark, or the file of the split.
    #[arg(long, value_name = "DIR", requires = "task_name")]
    data_dir: Option<PathBuf>,
    /// Which split is scored [test if it has labels, else validation].
    #[arg(long, value_name = "NAME", requires = "task_name")]
    split: Option<String>,
    /// Solved questions shown before each one of MMLU: 5 is usual.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "task_name")]
    shots: usize,
    /// Score only the first rows of a benchmark.
    #[arg(long, value_name = "N", requires = "task_name", value_parser = positive)]
    max_rows: Option<usize>,
}

/// Scores an adapter.
///
/// # Errors
///
/// If an input is wrong or a report cannot be written.
pub fn run(args: &EvalArgs, terminal: &Terminal) -> Result<()> {
    if let Some(path) = &args.report {
        check_report("--report", path, args.overwrite)?;
    }
    let asked = args.benchmark.task_name.as_deref().map(tasks::find).transpose()?;
    let opened = open_adapter(&args.opening.options(args.adapter.folder()), asked)?;
    note_unfinished(args.adapter.folder(), terminal);
    let ensemble = args.ensemble.choice().settings(&opened)?;
    let asked = asked.or(of_own_files(opened.task.problem_type()));
    let (name, rows) = read_rows(args, &opened, asked, terminal)?;
    let seen = |path: &PathBuf| note_trained_on(args.adapter.folder(), path, &rows, terminal);
    let use_in_training = args.data.as_ref().and_then(seen);
    let split = encode(args, &opened, asked, &rows)?;
    let outputs = infer(&opened.adapted, &split, ensemble, "scoring", terminal)?;
    let saved = opened.task_file.as_ref();
    let rules = saved.map(|task| task.rules_for(ensemble)).unwrap_or_default();
    let mut methods = score_split(&outputs, &split, rules)?;
    let adaptive = match args.ensemble.adaptive {
        Some(confidence) => score_adaptively(&outputs, &split, rules.temperature, confidence)?,
        None => Vec::new(),
    };
    let sets = match args.sets.request() {
        Some(request) => score_sets(&request, opened.calibrated(), &outputs, &split, rules.temperature)?,
        None => Vec::new(),
    };
    let calibrators = if args.calibrators {
        score_calibrators(opened.calibrated(), &outputs, &split, rules.temperature)?
    } else {
        Vec::new()
    };
    let saved = saved.filter(|_| ensemble.is_some());
    let recorded = saved.and_then(|task| task.inference);
    // Before adaptive ensembles join the methods, which lora predict uses only when asked.
    let by_class = ByClass::of(&name, &methods, recorded, &rows, None)?;
    let first_lines = first_lines(&name, &methods, recorded, by_class.as_ref());
    let spared: Vec<String> = adaptive.iter().map(Spared::in_words).collect();
    methods.extend(adaptive.into_iter().map(|spared| spared.method));
    terminal.first_lines(&first_lines)?;
    terminal.table(&table(&name, &methods))?;
    let set_tables = set_tables(&sets);
    let calibrator_table = calibrator_table(&calibrators);
    let mut more_tables = set_tables.iter().chain(&calibrator_table);
    more_tables.try_for_each(|table| terminal.table(table))?;
    let verdicts = verdicts(&methods)?;
    let in_use = saved.and_then(used_by_predict);
    let metric = asked.map(|benchmark| benchmark.metric);
    let metric_line = metric.and_then(|metric| official_line(metric, &name, &methods));
    let absent = by_class.as_ref().and_then(ByClass::absent);
    for line in absent
        .iter()
        .chain(&verdicts)
        .chain(&in_use)
        .chain(&spared)
        .chain(&legend(&methods))
        .chain(&metric_line)
    {
        terminal.paragraph(line)?;
    }
    let metric = metric.map(|metric| metric_document(metric, &methods));
    let document = json!({
        "adapter": args.adapter.folder(),
        "base_model": opened.base.name,
        "data": args.data,
        "task_name": args.benchmark.task_name,
        "part": name,
        "used_in_training_as": use_in_training.map(UseInTraining::key),
        "rows_in_training": use_in_training.and_then(UseInTraining::rows),
        "rows": split.len(),
        "truncated": split.encoded.truncated,
        "device": args.opening.device.device.to_string(),
        "dtype": args.opening.precision.dtype.to_string(),
        "fp32_precision": args.opening.precision.fp32_precision,
        "ensemble": ensemble,
        "inference": recorded,
        "binning": Binning::default().to_string(),
        "metric": metric,
        "methods": methods,
        "by_class": by_class,
        "prediction_sets": sets,
        "calibrators": calibrators,
        "made_by": MadeBy::this_call(),
    });
    if let Some(path) = &args.report {
        let splits = [(name, &methods[..])];
        let mut page = score_page("Scores of an adapter", &splits, by_class.as_ref(), &document);
        let folder = args.adapter.folder().display();
        page.subtitle = format!("{folder}, {}", counted(split.len(), "row"));
        let warning = use_in_training.map(|used| format!("These rows are {}.", used.in_words()));
        let in_use = in_use.map(|line| format!("{line}."));
        let summary = warning
            .into_iter()
            .chain(first_lines.iter().map(|line| as_sentence(line)))
            .chain(absent.iter().map(|line| as_sentence(line)))
            .chain(verdicts)
            .chain(in_use);
        page.summary = summary.chain(spared).chain(metric_line).collect();
        page.sections.extend(set_section(set_tables));
        page.sections.extend(calibrator_section(calibrator_table));
        lora_core::atomic::write_file(path, page.to_html().as_bytes())?;
        terminal.note(format!("report: {}", path.display()));
    }
    terminal.document(&document)
}

/// What predicts, and why.
fn used_by_predict(saved: &TaskFile) -> Option<String> {
    let why = saved.why_in_use()?;
    Some(format!("lora predict uses {why}"))
}

/// A benchmark's own metric of each way to predict.
fn metric_document(metric: TaskMetric, methods: &[ScoredMethod]) -> Value {
    let scores = methods
        .iter()
        .map(|method| json!({"method": method.method, "score": official(metric, method)}));
    json!({"name": metric.words(), "scores": scores.collect::<Vec<_>>()})
}

/// What is scored, in a few words, and its rows.
fn read_rows(
    args: &EvalArgs,
    opened: &OpenedAdapter,
    benchmark: Option<&'static Benchmark>,
    terminal: &Terminal,
) -> Result<(String, Rows)> {
    let Some(benchmark) = benchmark else {
        let columns = opened.task_file.as_ref().map(|file| &file.label_columns[..]);
        let labels = LabelRule::of(&opened.task, columns.unwrap_or_default());
        let path = args.data.as_deref().map(input_file);
        let path = path.context("--data is missing")?;
        let read = read_file(
            &path,
            &read_options(opened.task_file.as_ref(), &args.columns.options(), labels),
        )?;
        let shown = path.display().to_string();
        terminal.note(format!(
            "{shown}: {}, {}",
            counted(read.dataset.len(), "row"),
            read.columns
        ));
        if let Some(label) = &read.index_label {
            terminal.note(indices_in_words(label, &read.dataset.task));
        }
        return Ok((shown, Rows::Texts(read.dataset)));
    };
    args.columns.options().check_unused(benchmark)?;
    let given = &args.benchmark;
    if args.data.as_deref() == Some(Path::new("-")) {
        bail!(
            "rows for {} are read from a file, whose name tells its form, not from the standard input; give --data FILE",
            benchmark.problem_type().name()
        );
    }
    let at = given
        .data_dir
        .as_ref()
        .or(args.data.as_ref())
        .context("--data is missing")?;
    // In a file of one's own every split is the file.
    let split = given
        .split
        .as_deref()
        .or(given.task_name.is_none().then_some("test"));
    let scored = read_scored(benchmark, at, split, opened.task.labels())?;
    terminal.note(&scored.note);
    let rows = match given.max_rows.filter(|most| *most < scored.rows.len()) {
        Some(most) => {
            terminal.note(format!("only the first {most} rows are scored"));
            scored.rows.select(&(0..most).collect::<Vec<_>>())
        }
        None => scored.rows,
    };
    let rows = match rows {
        Rows::Texts(dataset) => Rows::Texts(with_labels_of(dataset, &opened.task, benchmark)?),
        rows => rows,
    };
    let name = match &given.task_name {
        Some(name) => format!("{name}, {}", scored.name),
        None => at.display().to_string(),
    };
    Ok((name, rows))
}

/// A benchmark's rows with the classes in the order of the model's outputs. Names that are numbers, as PEFT's folders have them, stand
/// for the benchmark's order.
fn with_labels_of(mut dataset: Dataset, model: &Task, benchmark: &Benchmark) -> Result<Dataset> {
    let (Some(of_rows), Some(of_model)) = (dataset.task.labels(), model.labels()) else {
        if dataset.task.labels().is_some() != model.labels().is_some() {
            bail!(
                "the adapter predicts {}, but {} does not",
                if model.labels().is_some() {
                    "classes"
                } else {
                    "numbers"
                },
                benchmark.name
            );
        }
        return Ok(dataset);
    };
    let are_numbers = of_model.names().iter().all(|name| name.parse::<usize>().is_ok());
    if of_rows == of_model || (are_numbers && of_rows.len() == of_model.len()) {
        dataset.task = model.clone();
        return Ok(dataset);
    }
    let class_of: Option<Vec<usize>> = of_rows
        .names()
        .iter()
        .map(|name| of_model.index_of(name))
        .collect();
    let Some(class_of) = class_of else {
        bail!(
            "the adapter's labels are {}, those of {} are {}; give an adapter that was trained on it, or name its outputs with --labels",
            of_model.names().join(", "),
            benchmark.name,
            of_rows.names().join(", ")
        );
    };
    for example in &mut dataset.examples {
        if let Some(Target::Class(class)) = &mut example.target {
            *class = class_of[*class];
        }
    }
    dataset.task = model.clone();
    Ok(dataset)
}

/// Rows as tokens, with the solved questions that are shown before each.
fn encode(
    args: &EvalArgs,
    opened: &OpenedAdapter,
    benchmark: Option<&'static Benchmark>,
    rows: &Rows,
) -> Result<EncodedSplit> {
    let shown = match benchmark {
        Some(benchmark) if args.benchmark.shots > 0 => shots(args, benchmark)?,
        _ => Vec::new(),
    };
    let encoder = RowEncoder {
        shots: (&shown, args.benchmark.shots),
        ..opened.encoder(args.opening.batch_size)
    };
    Ok(encoder.encode(rows)?)
}

/// Solved questions to show.
fn shots(args: &EvalArgs, benchmark: &'static Benchmark) -> Result<Vec<ChoiceQuestion>> {
    if benchmark.split("dev").is_ok_and(|split| split.name == "dev") {
        let folder = args
            .benchmark
            .data_dir
            .as_ref()
            .context("--data-dir is missing")?;
        return Ok(benchmark.read(folder, "dev")?.into_choices()?);
    }
    bail!(
        "--shots shows solved questions of a split `dev`, which {} does not have; leave --shots out",
        benchmark.name
    )
}
