//! The front door: from labelled texts to a calibrated predictor of classes or numbers, to a folder that PEFT loads, and back.

use std::path::Path;

use lora_core::atomic::write_file;
use lora_core::peft::EnsembleSettings;
use lora_core::{Fp32Precision, Tuning};
use lora_data::{Column, Dataset, Example};
use lora_train::{FitData, History, TrainConfig, fit};

use crate::bail;
use crate::base::checkpoint::{open_checkpoint, public_name};
use crate::base::hub::hub_options;
use crate::base::{BaseOptions, attach, open};
use crate::calibration::{CALIBRATION_FILE, CalibrationFile, SetRequest};
use crate::config::DEFAULT_MEMBERS;
use crate::data::benchmark::Shares;
use crate::data::encoded::{EncodedPart, Lengths};
use crate::data::kind::Kind;
use crate::data::split;
use crate::device::{DEFAULT_DEVICE, DeviceName, Precision};
use crate::error::{Error, Result};
use crate::files::folder_swap::write_folder;
use crate::files::output::json_text;
use crate::predict::ensemble::EnsembleChoice;
use crate::predict::{Asking, Prediction, texts};
use crate::progress::{CancelToken, Progress, Silent};
use crate::saved::adapter::{AdapterOptions, OpenedAdapter, open_adapter};
use crate::saved::task_file::{TASK_FILE, TaskFile, Temperatures, Thresholds, id2label};
use crate::score::{self, ScoredMethod, ask, score_part};
use crate::train::checkpoints::{Reporter, Saving};

/// A base model by name, to be adapted.
#[derive(Clone, Debug)]
pub struct BaseModel {
    name: String,
    revision: Option<String>,
}

impl BaseModel {
    /// The same model at a branch, tag or commit of its hub id.
    #[must_use]
    pub fn at_revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Adapts the model with LoRA, DoRA or AdaLoRA, with or without LoRA Dropout, or with another tuning. A new head is always
    /// trained too.
    pub fn lora(self, tuning: impl Into<Tuning>) -> Untrained {
        Untrained {
            base: self,
            tuning: tuning.into(),
        }
    }
}

/// A base model with the adapters that it is to get.
#[derive(Clone, Debug)]
pub struct Untrained {
    base: BaseModel,
    tuning: Tuning,
}

/// How a predictor is trained.
#[derive(Clone, Debug)]
pub struct FitSettings {
    /// The loop.
    pub train: TrainConfig,
    /// Longest text in tokens; longer ones are cut.
    pub max_seq_length: usize,
    /// Share of the rows that are kept from training: they choose the best step and the temperatures. 0: the last step is taken,
    /// and nothing is calibrated.
    pub validation_fraction: f64,
    /// The ensemble that is calibrated; none: eight members with LoRA Dropout, else no ensemble.
    pub ensemble: Option<EnsembleSettings>,
    /// Where the tensors are.
    pub device: DeviceName,
}

impl FitSettings {
    /// The defaults of `lora train`: 128 tokens, a tenth of the rows for validation.
    ///
    /// # Panics
    ///
    /// Never: the default device has a name.
    pub fn new(train: TrainConfig) -> Self {
        Self {
            train,
            max_seq_length: 128,
            validation_fraction: 0.1,
            ensemble: None,
            device: DEFAULT_DEVICE.parse().expect("the default device has a name"),
        }
    }
}

impl Untrained {
    /// Trains, takes the step with the best validation loss, and fits a temperature for the mean pass and for the ensemble.
    ///
    /// # Errors
    ///
    /// If a setting does not fit the model or the rows, or the training diverges.
    pub fn fit(
        self,
        dataset: &Dataset,
        settings: &FitSettings,
        progress: &dyn Progress,
    ) -> Result<Predictor> {
        let Self { base, tuning } = self;
        let seed = settings.train.seed;
        let kind = Kind::Texts(dataset.task.clone());
        let options = BaseOptions {
            name: &base.name,
            revision: base.revision.as_deref(),
            max_seq_length: settings.max_seq_length,
            fp32_precision: Fp32Precision::Ieee,
        };
        let opened = open(options, &kind, seed, &settings.device.open()?)?;
        let mut tuning = tuning;
        tuning.save_also(opened.model.modules_to_save());
        let (adapted, _) = attach(opened.model, &opened.loaded, tuning, seed)?;
        let usual = adapted
            .dropout()
            .map(|_| EnsembleSettings::new(DEFAULT_MEMBERS, seed));
        let ensemble = settings.ensemble.or(usual);
        let shares = Shares {
            validation: settings.validation_fraction,
            test: 0.0,
            seed,
        };
        let (train, validation, _) = split(dataset.clone(), shares, progress)?;
        let batch_size = settings.train.per_device_eval_batch_size;
        let encode = |rows: &Dataset| EncodedPart::new(rows, &opened.tokenizer, batch_size);
        let train = encode(&train)?;
        let validation = validation.as_ref().map(encode).transpose()?;
        let data = FitData {
            train: &train.encoded,
            validation: validation.as_ref().map(|part| &part.encoded),
            padding: opened.padding,
        };
        let cancel = CancelToken::default();
        let mut reporter = Reporter::new(settings.train.metric_for_best_model, progress, &cancel);
        let fitted = fit(adapted, &settings.train, &data, &mut reporter)?;
        let mut task = task_file(&base, dataset, settings, ensemble);
        let mut calibration = None;
        if let Some(part) = &validation {
            let outputs = ask(&fitted.best, part, ensemble, "calibrating", progress)?;
            task.temperature = score::fit(&outputs, part, true, progress)?.temperature;
            calibration = CalibrationFile::of(&outputs, part, task.temperature)?;
        }
        Ok(Predictor {
            opened: OpenedAdapter {
                adapted: fitted.best,
                tokenizer: opened.tokenizer,
                padding: opened.padding,
                lengths: Lengths {
                    longest: settings.max_seq_length,
                    ..task.lengths(None)
                },
                kind,
                task_file: Some(task),
                calibration,
                ensemble,
                base_model: base.name,
                model_folder: opened.model_folder,
            },
            batch_size,
            history: Some(fitted.history),
        })
    }
}

/// `task.json` before anything is fitted.
fn task_file(
    base: &BaseModel,
    dataset: &Dataset,
    settings: &FitSettings,
    ensemble: Option<EnsembleSettings>,
) -> TaskFile {
    let has_pairs = dataset.examples.iter().any(|example| example.text_pair.is_some());
    TaskFile {
        format: 1,
        problem_type: Kind::Texts(dataset.task.clone()).problem_type(),
        id2label: dataset.task.labels().map(id2label),
        max_seq_length: settings.max_seq_length,
        header: true,
        text_column: Column::from("text"),
        text_pair_column: has_pairs.then(|| Column::from("text_pair")),
        label_column: Column::from("label"),
        label_columns: Vec::new(),
        base_model: base.name.clone(),
        revision: base.revision.clone(),
        task_name: None,
        doc_stride: None,
        max_answer_length: None,
        temperature: Temperatures::default(),
        no_answer_threshold: Thresholds::default(),
        ensemble,
    }
}

/// A trained model that predicts a class, or a number, of a text or of two.
#[derive(Debug)]
pub struct Predictor {
    opened: OpenedAdapter,
    batch_size: usize,
    history: Option<History>,
}

impl Predictor {
    /// A base model by folder, GGUF file, hub id, or the name of the embedded one (`minilm-l6`).
    ///
    /// # Errors
    ///
    /// If it is not there, or a file is missing or corrupt.
    pub fn open(name: &str) -> Result<BaseModel> {
        open_checkpoint(name, &hub_options(None))?;
        Ok(BaseModel {
            name: name.to_owned(),
            revision: None,
        })
    }

    /// What [`Predictor::save`] or `lora train` wrote, or PEFT.
    ///
    /// # Errors
    ///
    /// If a file is missing, corrupt or does not fit the others, or the folder is for something else than texts.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let options = AdapterOptions {
            adapter: folder.as_ref().to_owned(),
            base: None,
            revision: None,
            labels: None,
            max_seq_length: None,
            device: DEFAULT_DEVICE.parse().map_err(Error::from)?,
            dtype: Precision::F32,
            fp32_precision: Fp32Precision::Ieee,
        };
        let opened = open_adapter(&options, None)?;
        opened.task()?;
        Ok(Self {
            opened,
            batch_size: 32,
            history: None,
        })
    }

    /// Labels or numbers for texts, with probabilities and uncertainty: of the ensemble, or for none of the mean pass. The
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
            task: self.opened.task()?.clone(),
        };
        self.predict_rows(&dataset, ensemble)
    }

    /// As [`Predictor::predict`], for rows of a data set; their labels are not read.
    ///
    /// # Errors
    ///
    /// As [`Predictor::predict`].
    pub fn predict_rows(
        &self,
        dataset: &Dataset,
        ensemble: impl Into<Option<EnsembleSettings>>,
    ) -> Result<Vec<Prediction>> {
        self.predict_with_sets(dataset, ensemble, None)
    }

    /// As [`Predictor::predict_rows`], with a set of classes for each row that holds the true one with a stated probability.
    ///
    /// # Errors
    ///
    /// As [`Predictor::predict`]; also as [`SetRequest::thresholds`].
    pub fn predict_with_sets(
        &self,
        dataset: &Dataset,
        ensemble: impl Into<Option<EnsembleSettings>>,
        sets: impl Into<Option<SetRequest>>,
    ) -> Result<Vec<Prediction>> {
        let ensemble = self.ensemble(ensemble.into())?;
        let sets = sets.into().map(|sets| sets.thresholds(&self.opened, ensemble));
        let task = self.opened.task_file.as_ref();
        let asking = Asking {
            opened: &self.opened,
            ensemble,
            fit: task.map(|task| task.fit_for(ensemble)).unwrap_or_default(),
            adaptive: None,
            sets: sets.transpose()?,
            calibrator: None,
            batch_size: self.batch_size,
            progress: &Silent,
        };
        texts::predictions(&asking, dataset)
    }

    /// Scores of the mean pass and of the ensemble on labelled rows, without and with temperature.
    ///
    /// # Errors
    ///
    /// As [`Predictor::predict`], or if rows have no labels.
    pub fn score(
        &self,
        dataset: &Dataset,
        ensemble: impl Into<Option<EnsembleSettings>>,
    ) -> Result<Vec<ScoredMethod>> {
        let ensemble = self.ensemble(ensemble.into())?;
        let part = EncodedPart::new(dataset, &self.opened.tokenizer, self.batch_size)?;
        let outputs = ask(&self.opened.adapted, &part, ensemble, "scoring", &Silent)?;
        let task = self.opened.task_file.as_ref();
        let fit = task.map(|task| task.fit_for(ensemble)).unwrap_or_default();
        score_part(&outputs, &part, fit)
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
        let opened = &self.opened;
        let Some(task) = &opened.task_file else {
            bail!("the predictor was loaded from a folder of another program; it is saved there already");
        };
        let text = json_text(task)?;
        let saving = Saving {
            folder: folder.as_ref(),
            task_type: opened.kind.task_type(),
            base_model: public_name(&opened.base_model),
            ensemble: opened.ensemble,
            model_folder: &opened.model_folder,
            run: &serde_json::Value::Null,
            task: &text,
        };
        write_folder(folder.as_ref(), |beside| {
            saving.write_tuned(beside, &opened.adapted)?;
            if let Some(calibration) = &opened.calibration {
                write_file(&beside.join(CALIBRATION_FILE), calibration.text()?.as_bytes())?;
            }
            Ok(write_file(&beside.join(TASK_FILE), text.as_bytes())?)
        })
    }

    /// An adapter that was opened and changed.
    pub(crate) fn of(opened: OpenedAdapter) -> Self {
        Self {
            opened,
            batch_size: 32,
            history: None,
        }
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
