//! Files of rows.

use lora_data::tasks::find;
use lora_data::{
    CompletionColumns, Format, LabelRule, ReadOptions, decode_text, read_completions, read_file,
    read_snippets, read_str,
};

use crate::scratch::file_with;
use crate::told;

/// Commas.
pub fn csv(bytes: &[u8]) {
    text(bytes, Format::Csv);
}

/// Tabs, without and with quotes.
pub fn tsv(bytes: &[u8]) {
    text(bytes, Format::Tsv);
    text(bytes, Format::QuotedTsv);
}

/// A JSON object a line.
pub fn jsonl(bytes: &[u8]) {
    text(bytes, Format::Jsonl);
}

/// A JSON document.
pub fn json(bytes: &[u8]) {
    text(bytes, Format::Json);
}

/// In every way that labels can be read.
fn text(bytes: &[u8], format: Format) {
    let Some(content) = told(decode_text(bytes, "rows")) else {
        return;
    };
    let options = |labels: LabelRule, header: bool| ReadOptions {
        labels,
        header,
        keep_cells: true,
        skip_empty: true,
        ..ReadOptions::default()
    };
    let sets = LabelRule::Sets {
        known: None,
        columns: Vec::new(),
    };
    for options in [
        ReadOptions::default(),
        options(sets, true),
        options(LabelRule::Values, false),
    ] {
        if let Some(read) = told(read_str(&content, "rows", format, &options)) {
            told(read.dataset.targets());
        }
    }
}

/// Parquet.
pub fn parquet(bytes: &[u8]) {
    let path = file_with("parquet", "parquet", bytes);
    let options = ReadOptions {
        keep_cells: true,
        ..ReadOptions::default()
    };
    told(read_file(&path, &options));
    benchmark("squad", "parquet", bytes);
}

/// Prompts and completions, or messages.
pub fn completions(bytes: &[u8]) {
    let path = file_with("completions", "jsonl", bytes);
    told(read_completions(&path, None, true, &CompletionColumns::default()));
    benchmark("alpaca", "json", bytes);
}

/// SQuAD's JSON, and tables of questions.
pub fn squad(bytes: &[u8]) {
    benchmark("squad-v2", "json", bytes);
    benchmark("squad", "jsonl", bytes);
}

/// A word and its tag a line.
pub fn conll(bytes: &[u8]) {
    benchmark("conll2003", "txt", bytes);
    benchmark("words", "conll", bytes);
}

/// The files of the other benchmarks, each in its own form.
pub fn benchmarks(bytes: &[u8]) {
    for (name, ending) in [
        ("trec", "label"),
        ("clinc150", "json"),
        ("boolq", "jsonl"),
        ("arc-easy", "jsonl"),
        ("mmlu", "csv"),
        ("choices", "csv"),
        ("cola", "tsv"),
        ("mnli", "jsonl"),
        ("alpaca", "json"),
    ] {
        benchmark(name, ending, bytes);
    }
}

/// Rated texts, as the demo has them.
pub fn snippets(bytes: &[u8]) {
    if let Some(content) = told(decode_text(bytes, "rated.tsv")) {
        told(read_snippets(&content, "rated.tsv"));
    }
}

fn benchmark(name: &str, ending: &str, bytes: &[u8]) {
    let path = file_with("benchmark", ending, bytes);
    let benchmark = find(name).expect("a benchmark of the table");
    if let Some(read) = told(benchmark.read(&path, "train")) {
        let _ = (read.rows.task(Some(benchmark)), read.rows.strata());
    }
}
