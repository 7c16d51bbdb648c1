//! Labels for texts, answers to questions, tags for words, with how sure the model is.

mod choices;
pub mod ensemble;
mod prediction;
pub mod predictor;
pub mod prepared;
mod spans;
mod texts;
pub mod untrained;
mod words;
mod writing;

use std::path::PathBuf;

use lora_core::peft::EnsembleSettings;
use lora_data::Task;
use lora_data::tasks::{Benchmark, Rows, of_own_files};
use lora_eval::calibrators::Calibrator;
use lora_eval::conformal::ConformalThresholds;
use lora_eval::{Average, ClassProbabilities, ModelOutputs};
use serde::Serialize;

pub use self::choices::ChoicePrediction;
use self::ensemble::EnsembleChoice;
pub use self::prediction::{FileForm, PredictedLabel, Prediction};
use self::predictor::TaskPredictor;
pub use self::spans::SpanPrediction;
pub use self::words::{NamedEntity, WordPrediction};
pub use self::writing::{TextGenerator, Writing, WrittenText, write_text};
use crate::bail;
use crate::calibration::{CalibratorName, SetRequest, calibrator_of};
use crate::data::encoded::EncodedSplit;
use crate::error::{Context, Result};
use crate::inference::infer_rows;
use crate::progress::{Progress, Silent};
use crate::saved::adapter::{AdapterOptions, ColumnOptions, OpenedAdapter, open_adapter};
use crate::saved::task_file::{FittedRules, FittedValues, InferenceKind};

/// What is to be predicted, and how.
#[derive(Clone, Debug)]
pub struct PredictRequest {
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
    /// Mean pass or ensemble; none: the one that training found better.
    pub inference: Option<InferenceKind>,
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
    fn of<P: Serialize>(predictions: &[P], in_words: impl Fn(&P) -> String) -> Result<Self> {
        let json = predictions.iter().map(serde_json::to_string);
        Ok(Self {
            json: json
                .collect::<Result<_, _>>()
                .context("a prediction is no JSON")?,
            words: predictions.iter().map(in_words).collect(),
            file: None,
            notes: Vec::new(),
        })
    }

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
    /// Values that are listed, at most.
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

/// Rows of one task: what a predictor is trained on.
pub trait TaskRows: Clone + Into<Rows> {
    /// What they are, in words.
    const NOUN: &'static str;

    /// Whether they are rows of this task.
    fn are_of(task: &Task) -> bool;

    /// Opens what was trained on such rows.
    ///
    /// # Errors
    ///
    /// As [`open_adapter`].
    fn open(options: &AdapterOptions) -> Result<OpenedAdapter> {
        open_adapter(options, None)
    }
}

/// Rows of which classes, values, spans or tags are predicted.
pub trait PredictRows: TaskRows {
    /// What is predicted of a row.
    type Prediction;

    /// One prediction a row; what is known of the truth is not read.
    ///
    /// # Errors
    ///
    /// If a row cannot be tokenized, or the model has diverged.
    fn predict(&self, inference: &Inference<'_>) -> Result<Vec<Self::Prediction>>;
}

/// Labels texts, answers questions, tags words.
///
/// # Errors
///
/// If an input is wrong or does not fit the adapter.
pub fn predict(
    opened: &OpenedAdapter,
    request: &PredictRequest,
    progress: &dyn Progress,
) -> Result<Predicted> {
    let form = request.output.as_deref().map(FileForm::of_path).transpose()?;
    check_form(request, form, &opened.task)?;
    if let Some(own) = of_own_files(opened.task.problem_type()) {
        request.columns.check_unused(own)?;
    }
    let (ensemble, note) = request.ensemble.to_predict(opened, request.inference)?;
    if request.sets.is_some() && request.adaptive.is_some() {
        bail!(
            "--coverage holds for the whole ensemble, whose validation scores are known, not for --adaptive; leave one of them out"
        );
    }
    let calibrator = request
        .calibrator
        .map(|name| calibrator_of(name, opened.calibrated(), ensemble));
    let sets = request
        .sets
        .map(|sets| sets.thresholds(opened.calibrated(), ensemble));
    let promise = request
        .sets
        .map(|sets| sets.promise(opened.calibrated(), ensemble));
    let inference = Inference {
        sets: sets.transpose()?,
        calibrator: calibrator.transpose()?,
        adaptive: request.adaptive,
        batch_size: request.batch_size,
        progress,
        ..Inference::new(opened, ensemble)
    };
    let mut predicted = match &opened.task {
        Task::QuestionAnswering { .. } => spans::answer(&inference, request, form),
        Task::Tagging { tags } => words::answer(&inference, request, tags),
        Task::MultipleChoice { .. } => choices::answer(&inference, request),
        task => texts::answer(&inference, request, form, task),
    }?;
    // Last, and beside the predictions that they are about: before the input was read, there may be an error in their place.
    let caution = promise.transpose()?.and_then(|promise| promise.caution());
    let caution = caution.map(|caution| format!("caution: {caution}"));
    predicted.notes.extend(note.into_iter().chain(caution));
    Ok(predicted)
}

/// How a model is run.
pub struct Inference<'a> {
    opened: &'a OpenedAdapter,
    ensemble: Option<EnsembleSettings>,
    rules: FittedRules,
    sets: Option<ConformalThresholds>,
    calibrator: Option<Calibrator>,
    adaptive: Option<f64>,
    batch_size: usize,
    progress: &'a dyn Progress,
}

impl<'a> Inference<'a> {
    /// With the temperatures and thresholds that were fitted for the ensemble.
    fn new(opened: &'a OpenedAdapter, ensemble: Option<EnsembleSettings>) -> Self {
        let saved = opened.task_file.as_ref();
        Self {
            opened,
            ensemble,
            rules: saved.map(|task| task.rules_for(ensemble)).unwrap_or_default(),
            sets: None,
            calibrator: None,
            adaptive: None,
            batch_size: 32,
            progress: &Silent,
        }
    }

    /// Rows as the model reads them.
    fn encode(&self, rows: &Rows) -> Result<EncodedSplit> {
        let split = self.opened.encoder(self.batch_size).encode(rows)?;
        let (cut, all) = (split.encoded.truncated, split.encoded.len());
        if cut > 0 {
            self.progress.note(&format!(
                "{cut} of {all} texts are longer than the model reads and were cut"
            ));
        }
        Ok(split)
    }

    /// The outputs that are used: those of the ensemble if there is one.
    fn outputs(&self, split: &EncodedSplit, what: &str) -> Result<ModelOutputs> {
        infer_rows(&self.opened.adapted, split, self.ensemble, what, self.progress)
    }

    /// What they are averaged by.
    fn average(&self) -> Average {
        self.ensemble
            .map_or_else(Average::default, |settings| settings.average)
    }

    /// Probabilities of classes, or of the choices of each row.
    fn probabilities(&self, split: &EncodedSplit, what: &str) -> Result<ClassProbabilities> {
        let predictions = self.outputs(split, what)?.into_predictions()?;
        Ok(predictions
            .with_temperature(self.temperature())?
            .average(self.average()))
    }

    /// What logits are divided by.
    fn temperature(&self) -> f64 {
        self.fitted(self.rules.temperature).unwrap_or(1.0)
    }

    /// Of values for each way to predict the one for this way.
    fn fitted(&self, values: FittedValues) -> Option<f64> {
        match self.ensemble {
            Some(_) => values.ensemble,
            None => values.mean,
        }
    }
}

/// Refuses a form of file that the task does not have, and flags of another task.
fn check_form(request: &PredictRequest, form: Option<FileForm>, task: &Task) -> Result<()> {
    let has = match (form, task) {
        (Some(FileForm::Csv), task) => task.is_of_texts(),
        (Some(FileForm::Json), task) => matches!(task, Task::QuestionAnswering { .. }),
        (Some(FileForm::Jsonl) | None, _) => true,
    };
    if !has {
        let name = request.output.as_deref().map(|path| path.display().to_string());
        bail!(
            "--output `{}`: the adapter is for {}, whose predictions are written as {}; end the name so",
            name.unwrap_or_default(),
            task.problem_type().name(),
            match task {
                Task::QuestionAnswering { .. } => ".jsonl or .json",
                task if task.is_of_texts() => ".jsonl or .csv",
                _ => ".jsonl",
            }
        );
    }
    if request.context.is_some() && !matches!(task, Task::QuestionAnswering { .. }) {
        bail!(
            "--context is the text that questions are about, but the adapter is for {}; leave it out",
            task.problem_type().name()
        );
    }
    Ok(())
}
