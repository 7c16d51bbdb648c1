//! The front door: a trained predictor of each task, to a folder that PEFT loads, and back.

use std::marker::PhantomData;
use std::path::Path;

use lora_core::Fp32Precision;
use lora_core::peft::EnsembleSettings;
use lora_data::tasks::{ChoiceQuestion, Spans, TaggedWords};
use lora_data::{Dataset, Example};
use lora_train::History;

use super::ensemble::EnsembleChoice;
use super::{Inference, PredictRows, Prediction, TaskRows};
use crate::bail;
use crate::calibration::SetRequest;
use crate::device::{DEFAULT_DEVICE, Precision};
use crate::error::{Error, Result};
use crate::inference::infer;
use crate::progress::Silent;
use crate::saved::adapter::{AdapterOptions, OpenedAdapter};
use crate::score::{ScoredMethod, score_split};

/// A trained model for rows of one task; the aliases below name the tasks.
#[derive(Debug)]
pub struct TaskPredictor<R> {
    pub(super) opened: OpenedAdapter,
    batch_size: usize,
    history: Option<History>,
    rows: PhantomData<R>,
}

/// Predicts a class, labels or a number of a text or of two.
pub type Predictor = TaskPredictor<Dataset>;

/// Finds the answers to questions in texts.
///
/// ```
/// use lora_core::{LoraConfig, TargetModules};
/// use lora_data::tasks::{Answer, SpanQuestion, Spans};
/// use lora_pipeline::progress::Silent;
/// use lora_pipeline::{FitSettings, Predictor, SpanPredictor};
/// use lora_train::TrainConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let question = |id: &str, question: &str, start, text: &str| SpanQuestion {
///     id: id.to_owned(),
///     question: question.to_owned(),
///     context: 0,
///     answers: vec![Answer { text: text.to_owned(), start }],
/// };
/// let spans = Spans {
///     contexts: vec!["The cat sleeps on the roof.".to_owned()],
///     questions: vec![question("1", "Who sleeps?", 4, "cat"), question("2", "Where?", 22, "roof")],
/// };
/// let adapters = LoraConfig::new(2, 4.0, TargetModules::names(["query", "value"]));
/// let settings = FitSettings { validation_fraction: 0.0, ..FitSettings::new(TrainConfig::new(2e-3, 1.0, 2)) };
/// let predictor: SpanPredictor = Predictor::open("minilm-l6")?.lora(adapters).fit(&spans, &settings, &Silent)?;
/// let found = predictor.predict_rows(&spans, None)?;
/// assert!(spans.contexts[0].contains(&found[0].answer));
/// # Ok(())
/// # }
/// ```
pub type SpanPredictor = TaskPredictor<Spans>;

/// Tags the words of sentences.
///
/// ```
/// use lora_core::{LoraConfig, TargetModules};
/// use lora_data::LabelNames;
/// use lora_data::tasks::{TaggedSentence, TaggedWords};
/// use lora_pipeline::progress::Silent;
/// use lora_pipeline::{FitSettings, Predictor, WordPredictor};
/// use lora_train::TrainConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sentence = |text: &str, tags: &[usize]| TaggedSentence {
///     words: text.split(' ').map(str::to_owned).collect(),
///     tags: Some(tags.to_vec()),
/// };
/// let words = TaggedWords {
///     sentences: vec![sentence("Ada lives in Turin", &[1, 0, 0, 2]), sentence("Turin is far", &[2, 0, 0])],
///     tags: LabelNames::new(["O", "B-PER", "B-LOC"])?,
/// };
/// let adapters = LoraConfig::new(2, 4.0, TargetModules::names(["query", "value"]));
/// let settings = FitSettings { validation_fraction: 0.0, ..FitSettings::new(TrainConfig::new(2e-3, 1.0, 2)) };
/// let predictor: WordPredictor = Predictor::open("minilm-l6")?.lora(adapters).fit(&words, &settings, &Silent)?;
/// assert_eq!(predictor.predict_rows(&words, None)?[0].tags.len(), 4);
/// # Ok(())
/// # }
/// ```
pub type WordPredictor = TaskPredictor<TaggedWords>;

/// Answers questions with choices by the letter that a language model finds most likely.
///
/// ```no_run
/// use lora_core::{LoraConfig, Rescale, TargetModules};
/// use lora_pipeline::progress::Silent;
/// use lora_pipeline::{ChoicePredictor, Ensemble, FitSettings, Predictor};
/// use lora_train::TrainConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let set = lora_data::tasks::find("openbookqa")?;
/// let questions = |split: &str| -> Result<_, Box<dyn std::error::Error>> { Ok(set.read("data", split)?.into_choices()?) };
/// let adapters = LoraConfig::new(8, 16.0, TargetModules::names(["q_proj", "v_proj"])).with_dropout(0.5, Rescale::Rescaled);
/// let settings = FitSettings { max_seq_length: 512, ..FitSettings::new(TrainConfig::new(1e-4, 2.0, 8)) };
/// let base = Predictor::open("HuggingFaceTB/SmolLM2-135M")?;
/// let predictor: ChoicePredictor = base.lora(adapters).fit(&questions("train")?, &settings, &Silent)?;
/// for answer in predictor.predict_rows(&questions("test")?, Ensemble::new(8, 42))? {
///     println!("{}: {} ({:.2})", answer.question, answer.choice, answer.probability);
/// }
/// # Ok(())
/// # }
/// ```
pub type ChoicePredictor = TaskPredictor<Vec<ChoiceQuestion>>;

impl Predictor {
    /// Labels or values for texts, with probabilities and uncertainty: of the ensemble, or for none of the mean pass. The
    /// temperatures that were fitted are used.
    ///
    /// # Errors
    ///
    /// If there is an ensemble and the adapter has no masks, or a text cannot be tokenized.
    pub fn predict(
        &self,
        texts: &[impl AsRef<str>],
        ensemble: impl Into<Option<EnsembleSettings>>,
    ) -> Result<Vec<Prediction>> {
        let example = |text: &dyn AsRef<str>| Example {
            text: text.as_ref().to_owned(),
            text_pair: None,
            target: None,
        };
        let dataset = Dataset {
            examples: texts.iter().map(|text| example(text)).collect(),
            task: self.opened.task.clone(),
        };
        self.predict_rows(&dataset, ensemble)
    }

    /// As [`TaskPredictor::predict_rows`], with a set of classes for each row that holds the true one with a stated probability.
    ///
    /// # Errors
    ///
    /// As [`Predictor::predict`]; also as [`SetRequest::thresholds`].
    pub fn predict_with_sets(
        &self,
        dataset: &Dataset,
        ensemble: impl Into<Option<EnsembleSettings>>,
        sets: SetRequest,
    ) -> Result<Vec<Prediction>> {
        let ensemble = self.ensemble(ensemble.into())?;
        dataset.predict(&Inference {
            batch_size: self.batch_size,
            sets: Some(sets.thresholds(self.opened.calibrated(), ensemble)?),
            ..Inference::new(&self.opened, ensemble)
        })
    }
}

impl<R: TaskRows> TaskPredictor<R> {
    fn of(opened: OpenedAdapter) -> Self {
        Self {
            opened,
            batch_size: 32,
            history: None,
            rows: PhantomData,
        }
    }

    pub(super) fn trained(opened: OpenedAdapter, batch_size: usize, history: History) -> Self {
        Self {
            batch_size,
            history: Some(history),
            ..Self::of(opened)
        }
    }

    /// What [`TaskPredictor::save`] or `lora train` wrote, or PEFT.
    ///
    /// # Errors
    ///
    /// If a file is missing, corrupt or does not fit the others, or the folder is for another task.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        Self::load_in(folder, Fp32Precision::Ieee)
    }

    /// [`TaskPredictor::load`] with products of frozen weights in this precision, which need not be that of the training.
    ///
    /// # Errors
    ///
    /// As [`TaskPredictor::load`].
    pub fn load_in(folder: impl AsRef<Path>, fp32_precision: Fp32Precision) -> Result<Self> {
        let options = AdapterOptions {
            adapter: folder.as_ref().to_owned(),
            base: None,
            revision: None,
            labels: None,
            max_seq_length: None,
            device: DEFAULT_DEVICE.parse().map_err(Error::from)?,
            dtype: Precision::F32,
            fp32_precision,
        };
        let opened = R::open(&options)?;
        if !R::are_of(&opened.task) {
            bail!(
                "`{}` is for {}, not for {}",
                options.adapter.display(),
                opened.task.problem_type().name(),
                R::NOUN
            );
        }
        Ok(Self::of(opened))
    }

    /// The ensemble that was calibrated; none for an adapter without masks.
    pub fn calibrated_ensemble(&self) -> Option<EnsembleSettings> {
        self.opened.ensemble
    }

    /// The losses of the training; none for a predictor that was loaded.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Writes a new folder: a PEFT adapter with `task.json`, which holds labels and temperatures, and
    /// `calibration.json`. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// If something is there already, or a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.opened.save(folder.as_ref(), &[])
    }
}

impl<R: PredictRows> TaskPredictor<R> {
    /// One prediction a row: of the ensemble, or for none of the mean pass. The temperatures and thresholds that were fitted are used; what
    /// rows know of the truth is not read.
    ///
    /// # Errors
    ///
    /// If there is an ensemble and the adapter has no masks, or a row cannot be tokenized.
    pub fn predict_rows(
        &self,
        rows: &R,
        ensemble: impl Into<Option<EnsembleSettings>>,
    ) -> Result<Vec<R::Prediction>> {
        let ensemble = self.ensemble(ensemble.into())?;
        rows.predict(&Inference {
            batch_size: self.batch_size,
            ..Inference::new(&self.opened, ensemble)
        })
    }

    /// Scores of the mean pass and of the ensemble on labelled rows, without and with temperature.
    ///
    /// # Errors
    ///
    /// As [`TaskPredictor::predict_rows`], or if rows have no labels.
    pub fn score(
        &self,
        rows: &R,
        ensemble: impl Into<Option<EnsembleSettings>>,
    ) -> Result<Vec<ScoredMethod>> {
        let ensemble = self.ensemble(ensemble.into())?;
        let split = self
            .opened
            .encoder(self.batch_size)
            .encode(&rows.clone().into())?;
        let outputs = infer(&self.opened.adapted, &split, ensemble, "scoring", &Silent)?;
        let saved = self.opened.task_file.as_ref();
        let rules = saved.map(|task| task.rules_for(ensemble));
        score_split(&outputs, &split, rules.unwrap_or_default())
    }

    fn ensemble(&self, wanted: Option<EnsembleSettings>) -> Result<Option<EnsembleSettings>> {
        let choice = EnsembleChoice {
            members: Some(wanted.map_or(0, |wanted| wanted.members)),
            seed: wanted.map(|wanted| wanted.seed),
            average: wanted.map(|wanted| wanted.average),
            is_adaptive: false,
        };
        choice.settings(&self.opened)
    }
}
