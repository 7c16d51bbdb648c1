//! `lora predict`: labels for texts, answers to questions, tags for words, with how sure the model is.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lora_data::{ColumnSelector, decode_text, tasks};
use lora_pipeline::calibration::CalibratorName;
use lora_pipeline::counted::counted;
use lora_pipeline::files::output_file::check_output;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::predict::{FileForm, PredictRequest, predict};
use lora_pipeline::saved::adapter::open_adapter;
use lora_pipeline::saved::did_you_mean;
use lora_pipeline::saved::task_file::{InferenceKind, TaskFile};
use serde_json::json;

use crate::ensemble_args::EnsembleArgs;
use crate::set_args::SetArgs;
use crate::shared_args::{ColumnArgs, OpeningArgs, input_file, is_of_rows};
use crate::terminal::Terminal;

/// Arguments of `lora predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    /// Adapter folder, written by `lora train` or by PEFT, or a whole model [the first word].
    #[arg(long, value_name = "DIR", required_unless_present_any = ["words", "as_texts"])]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    opening: OpeningArgs,
    /// The adapter folder, unless --adapter names it; then texts, sentences, or questions about --context; or - for one a line from the
    /// standard input.
    #[arg(value_name = "DIR TEXT")]
    words: Vec<String>,
    /// Texts that look like a flag or a file: -- "-5 stars" prices.csv.
    #[arg(value_name = "TEXT", last = true)]
    as_texts: Vec<String>,
    /// File of rows: texts, questions or sentences, in the form of the training (.csv, .tsv, .jsonl, .json, .parquet, .conll), or - for the
    /// standard input, with --data-format; labels in it are not read.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// The text that questions are about, for an adapter that answers them.
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    context: Option<String>,
    /// A benchmark, whose form --data has, for a model that does not say what it is for; lora tasks lists them.
    #[arg(long, value_name = "NAME")]
    task_name: Option<String>,
    #[command(flatten)]
    ensemble: EnsembleArgs,
    /// Predict by the mean pass or by the ensemble [the one that was better on the validation rows of the training, else the ensemble].
    #[arg(long, value_enum)]
    inference: Option<InferenceArg>,
    #[command(flatten)]
    sets: SetArgs,
    /// Calibrate class probabilities in the place of the temperature, as fitted by the training; lora eval --compare-calibrators compares them.
    #[arg(long, value_enum, conflicts_with_all = ["coverage", "adaptive"])]
    calibrator: Option<CalibratorArg>,
    /// Where results go: a file in place of the standard output: .jsonl for all kinds; .csv for texts, with the columns of
    /// --data; .json for answers in a context, in the form of the official SQuAD script.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Refuse rows without a text, rather than answer them with null.
    #[arg(long)]
    strict: bool,
    /// Write over a file that --output names.
    #[arg(long, requires = "output")]
    overwrite: bool,
}

/// With one pass or with many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InferenceArg {
    /// One pass with the expected update.
    Mean,
    /// One pass for each member.
    Ensemble,
}

impl InferenceArg {
    /// In the form of the library.
    pub fn kind(self) -> InferenceKind {
        match self {
            Self::Mean => InferenceKind::Mean,
            Self::Ensemble => InferenceKind::Ensemble,
        }
    }
}

/// A calibrator of the adapter folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CalibratorArg {
    /// A factor and a summand a class.
    Vector,
    /// A matrix and a summand a class.
    Dirichlet,
    /// A step function a class.
    Isotonic,
}

impl CalibratorArg {
    fn name(self) -> CalibratorName {
        match self {
            Self::Vector => CalibratorName::Vector,
            Self::Dirichlet => CalibratorName::Dirichlet,
            Self::Isotonic => CalibratorName::Isotonic,
        }
    }
}

/// Labels texts, answers questions, tags words.
///
/// # Errors
///
/// If an input is wrong or the output cannot be written.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> Result<()> {
    args.output.as_deref().map(FileForm::of_path).transpose()?;
    if let Some(output) = &args.output {
        check_output("--output", output, args.data.as_deref(), args.overwrite)?;
    }
    if args.columns.label_column.is_some() {
        bail!(
            "lora predict reads no labels, so --label-column means nothing to it; leave it out, or score an adapter with lora eval"
        );
    }
    let (adapter, texts) = args.adapter_and_texts()?;
    let is_alone = texts.is_empty() && args.data.is_none() && args.task_name.is_none();
    if args.adapter.is_none() && is_alone && !adapter.exists() {
        let shown = adapter.display();
        bail!(
            "the first word is the adapter folder, and there is no folder `{shown}`; if that is the text, give the folder before it: lora \
             predict DIR \"{shown}\"{}",
            did_you_mean(&adapter)
        );
    }
    let benchmark = args.task_name.as_deref().map(tasks::find).transpose()?;
    let opened = open_adapter(&args.opening.options(&adapter), benchmark)?;
    note_unfinished(&adapter, terminal);
    let request = PredictRequest {
        texts: given_texts(&texts)?,
        data: args.data.as_deref().map(input_file),
        columns: args.columns.options(),
        context: args.context.clone(),
        benchmark,
        ensemble: args.ensemble.choice(),
        inference: args.inference.map(InferenceArg::kind),
        adaptive: args.ensemble.adaptive,
        sets: args.sets.request(),
        calibrator: args.calibrator.map(CalibratorArg::name),
        output: args.output.clone(),
        batch_size: args.opening.batch_size,
        strict: args.strict,
    };
    if texts == ["-"] {
        note_header(&request.texts, opened.task_file.as_ref(), terminal);
    }
    let predicted = predict(&opened, &request, terminal)?;
    let notes = predicted.notes;
    match &args.output {
        Some(path) => {
            let content = predicted.file.unwrap_or_else(|| predicted.json.join("\n") + "\n");
            lora_core::atomic::write_file(path, content.as_bytes())?;
            let count = predicted.json.len();
            terminal.note(format!("{}: {}", counted(count, "prediction"), path.display()));
            terminal.document(&json!({ "output": path, "predictions": count }))?;
        }
        None if terminal.json() => predicted.json.iter().try_for_each(|line| terminal.raw(line))?,
        None => predicted.words.iter().try_for_each(|line| terminal.say(line))?,
    }
    for note in notes {
        terminal.note(note);
    }
    Ok(())
}

impl PredictArgs {
    /// The folder, by its flag or as the first word, and the words after it.
    fn adapter_and_texts(&self) -> Result<(PathBuf, Vec<String>)> {
        let mut texts = self.words.clone();
        let mut as_texts = self.as_texts.clone();
        let adapter = match &self.adapter {
            Some(adapter) => adapter.clone(),
            // The parser wants a word where there is no flag.
            None if texts.is_empty() => as_texts.remove(0).into(),
            None => texts.remove(0).into(),
        };
        for word in &texts {
            check_no_file(word)?;
        }
        texts.append(&mut as_texts);
        match (&self.data, texts.first()) {
            (Some(_), Some(text)) => {
                bail!("`{text}` is a text, and --data is a file of texts; give one of the two")
            }
            _ => Ok((adapter, texts)),
        }
    }
}

/// Refuses a file of rows in the place of a text, and a word that is the name of one.
fn check_no_file(word: &str) -> Result<()> {
    let is_there = Path::new(word).is_file() && is_of_rows(word)?;
    let is_name = !word.contains(char::is_whitespace) && matches!(is_of_rows(word), Ok(true));
    let what = match (is_there, is_name) {
        (true, _) => "is a file",
        (_, true) => "is no text but the name of a file, which is not there",
        _ => return Ok(()),
    };
    bail!("`{word}` {what}; for its rows: --data {word}; to label these words, put -- before them: -- {word}")
}

/// Tells where the first line of the standard input is no text, as it seems, but the header of a table.
fn note_header(lines: &[String], saved: Option<&TaskFile>, terminal: &Terminal) {
    let Some(line) = lines.first() else { return };
    let field = line
        .split([',', ';', '\t'])
        .next()
        .unwrap_or(line)
        .trim()
        .trim_matches('"');
    let column = match saved.map(|task| &task.text_column) {
        Some(ColumnSelector::Name(name)) => name.as_str(),
        _ => "text",
    };
    if field.eq_ignore_ascii_case("text") || field.eq_ignore_ascii_case(column) {
        terminal.note(format!(
            "note: the first line, `{line}`, looks like a header, and is predicted as a text, as every line is; for a table give --data - \
             --data-format csv in the place of -"
        ));
    }
}

/// The texts that stand on the command line or come from the standard input.
fn given_texts(texts: &[String]) -> Result<Vec<String>> {
    if texts != ["-"] {
        return Ok(texts.to_vec());
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.context("cannot read the standard input")?;
    let text = decode_text(&bytes, "standard input")?;
    Ok(text.lines().map(str::to_owned).collect())
}
