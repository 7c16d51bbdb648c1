//! Labels for texts, answers to questions, tags for words, with how sure the model is.

mod choices;
pub mod ensemble;
mod prediction;
pub mod predictor;
mod spans;
pub(crate) mod texts;
mod words;

use std::path::PathBuf;

use lora_core::peft::EnsembleSettings;
use lora_data::tasks::Benchmark;
use lora_eval::calibrators::Calibrator;
use lora_eval::conformal::ConformalThresholds;
use lora_eval::{Average, ModelOutputs};

use crate::bail;
use crate::calibration::{CalibratorName, SetRequest, calibrator_of};
use crate::data::encoded::EncodedPart;
use crate::data::kind::Kind;
use crate::error::Result;
use crate::predict::ensemble::EnsembleChoice;
use crate::progress::Progress;
use crate::saved::adapter::{ColumnOptions, OpenedAdapter};
use crate::saved::task_file::Fit;
use crate::score::run_one;
pub use prediction::{Answer, FileForm, Prediction};

/// What is to be predicted, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// Texts, sentences, or questions about the context.
    pub texts: Vec<String>,
    /// File of texts, questions or sentences, in the form of the training, in place of them.
    pub data: Option<PathBuf>,
    /// Which columns of it are read.
    pub columns: ColumnOptions,
    /// The text that questions are about.
    pub context: Option<String>,
    /// The benchmark whose form the file has, for a model that does not say what it is for.
    pub benchmark: Option<&'static Benchmark>,
    /// What of the ensemble is chosen by hand.
    pub ensemble: EnsembleChoice,
    /// Gives each text members only until its class is settled at this confidence.
    pub adaptive: Option<f64>,
    /// Gives each text a set of classes that holds the true one with a stated probability.
    pub sets: Option<SetRequest>,
    /// Calibrates the probabilities of classes in the place of the temperature.
    pub calibrator: Option<CalibratorName>,
    /// The file that predictions are for; its ending says in which form.
    pub output: Option<PathBuf>,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Refuses rows without a text, rather than answering them with null.
    pub strict: bool,
}

/// Predictions, as they are written.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// One JSON object a row.
    pub json: Vec<String>,
    /// One line a row, for people.
    pub words: Vec<String>,
    /// The whole file in the form that was asked for, if it is not JSONL.
    pub file: Option<String>,
    /// What to know about them, to be said in the end: rows without a text, columns with another name.
    pub notes: Vec<String>,
}

impl Predicted {
    /// Puts what stands for a row without a text in its places, and says so.
    fn answer_with_null(&mut self, rows: &[usize], json: &str, words: &str) {
        for &row in rows {
            self.json.insert(row, json.to_owned());
            self.words.insert(row, words.to_owned());
        }
        self.notes.extend(without_text(rows, self.json.len()));
    }
}

/// How many rows have no text, and which.
fn without_text(rows: &[usize], of: usize) -> Option<String> {
    /// Numbers that are listed, at most.
    const LISTED: usize = 10;
    let numbers: Vec<String> = rows
        .iter()
        .take(LISTED)
        .map(|row| (row + 1).to_string())
        .collect();
    let more = if rows.len() > LISTED { "…" } else { "" };
    let (have, are, row) = if rows.len() == 1 {
        ("has", "is", "row")
    } else {
        ("have", "are", "rows")
    };
    (!rows.is_empty()).then(|| {
        format!(
            "{} of {of} rows {have} no text and {are} answered with null ({row} {}{more}, counted from 1); --strict refuses them",
            rows.len(),
            numbers.join(", "),
        )
    })
}

/// A text and its place among all texts.
type Placed<'a> = (usize, &'a str);

/// The texts that are not empty, and the places of the others. Where there is no text at all, or one is empty and that is to be refused,
/// an error that calls them by their `noun`.
fn split_off_empty<'a>(
    texts: &'a [String],
    noun: &str,
    strict: bool,
) -> Result<(Vec<Placed<'a>>, Vec<usize>)> {
    let (empty, filled): (Vec<_>, Vec<_>) = texts
        .iter()
        .map(String::as_str)
        .enumerate()
        .partition(|(_, text)| text.trim().is_empty());
    let empty: Vec<usize> = empty.into_iter().map(|(place, _)| place).collect();
    match empty.first() {
        Some(first) if strict || filled.is_empty() => bail!("{noun} {} is empty; remove it", first + 1),
        _ => Ok((filled, empty)),
    }
}

/// Labels texts, answers questions, tags words.
///
/// # Errors
///
/// If an input is wrong or does not fit the adapter.
pub fn predict(opened: &OpenedAdapter, request: &Request, progress: &dyn Progress) -> Result<Predicted> {
    let form = request.output.as_deref().map(FileForm::of_path).transpose()?;
    check_form(request, form, &opened.kind)?;
    let ensemble = request.ensemble.settings(opened)?;
    let saved = opened.task_file.as_ref();
    if request.sets.is_some() && request.adaptive.is_some() {
        bail!(
            "--coverage holds for the whole ensemble, whose validation scores are known, not for --adaptive; leave one of them out"
        );
    }
    let calibrator = request
        .calibrator
        .map(|name| calibrator_of(name, opened, ensemble));
    let sets = request.sets.map(|sets| sets.thresholds(opened, ensemble));
    let asking = Asking {
        opened,
        ensemble,
        fit: saved.map(|task| task.fit_for(ensemble)).unwrap_or_default(),
        adaptive: request.adaptive,
        sets: sets.transpose()?,
        calibrator: calibrator.transpose()?,
        batch_size: request.batch_size,
        progress,
    };
    match &opened.kind {
        Kind::Texts(task) => texts::predict(&asking, request, form, task),
        Kind::Spans(_) => spans::predict(&asking, request, form),
        Kind::Words(tags) => words::predict(&asking, request, tags),
        Kind::Choices(_) => choices::predict(&asking, request),
    }
}

/// How a model is asked.
pub(crate) struct Asking<'a> {
    pub opened: &'a OpenedAdapter,
    pub ensemble: Option<EnsembleSettings>,
    pub fit: Fit,
    pub adaptive: Option<f64>,
    pub sets: Option<ConformalThresholds>,
    pub calibrator: Option<Calibrator>,
    pub batch_size: usize,
    pub progress: &'a dyn Progress,
}

impl Asking<'_> {
    /// Says how many rows were cut.
    fn note_cut(&self, part: &EncodedPart) {
        if part.encoded.truncated > 0 {
            self.progress.note(&format!(
                "{} of {} texts are longer than the model reads and were cut",
                part.encoded.truncated,
                part.encoded.len()
            ));
        }
    }

    /// The outputs that are used: those of the ensemble if there is one, with their average and temperature.
    fn outputs(&self, part: &EncodedPart, what: &str) -> (ModelOutputs, Average, Option<f64>) {
        let outputs = run_one(&self.opened.adapted, part, self.ensemble, what, self.progress);
        match self.ensemble {
            Some(settings) => (outputs, settings.average, self.fit.temperature.ensemble),
            None => (outputs, Average::default(), self.fit.temperature.mean),
        }
    }
}

/// Refuses a form of file that the kind does not have, and flags of another kind.
fn check_form(request: &Request, form: Option<FileForm>, kind: &Kind) -> Result<()> {
    let has = match (form, kind) {
        (Some(FileForm::Csv), kind) => matches!(kind, Kind::Texts(_)),
        (Some(FileForm::Json), kind) => matches!(kind, Kind::Spans(_)),
        (Some(FileForm::Jsonl) | None, _) => true,
    };
    if !has {
        let name = request.output.as_deref().map(|path| path.display().to_string());
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
    if request.context.is_some() && !matches!(kind, Kind::Spans(_)) {
        bail!(
            "--context is the text that questions are about, but the adapter is for {}; leave it out",
            kind.problem_type().name()
        );
    }
    Ok(())
}
