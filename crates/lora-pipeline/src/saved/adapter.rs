//! An adapter folder on its base model: what `eval` and `predict` start from.

use std::path::PathBuf;

use burn::module::Module;
use lora_core::gaussian::{POSTERIOR_FILE, POSTERIOR_TENSOR_FILE};
use lora_core::peft::EnsembleSettings;
use lora_core::{Adapted, Fp32Precision};
use lora_data::tasks::{AnswerSettings, Benchmark};
use lora_data::{ColumnSelector, Format, LabelRule, ReadOptions, Task};
use lora_models::{Checkpoint, FamilyConfig, Transformer};

use super::Saved;
use super::source::{AdapterSource, open_source};
use super::task_file::{TASK_FILE, TaskFile};
use crate::bail;
use crate::base::model_folder::ModelFolder;
use crate::base::shared::SharedBases;
use crate::base::{BaseModel, OpenedBase, TextReader};
use crate::calibration::{Calibrated, CalibrationFile};
use crate::config::{Lengths, changes_nothing};
use crate::data::encoded::RowEncoder;
use crate::device::{DeviceName, Precision};
use crate::error::Result;

/// An adapter folder on its base model, ready to predict.
#[derive(Debug)]
pub struct OpenedAdapter {
    /// The model, in validation mode.
    pub adapted: Adapted<Transformer>,
    /// How it reads texts.
    pub reader: TextReader,
    /// How many tokens rows have.
    pub lengths: Lengths,
    /// What it predicts.
    pub task: Task,
    /// What the folder says about its training; none for a folder that PEFT wrote.
    pub task_file: Option<TaskFile>,
    /// What validation rows said about its probabilities; none for a folder without.
    pub calibration: Option<CalibrationFile>,
    /// The ensemble that the folder recommends: that of `task.json`, which knows temperatures for it, or else that of
    /// `lora_dropout.json`.
    pub ensemble: Option<EnsembleSettings>,
    /// The base model, by which adapters share it.
    pub base: BaseModel,
    /// What a whole model's folder holds beside its weights.
    pub model_folder: ModelFolder,
}

/// Where an adapter is and what the folder may not say itself.
#[derive(Clone, Debug)]
pub struct AdapterOptions {
    /// Folder written by a training here, or adapter folder by PEFT.
    pub adapter: PathBuf,
    /// Base model, if it is not where the adapter folder says: a folder, a hub id, or minilm-l6.
    pub base: Option<String>,
    /// Branch, tag or commit of a hub id.
    pub revision: Option<String>,
    /// Class names in the order of the outputs, for an adapter folder that does not name them.
    pub labels: Option<Vec<String>>,
    /// Longest text in tokens; none: as in training, else 128.
    pub max_seq_length: Option<usize>,
    /// Where the tensors are.
    pub device: DeviceName,
    /// What the model computes in.
    pub dtype: Precision,
    /// How products with its frozen weights are computed.
    pub fp32_precision: Fp32Precision,
}

/// Tokens of a prompt with choices, at most, unless the user says otherwise.
const LONGEST_PROMPT: usize = 2048;

impl OpenedAdapter {
    fn of(
        mut source: AdapterSource,
        task: Task,
        args: &AdapterOptions,
        bases: Option<&mut SharedBases>,
    ) -> Result<Self> {
        let device = args.device.open_in(args.dtype, args.fp32_precision)?;
        let files = &mut source.checkpoint;
        files.weights.set_fp32_precision(args.fp32_precision);
        let lengths = lengths(source.task_file.as_ref(), &task, files, args.max_seq_length)?;
        let reader = TextReader::of(files, &task, Some(lengths.longest))?;
        // Names that the user gives are those of the outputs as they are.
        let labels = task
            .labels()
            .filter(|_| source.task_file.is_some() && args.labels.is_none());
        let base = match (bases, &source.saved) {
            (Some(bases), Saved::Adapter(_) | Saved::Tuned(_)) => {
                bases.open(&source.base, files, reader, (&task, labels), &device)?
            }
            _ => OpenedBase::load(files, reader, &task, labels, 0, &device)?,
        };
        let adapted = source
            .saved
            .put_on(base.model, &base.loaded, &source.base.name, "--model")?;
        let promised = source.task_file.as_ref().and_then(|task| task.posterior);
        if promised.is_some() && adapted.posterior().is_none() {
            bail!(
                "`{}` says that the adapter has a posterior, but {POSTERIOR_FILE} is missing beside it; put it back with \
                 {POSTERIOR_TENSOR_FILE}, or make the adapter anew",
                args.adapter.join(TASK_FILE).display()
            );
        }
        Ok(Self {
            adapted: adapted.map(|model| model.valid()),
            reader: base.reader,
            lengths,
            task,
            ensemble: match &source.task_file {
                Some(task) => task.ensemble,
                None => source.saved.ensemble(),
            },
            task_file: source.task_file,
            calibration: CalibrationFile::read(&args.adapter)?,
            base: source.base,
            model_folder: base.model_folder,
        })
    }

    /// What calibration is about.
    pub fn calibrated(&self) -> Calibrated<'_> {
        Calibrated {
            task: &self.task,
            file: self.calibration.as_ref(),
        }
    }

    /// Whether its texts come in pairs.
    pub fn reads_pairs(&self) -> bool {
        let saved = self.task_file.as_ref();
        saved.is_some_and(|task| task.text_pair_column.is_some())
    }

    /// How rows become batches for it.
    pub fn encoder(&self, batch_size: usize) -> RowEncoder<'_> {
        RowEncoder::new(&self.reader, &self.task, self.lengths, batch_size)
    }
}

/// How many tokens rows have: as in training, or as many as the user says.
fn lengths(
    task_file: Option<&TaskFile>,
    task: &Task,
    files: &Checkpoint,
    given: Option<usize>,
) -> Result<Lengths> {
    let most = FamilyConfig::read(files)?.spec().max_tokens;
    let (default, is_prompt) = match task {
        // Nothing but memory is won by cutting prompts that the model could read.
        Task::MultipleChoice { .. } | Task::Completion => (LONGEST_PROMPT, true),
        Task::QuestionAnswering { .. } => (384, false),
        _ => (128, false),
    };
    // Nobody chose the default length, so a model that takes less of a text is no mistake.
    let default = most.map_or(default, |most| default.min(most));
    Ok(match task_file {
        Some(file) if !is_prompt => file.lengths(given),
        _ => {
            let longest = given.unwrap_or(default);
            Lengths {
                longest,
                overlap: longest / 3,
                answer: AnswerSettings::default().longest,
            }
        }
    })
}

/// Opens an adapter folder for labelled rows and puts it on its base model. `asked`: the benchmark that it is to be scored on.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the adapter is for another task than is asked for.
pub fn open_adapter(args: &AdapterOptions, asked: Option<&Benchmark>) -> Result<OpenedAdapter> {
    let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    let task = source.labelled_task(args.labels.as_deref(), asked)?;
    OpenedAdapter::of(source, task, args, None)
}

/// As [`open_adapter`], on a base model that adapters share. A whole model shares none.
///
/// # Errors
///
/// As [`open_adapter`].
pub fn open_adapter_on(args: &AdapterOptions, bases: &mut SharedBases) -> Result<OpenedAdapter> {
    let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    let task = source.labelled_task(args.labels.as_deref(), None)?;
    OpenedAdapter::of(source, task, args, Some(bases))
}

/// Opens the adapter folder of a language model, to write text.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the base model is no causal language model.
pub fn open_language_adapter(args: &AdapterOptions) -> Result<OpenedAdapter> {
    let source = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    OpenedAdapter::of(source, Task::Completion, args, None)
}

/// How a data file is read: as the training's files were, but for what flags say.
pub fn read_options(saved: Option<&TaskFile>, given: &ColumnOptions, labels: LabelRule) -> ReadOptions {
    let mut columns = saved.map(TaskFile::columns).unwrap_or_default();
    if given.text_column.is_some() {
        columns.text.clone_from(&given.text_column);
        // A pair of the training has nothing to do with another text column.
        columns.text_pair = None;
    }
    if given.text_pair_column.is_some() {
        columns.text_pair.clone_from(&given.text_pair_column);
    }
    if given.label_column.is_some() {
        columns.label.clone_from(&given.label_column);
    }
    ReadOptions {
        format: given.data_format,
        columns,
        labels,
        header: (given.header).unwrap_or_else(|| saved.is_none_or(|task| task.header)),
        ..ReadOptions::default()
    }
}

/// Which columns of a data file are read; what is none is as in training.
#[derive(Clone, Debug, Default)]
pub struct ColumnOptions {
    /// Column of the text, by name or index from 0.
    pub text_column: Option<ColumnSelector>,
    /// Column of the second text.
    pub text_pair_column: Option<ColumnSelector>,
    /// Column of the label.
    pub label_column: Option<ColumnSelector>,
    /// Format of the file, if its name does not tell.
    pub data_format: Option<Format>,
    /// Whether the first row of a CSV or TSV names the columns.
    pub header: Option<bool>,
}

impl ColumnOptions {
    /// Refuses what is given for rows in the form of a benchmark, or of no texts, where it would be read by nobody.
    ///
    /// # Errors
    ///
    /// If anything is given.
    pub fn check_unused(&self, benchmark: &Benchmark) -> Result<()> {
        let given = [
            ("--text-column", self.text_column.is_some()),
            ("--text-pair-column", self.text_pair_column.is_some()),
            ("--label-column", self.label_column.is_some()),
            ("--data-format", self.data_format.is_some()),
            ("--header", self.header.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => bail!("{}", changes_nothing(flag, benchmark)),
            None => Ok(()),
        }
    }
}
