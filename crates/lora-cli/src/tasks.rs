//! `lora tasks`: the benchmarks that are known by name.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_data::ProblemType;
use lora_data::tasks::{self, Benchmark, Split};
use lora_report::{Better, Cell, Column, Table};
use serde_json::{Value, json};

use crate::terminal::Terminal;

/// Arguments of `lora tasks`.
#[derive(Args, Clone, Debug)]
pub struct TasksArgs {
    /// Say all about one of them.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Lists all tasks, or describes one.
///
/// # Errors
///
/// If there is no task of the name.
pub fn run(args: &TasksArgs, terminal: &Terminal) -> Result<()> {
    if let Some(name) = &args.name {
        let benchmark = tasks::find(name)?;
        terminal.say(description(benchmark))?;
        return terminal.document(&document(benchmark));
    }
    let columns = ["kind", "metric", "training rows", "validation", "test"]
        .map(|name| Column::new(name, Better::None, 0));
    let mut table = Table::new("Tasks by name", "name", columns.to_vec());
    for benchmark in tasks::ALL.iter().copied() {
        let rows = ["train", "validation", "test"].map(|split| rows_of(benchmark, split));
        let words = [kind_word(benchmark.problem_type()), benchmark.metric.words()].map(str::to_owned);
        table.push(
            benchmark.name,
            words.into_iter().chain(rows).map(Cell::text).collect(),
        );
    }
    terminal.table(&table)?;
    terminal.paragraph(
        "Nothing is downloaded: --data-dir names the folder that holds the set. lora tasks NAME says what the folder looks like, where \
         the set is on the hub, and which other splits it has.",
    )?;
    let all: Vec<Value> = tasks::ALL.iter().copied().map(document).collect();
    terminal.document(&all)
}

fn kind_word(problem: ProblemType) -> &'static str {
    match problem {
        problem if problem.is_of_texts() => "texts",
        ProblemType::QuestionAnswering => "question answering",
        ProblemType::TokenClassification => "tagged words",
        ProblemType::MultipleChoice => "multiple choice",
        _ => "instructions",
    }
}

fn split_in_words(split: &Split) -> String {
    match split.rows {
        Some(rows) => format!("{} {rows}", split.name),
        None => split.name.to_owned(),
    }
}

/// How many rows the first split has that is named so; a dash without such a split.
fn rows_of(benchmark: &Benchmark, name: &str) -> String {
    let mut splits = benchmark.splits.iter();
    match splits.find(|split| split.name.starts_with(name)) {
        Some(split) => split.rows.map_or("any".to_owned(), |rows| rows.to_string()),
        None => "–".to_owned(),
    }
}

fn source(benchmark: &Benchmark) -> String {
    match benchmark.hub {
        Some((id, config)) => format!("{id} ({config})"),
        None => "your files".to_owned(),
    }
}

/// The files that a split is looked for in, the first that are there.
fn files(benchmark: &Benchmark, split: &Split) -> Vec<String> {
    if benchmark.name == "mmlu" {
        let short = if split.name == "validation" {
            "val"
        } else {
            split.name
        };
        return vec![
            format!("{short}/anatomy_{short}.csv and so on"),
            format!("{}-00000-of-00001.parquet", split.name),
        ];
    }
    let distributed = split.files.iter().map(|files| files.join(" with "));
    let plain = format!("{}.tsv, .csv, .jsonl, .json or .parquet", split.name);
    let shards = format!("{}-00000-of-00001.parquet", split.name);
    distributed.chain([plain, shards]).collect()
}

fn description(benchmark: &Benchmark) -> String {
    let mut lines = vec![
        format!("{}: {}", benchmark.name, benchmark.title),
        format!(
            "  kind     {} ({})",
            kind_word(benchmark.problem_type()),
            benchmark.problem_type().name()
        ),
        format!("  metric   {}", benchmark.metric.words()),
        format!("  source   {}", source(benchmark)),
        format!("  licence  {}", benchmark.license),
        format!("  columns  {}", benchmark.columns()),
        "  splits, each in the first of these files that is there:".to_owned(),
    ];
    for split in benchmark.splits {
        lines.push(format!("    {}", split_in_words(split)));
        lines.extend(files(benchmark, split).iter().map(|file| format!("      {file}")));
    }
    let below: Vec<String> = benchmark
        .folders
        .iter()
        .copied()
        .chain(benchmark.hub.map(|(_, config)| config))
        .map(|folder| PathBuf::from("DIR").join(folder).display().to_string())
        .collect();
    if !below.is_empty() {
        lines.push(format!(
            "  looked for in DIR (--data-dir), then in {}",
            below.join(", ")
        ));
    }
    lines.join("\n")
}

fn document(benchmark: &Benchmark) -> Value {
    let splits = benchmark
        .splits
        .iter()
        .map(|split| json!({"name": split.name, "rows": split.rows, "files": files(benchmark, split)}));
    json!({
        "name": benchmark.name,
        "title": benchmark.title,
        "kind": kind_word(benchmark.problem_type()),
        "problem_type": benchmark.problem_type().name(),
        "metric": benchmark.metric.words(),
        "columns": benchmark.columns(),
        "hub": benchmark.hub.map(|(id, config)| json!({"id": id, "config": config})),
        "license": benchmark.license,
        "folders": benchmark.folders,
        "splits": splits.collect::<Vec<_>>(),
    })
}
