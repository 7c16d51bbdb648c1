//! `lora predict`: labels for texts, answers to questions, tags for words, with how sure the model is.

mod choices;
mod prediction;
mod spans;
mod texts;
mod words;

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lora_core::peft::EnsembleSettings;
use lora_data::tasks;
use lora_eval::{Average, ModelOutputs};

use crate::adapter::{AdapterArgs, ColumnArgs, OpenedAdapter, open_adapter};
use crate::encoded_part::EncodedPart;
use crate::eval::EnsembleArgs;
use crate::kind::Kind;
use crate::output::note_unfinished;
use crate::output_file::check_output;
use crate::scoring::Outputs;
use crate::task::Fit;
use crate::terminal::{Terminal, counted};
use prediction::FileForm;
pub use prediction::{Answer, Prediction};

/// Arguments of `lora predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Texts, sentences, or questions about --context; or - for one a line from the standard input. After --, nothing is a flag: --
    /// "-5 stars".
    #[arg(value_name = "TEXT", conflicts_with = "data")]
    texts: Vec<String>,
    /// File of texts, questions or sentences, in the form of the training (.csv, .tsv, .jsonl, .json, .parquet, .conll); labels in it
    /// are not read.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// The text that questions are about, for an adapter that answers them.
    #[arg(long, value_name = "TEXT", conflicts_with = "data")]
    context: Option<String>,
    /// The benchmark whose form --data has, for a model that does not say what it is for; lora tasks lists them.
    #[arg(long, value_name = "NAME")]
    task_name: Option<String>,
    #[command(flatten)]
    ensemble: EnsembleArgs,
    /// Write the predictions to a file in place of the standard output: .jsonl for all kinds; .csv for texts, with the columns of
    /// --data; .json for answers in a context, in the form of the official SQuAD script.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that --output names.
    #[arg(long, requires = "output")]
    overwrite: bool,
}

/// What is printed or written.
struct Predicted {
    /// One JSON object a row.
    json: Vec<String>,
    /// One line a row, for people.
    words: Vec<String>,
    /// The whole file in the form that was asked for, if it is not JSONL.
    file: Option<String>,
}

/// Labels texts, answers questions, tags words.
///
/// # Errors
///
/// If an input is wrong or the output cannot be written.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> Result<()> {
    let form = args.output.as_deref().map(FileForm::of_path).transpose()?;
    if let Some(output) = &args.output {
        check_output("--output", output, args.data.as_deref(), args.overwrite)?;
    }
    let asked = args.task_name.as_deref().map(tasks::find).transpose()?;
    let opened = open_adapter(&args.adapter, asked)?;
    note_unfinished(&args.adapter.adapter, terminal);
    check_form(args, form, &opened.kind)?;
    let ensemble = args.ensemble.settings(&opened)?;
    let saved = opened.task_file.as_ref();
    let asking = Asking {
        args,
        opened: &opened,
        ensemble,
        fit: saved.map(|task| task.fit_for(ensemble)).unwrap_or_default(),
        form,
        terminal,
    };
    let predicted = match &opened.kind {
        Kind::Texts(task) => texts::predict(&asking, task)?,
        Kind::Spans(_) => spans::predict(&asking)?,
        Kind::Words(tags) => words::predict(&asking, tags)?,
        Kind::Choices(_) => choices::predict(&asking, asked)?,
    };
    match &args.output {
        Some(path) => {
            let content = predicted.file.unwrap_or_else(|| predicted.json.join("\n") + "\n");
            lora_core::atomic::write_file(path, content.as_bytes())?;
            let count = counted(predicted.json.len(), "prediction");
            terminal.note(format!("{count}: {}", path.display()));
            Ok(())
        }
        None if terminal.json() => predicted.json.iter().try_for_each(|line| terminal.raw(line)),
        None => predicted.words.iter().try_for_each(|line| terminal.say(line)),
    }
}

/// Everything that a kind of task needs to be predicted.
struct Asking<'a> {
    args: &'a PredictArgs,
    opened: &'a OpenedAdapter,
    ensemble: Option<EnsembleSettings>,
    fit: Fit,
    form: Option<FileForm>,
    terminal: &'a Terminal,
}

impl Asking<'_> {
    /// Says how many rows were cut.
    fn note_cut(&self, part: &EncodedPart) {
        if part.encoded.truncated > 0 {
            self.terminal.note(format!(
                "{} of {} texts are longer than the model reads and were cut",
                part.encoded.truncated,
                part.encoded.len()
            ));
        }
    }

    /// The outputs that are used: those of the ensemble if there is one, with their average and temperature.
    fn chosen(&self, outputs: Outputs) -> (ModelOutputs, Average, Option<f64>) {
        match outputs.ensemble {
            Some((settings, outputs)) => (outputs, settings.average, self.fit.temperature.ensemble),
            None => (outputs.mean, Average::default(), self.fit.temperature.mean),
        }
    }
}

/// Refuses a form of file that the kind does not have, and flags of another kind.
fn check_form(args: &PredictArgs, form: Option<FileForm>, kind: &Kind) -> Result<()> {
    let has = match (form, kind) {
        (Some(FileForm::Csv), kind) => matches!(kind, Kind::Texts(_)),
        (Some(FileForm::Json), kind) => matches!(kind, Kind::Spans(_)),
        (Some(FileForm::Jsonl) | None, _) => true,
    };
    if !has {
        let name = args.output.as_deref().map(|path| path.display().to_string());
        bail!(
            "--output `{}`: the adapter is for {}, whose predictions are written as {}; end the name so",
            name.unwrap_or_default(),
            kind.problem_type().name(),
            match kind {
                Kind::Texts(_) => ".jsonl or .csv",
                Kind::Spans(_) => ".jsonl or .json",
                Kind::Words(_) | Kind::Choices(_) => ".jsonl",
            }
        );
    }
    if args.context.is_some() && !matches!(kind, Kind::Spans(_)) {
        bail!(
            "--context is the text that questions are about, but the adapter is for {}; leave it out",
            kind.problem_type().name()
        );
    }
    Ok(())
}

/// The texts that stand on the command line or come from the standard input.
fn given_texts(args: &PredictArgs) -> Result<Vec<String>> {
    if args.texts != ["-"] {
        return Ok(args.texts.clone());
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes);
    read.context("cannot read the standard input")?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let line = before.matches('\n').count() + 1;
        anyhow::anyhow!("standard input, line {line}: not UTF-8; convert the text to UTF-8")
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}
