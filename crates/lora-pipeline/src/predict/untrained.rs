//! From a base model and rows to a trained, calibrated predictor.

use lora_core::peft::EnsembleSettings;
use lora_core::{Fp32Precision, Tuning};
use lora_data::tasks::Rows;
use lora_data::{ColumnSelector, Task};
use lora_train::TrainConfig;
use lora_train::fit::Start;

use super::TaskRows;
use super::predictor::{Predictor, TaskPredictor};
use crate::base::checkpoint::open_checkpoint;
use crate::base::hub::hub_options;
use crate::base::{BaseModel, BaseOptions, OpenedBase, TextReader, attach};
use crate::config::DEFAULT_MEMBERS;
use crate::data::encoded::RowEncoder;
use crate::data::split::{Shares, SplitRows};
use crate::device::{DEFAULT_DEVICE, DeviceName, Precision};
use crate::error::Result;
use crate::progress::{CancelToken, Progress};
use crate::saved::adapter::OpenedAdapter;
use crate::saved::task_file::TaskFile;
use crate::train::checkpoints::Reporter;
use crate::train::prepared::EncodedRows;

impl Predictor {
    /// A base model by folder, GGUF file, hub id, or the name of the embedded one (`minilm-l6`).
    ///
    /// # Errors
    ///
    /// If it is not there, or a file is missing or corrupt.
    pub fn open(name: &str) -> Result<BaseModel> {
        open_checkpoint(name, &hub_options(None))?;
        Ok(BaseModel::new(name))
    }
}

impl BaseModel {
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
    /// How products with frozen weights are computed.
    pub fp32_precision: Fp32Precision,
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
            fp32_precision: Fp32Precision::Ieee,
        }
    }
}

impl Untrained {
    /// Trains, takes the step with the best validation loss, and fits a temperature for the mean pass and for the ensemble. What is
    /// predicted follows from the rows.
    ///
    /// # Errors
    ///
    /// If a setting does not fit the model or the rows, or the training diverges.
    pub fn fit<R: TaskRows>(
        self,
        rows: &R,
        settings: &FitSettings,
        progress: &dyn Progress,
    ) -> Result<TaskPredictor<R>> {
        let Self { base, tuning } = self;
        let (train, seed) = (&settings.train, settings.train.seed);
        let split = SplitRows::new(rows.clone().into(), None, None);
        let split = split.complete(Shares {
            validation: settings.validation_fraction,
            test: 0.0,
            seed,
        })?;
        split.notes.iter().for_each(|note| progress.note(note));
        let task = split.train.task(None);
        let options = BaseOptions {
            name: &base.name,
            revision: base.revision.as_deref(),
            max_seq_length: Some(settings.max_seq_length),
            fp32_precision: settings.fp32_precision,
        };
        let device = settings.device.open_in(Precision::F32, settings.fp32_precision)?;
        let files = options.files()?;
        let reader = TextReader::of(&files, &task, options.max_seq_length)?;
        let has_masks = matches!(&tuning, Tuning::Lora(lora) if lora.dropout.is_some());
        let default = has_masks.then(|| EnsembleSettings::new(DEFAULT_MEMBERS, seed));
        let ensemble = settings.ensemble.or(default);
        let mut task_file = task_file(&base, &split.train, &task, settings, ensemble);
        let lengths = task_file.lengths(None);
        let batch_size = train.per_device_eval_batch_size;
        let encoder = RowEncoder::new(&reader, &task, lengths, batch_size);
        let tokenized = EncodedRows::new(&split, &encoder, progress)?;
        tokenized.check_memory(
            &files,
            &tuning,
            train.per_device_train_batch_size,
            &device,
            progress,
        )?;
        let opened = OpenedBase::load(&files, reader, &task, task.labels(), seed, &device)?;
        let mut tuning = tuning;
        tuning.save_also(opened.model.modules_to_save());
        let (adapted, _) = attach(opened.model, &opened.loaded, tuning, seed)?;
        let prepared = tokenized.with_model(adapted);
        let cancel = CancelToken::default();
        let mut reporter = Reporter::new(train, progress, &cancel);
        let fitted = prepared.fit(train, Start::default(), &mut reporter)?;
        let (rules, calibration) = prepared.calibrate(&fitted.best, ensemble, progress)?;
        task_file.temperature = rules.temperature;
        task_file.no_answer_threshold = rules.threshold;
        let opened = OpenedAdapter {
            adapted: fitted.best,
            reader: opened.reader,
            lengths,
            task,
            task_file: Some(task_file),
            calibration,
            ensemble,
            base,
            model_folder: opened.model_folder,
        };
        Ok(TaskPredictor::trained(opened, batch_size, fitted.history))
    }
}

/// `task.json` before anything is fitted.
fn task_file(
    base: &BaseModel,
    rows: &Rows,
    task: &Task,
    settings: &FitSettings,
    ensemble: Option<EnsembleSettings>,
) -> TaskFile {
    let has_pairs = match rows {
        Rows::Texts(dataset) => dataset.examples.iter().any(|example| example.text_pair.is_some()),
        _ => false,
    };
    TaskFile {
        text_pair_column: has_pairs.then(|| ColumnSelector::from("text_pair")),
        ensemble,
        ..TaskFile::new(task, base, settings.max_seq_length)
    }
}
