//! A model with its adapters and its rows, ready to be trained: what `lora train`, [`Predictor`](crate::Predictor) and their tests share.

use burn::tensor::Device;
use lora_core::peft::EnsembleSettings;
use lora_core::{Adapted, Tuning};
use lora_data::{LabelNames, Padding, Task};
use lora_models::{Checkpoint, MachineMemory, Transformer};
use lora_train::fit::{Start, fit_from};
use lora_train::state::hash_of_rows;
use lora_train::{FitData, Fitted, Observer, TrainConfig, TrainError};

use super::memory::{MemoryEstimate, StepSize, TooLarge};
use crate::calibration::CalibrationFile;
use crate::counted::counted;
use crate::data::encoded::{Detail, EncodedSplit, RowDetail, RowEncoder};
use crate::data::split::{PlacedRows, SplitRows};
use crate::error::Result;
use crate::inference::infer;
use crate::progress::Progress;
use crate::saved::task_file::FittedRules;
use crate::score::calibrate;

/// A model with its adapters and its rows.
#[derive(Debug)]
pub struct PreparedTraining {
    /// What is predicted.
    pub task: Task,
    /// The model with new adapters.
    pub adapted: Adapted<Transformer>,
    /// Rows to train on.
    pub train: EncodedSplit,
    /// Rows that pick the best model, the temperature and thresholds.
    pub validation: Option<EncodedSplit>,
    /// Rows that are scored once.
    pub test: Option<EncodedSplit>,
    /// The texts of the split that is scored last.
    pub scored_last: Option<PlacedRows>,
    padding: Padding,
}

/// Rows as a model reads them, before it is loaded.
#[derive(Debug)]
pub(crate) struct EncodedRows {
    task: Task,
    train: EncodedSplit,
    validation: Option<EncodedSplit>,
    test: Option<EncodedSplit>,
    scored_last: Option<PlacedRows>,
    padding: Padding,
}

impl EncodedRows {
    /// Encodes rows for a model.
    ///
    /// # Errors
    ///
    /// As [`RowEncoder::encode`].
    pub fn new(rows: &SplitRows, encoder: &RowEncoder<'_>, progress: &dyn Progress) -> Result<Self> {
        let encode = |name: &str, rows: Option<&lora_data::tasks::Rows>| -> Result<Option<EncodedSplit>> {
            let split = rows.map(|rows| encoder.encode(rows)).transpose()?;
            if let Some(split) = &split {
                note_lengths(name, split, encoder.lengths.longest, progress);
            }
            Ok(split)
        };
        if encoder.chat_template
            && let Some(end) = encoder.reader.turn_end()?
        {
            progress.note(&format!(
                "answers end with `{}`, as the model's chat template ends them",
                end.text
            ));
        }
        let train = encoder.encode(&rows.train)?;
        note_lengths("training", &train, encoder.lengths.longest, progress);
        Ok(Self {
            task: encoder.task.clone(),
            train,
            validation: encode("validation", rows.validation.as_ref())?,
            test: encode("test", rows.test.as_ref())?,
            scored_last: rows.texts_scored_last(),
            padding: encoder.reader.padding,
        })
    }

    /// The rows with their model.
    pub fn with_model(self, adapted: Adapted<Transformer>) -> PreparedTraining {
        let Self {
            task,
            train,
            validation,
            test,
            scored_last,
            padding,
        } = self;
        PreparedTraining {
            task,
            adapted,
            train,
            validation,
            test,
            scored_last,
            padding,
        }
    }

    /// Refuses a training whose steps the machine has no memory for, and notes where it may be short.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn check_memory(
        &self,
        files: &Checkpoint,
        tuning: &Tuning,
        batch_size: usize,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<(), TooLarge> {
        let Some(memory) = MachineMemory::of(device) else {
            return Ok(());
        };
        let step = StepSize::largest(&self.train.encoded, batch_size);
        let estimate = MemoryEstimate::before_loading(files, tuning, step);
        if let Some(short) = estimate.check(step, files.weights.fp32_precision(), memory)? {
            progress.note(&short);
        }
        Ok(())
    }
}

impl PreparedTraining {
    /// What the loop reads.
    pub fn data(&self) -> FitData<'_> {
        FitData {
            train: &self.train.encoded,
            validation: self.validation.as_ref().map(|split| &split.encoded),
            padding: self.padding,
        }
    }

    /// A hash of the rows that are scored once.
    pub(super) fn test_hash(&self) -> Option<String> {
        self.test.as_ref().map(|split| hash_of_rows(&split.encoded))
    }

    /// Trains: factors that are points, or a Gaussian over A, from the first step on or from where a training stood.
    ///
    /// # Errors
    ///
    /// If a setting or a data set cannot be used, or the training diverges.
    pub fn fit(
        &self,
        config: &TrainConfig,
        start: Start,
        observer: &mut dyn Observer<Transformer>,
    ) -> Result<Fitted<Transformer>, TrainError> {
        fit_from(self.adapted.clone(), config, &self.data(), start, observer)
    }

    /// Fits temperatures and thresholds on the validation rows, and notes what they say about probabilities; without any, or for a language
    /// model that writes, nothing.
    ///
    /// # Errors
    ///
    /// If the model has diverged.
    pub fn calibrate(
        &self,
        trained: &Adapted<Transformer>,
        ensemble: Option<EnsembleSettings>,
        progress: &dyn Progress,
    ) -> Result<(FittedRules, Option<CalibrationFile>)> {
        let Some(split) = self.validation.as_ref().filter(|split| split.is_scored()) else {
            return Ok((FittedRules::default(), None));
        };
        let outputs = infer(trained, split, ensemble, "calibrating", progress)?;
        let rules = calibrate(&outputs, split, true, progress)?;
        let file = CalibrationFile::of(&outputs, split, rules.temperature)?;
        Ok((rules, file))
    }

    /// Among how many classes a guess is made; none where that differs from row to row.
    pub fn classes(&self) -> Option<usize> {
        match &self.train.detail {
            Detail::Rows(RowDetail::Choices(detail)) => detail.letters.iter().map(Vec::len).max(),
            _ => self.task.labels().map(LabelNames::len),
        }
    }
}

/// Says what was cut, left out, or read in pieces.
fn note_lengths(name: &str, split: &EncodedSplit, longest: usize, progress: &dyn Progress) {
    let (rows, pieces, cut) = (split.len(), split.encoded.len(), split.encoded.truncated);
    if split.left_out > 0 {
        progress.note(&format!(
            "{} left out because the prompt alone is longer than max_seq_length {longest}",
            counted(split.left_out, &format!("{name} row"))
        ));
    }
    if cut > 0 {
        progress.note(&format!(
            "{cut} of {} cut to max_seq_length {longest}",
            counted(pieces, &format!("{name} row"))
        ));
    }
    if rows != pieces {
        progress.note(&format!(
            "{} read in {} of at most {longest} tokens",
            counted(rows, &format!("{name} row")),
            counted(pieces, "piece")
        ));
    }
}
