//! An adapter folder on its base model: what `eval` and `predict` start from.

use std::path::{Path, PathBuf};

use burn::module::Module;
use lora_core::peft::EnsembleSettings;
use lora_core::{Adapted, Fp32Precision};
use lora_data::tasks::{AnswerSettings, Benchmark, RowsKind};
use lora_data::{Column, Format, LabelRule, Padding, ReadOptions, Task, TextTokenizer};
use lora_models::{Checkpoint, FamilyConfig, HeadOptions, HubOptions, Transformer, locate};

use crate::bail;
use crate::base::checkpoint::{EMBEDDED_MODEL, embedded_name, is_gguf, open_checkpoint, open_tokenizer};
use crate::base::hub::hub_options;
use crate::base::language_model::LanguageModel;
use crate::calibration::CalibrationFile;
use crate::config::keys::nearest_of;
use crate::data::encoded::{Encoder, Lengths};
use crate::data::kind::{Kind, prompt_style, squad_version};
use crate::device::{DeviceName, Precision};
use crate::error::{Context, Result};
use crate::saved::Saved;
use crate::saved::model_folder::ModelFolder;
use crate::saved::task_file::TaskFile;
use crate::saved::task_of::kind_of;
pub use crate::saved::task_of::task_of;

/// An adapter folder on its base model, ready to predict.
#[derive(Debug)]
pub struct OpenedAdapter {
    /// The model, in validation mode.
    pub adapted: Adapted<Transformer>,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
    /// How many tokens rows have.
    pub lengths: Lengths,
    /// What it predicts.
    pub kind: Kind,
    /// What the folder says about its training; none for a folder that PEFT wrote.
    pub task_file: Option<TaskFile>,
    /// What validation rows said about its probabilities; none for a folder without.
    pub calibration: Option<CalibrationFile>,
    /// The ensemble that the folder recommends: that of `task.json`, which knows temperatures for it, or else that of
    /// `lora_dropout.json`.
    pub ensemble: Option<EnsembleSettings>,
    /// The base model.
    pub base_model: String,
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

/// An adapter folder with its base model's files, before a model is built.
#[derive(Debug)]
pub struct AdapterSource {
    /// What was trained.
    pub saved: Saved,
    /// What the folder says about its training; none for a folder that PEFT wrote.
    pub task_file: Option<TaskFile>,
    /// The base model's name.
    pub base_model: String,
    /// The base model's files.
    pub checkpoint: Checkpoint,
}

/// Opens an adapter folder and the files of its base model.
///
/// # Errors
///
/// If a part is missing or corrupt.
pub fn open_source(adapter: &Path, base: Option<&str>, revision: Option<&str>) -> Result<AdapterSource> {
    let task_file = TaskFile::read(adapter)?;
    let saved = Saved::read(adapter)?;
    let given = task_file.as_ref().map(|task| task.base_model.clone());
    let named = match saved {
        Saved::Model { .. } if base.is_some() => bail!(
            "`{}` is a whole model and needs no base model; leave --model out",
            adapter.display()
        ),
        Saved::Model { .. } => saved.base_model(),
        Saved::Adapter(_) | Saved::Tuned(_) => {
            given.or_else(|| Some(embedded_name(&saved.base_model()?).to_owned()))
        }
    };
    let Some(base_model) = base.map(str::to_owned).or(named) else {
        bail!(
            "`{}` names no base model; give it with --model",
            adapter.display()
        );
    };
    let revision = revision.or_else(|| task_file.as_ref()?.revision.as_deref());
    let hub = hub_options(revision);
    if base.is_none() {
        check_base(adapter, &base_model, &hub, "--model")?;
    }
    let checkpoint = open_checkpoint(&base_model, &hub).with_context(|| {
        format!(
            "the base model of `{}` cannot be opened (--model names another)",
            adapter.display()
        )
    })?;
    Ok(AdapterSource {
        saved,
        task_file,
        base_model,
        checkpoint,
    })
}

/// Refuses a base model that an adapter names by a relative path which leads nowhere from here. A name that can be one of the hub is
/// looked for there. `flag` gives another base model.
///
/// # Errors
///
/// If the base model is not there: with the place that was looked at.
pub fn check_base(adapter: &Path, base_model: &str, hub: &HubOptions, flag: &str) -> Result<()> {
    let path = Path::new(base_model);
    if base_model == EMBEDDED_MODEL || path.is_absolute() || path.exists() {
        return Ok(());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let place = || {
        format!(
            "the base model of `{}` is called `{base_model}`, and there is no `{}` (a relative path starts at the current folder, `{}`); \
             go to the folder from which it was trained, or give the model with {flag}",
            adapter.display(),
            here.join(path).display(),
            here.display()
        )
    };
    let is_path = path.starts_with(".")
        || path.starts_with("..")
        || path.components().count() > 2
        || is_gguf(path)
        || nearest_of(base_model, [EMBEDDED_MODEL]).is_some();
    if is_path {
        bail!("{}", place());
    }
    locate(base_model, hub).with_context(place)?;
    Ok(())
}

/// Tokens of a prompt with choices, at most, unless the user says otherwise.
const LONGEST_PROMPT: usize = 2048;

impl OpenedAdapter {
    /// What it predicts of a text.
    ///
    /// # Errors
    ///
    /// If it is for something else.
    pub fn task(&self) -> Result<&Task> {
        match &self.kind {
            Kind::Texts(task) => Ok(task),
            other => bail!(
                "the adapter is for {}, not for texts",
                other.problem_type().name()
            ),
        }
    }

    /// How rows become batches for it.
    pub fn encoder(&self, batch_size: usize) -> Encoder<'_> {
        Encoder {
            tokenizer: &self.tokenizer,
            padding: self.padding,
            lengths: self.lengths,
            batch_size,
            version: match self.kind {
                Kind::Spans(version) => version,
                _ => squad_version(None),
            },
            style: match self.kind {
                Kind::Choices(style) => style,
                _ => prompt_style(None),
            },
            shots: (&[], 0),
        }
    }
}

/// Opens an adapter folder and puts it on its base model. `asked`: the benchmark that it is to be scored on.
///
/// # Errors
///
/// If a part is missing, corrupt, or does not fit the others, or the adapter is for another kind of task than is asked for.
pub fn open_adapter(args: &AdapterOptions, asked: Option<&Benchmark>) -> Result<OpenedAdapter> {
    let device = args.device.open_in(args.dtype, args.fp32_precision)?;
    let AdapterSource {
        saved,
        task_file,
        base_model,
        mut checkpoint,
    } = open_source(&args.adapter, args.base.as_deref(), args.revision.as_deref())?;
    checkpoint.weights.set_fp32_precision(args.fp32_precision);
    let kind = kind_of(args, task_file.as_ref(), &saved, &checkpoint, asked)?;
    let mut lengths = if let Some(task) = &task_file {
        task.lengths(args.max_seq_length)
    } else {
        // Nobody chose the usual length, so a model that takes less of a text is no mistake.
        let usual = if kind.rows() == RowsKind::Spans { 384 } else { 128 };
        let most = FamilyConfig::read(&checkpoint)?.outline().max_tokens;
        let longest = args
            .max_seq_length
            .unwrap_or(most.map_or(usual, |most| usual.min(most)));
        Lengths {
            longest,
            overlap: longest / 3,
            answer: AnswerSettings::default().longest,
        }
    };
    let (model, loaded, tokenizer, padding, model_folder) = if let Kind::Choices(_) = kind {
        let opened = LanguageModel::of_checkpoint(&base_model, &checkpoint, 0, &device)?;
        // Nothing but memory is won by cutting prompts that the model could read.
        let most = opened.max_tokens.unwrap_or(LONGEST_PROMPT);
        lengths.longest = args.max_seq_length.unwrap_or(most.min(LONGEST_PROMPT));
        if lengths.longest > most {
            bail!(
                "--max-seq-length is {}, but the model takes at most {most} tokens; lower it",
                lengths.longest
            );
        }
        (
            opened.model,
            opened.loaded,
            opened.tokenizer,
            Padding::with(opened.pad_id),
            opened.model_folder,
        )
    } else {
        let tokenizer = open_tokenizer(&checkpoint, lengths.longest)?;
        let head = HeadOptions {
            kind: kind.head(),
            seed: 0,
        };
        // Names that the user gives are those of the outputs as they are.
        let labels = kind
            .labels()
            .filter(|_| task_file.is_some() && args.labels.is_none());
        let (model, loaded) = Transformer::load_for_labels(&checkpoint, head, labels, &device)?;
        let padding = Padding::with(tokenizer.pad_id()?);
        let model_folder = ModelFolder::of(&checkpoint, kind.task().as_ref(), Some(kind.task_type()));
        (model, loaded, tokenizer, padding, model_folder)
    };
    let adapted = saved.put_on(model, &loaded, &base_model, "--model")?;
    let adapted = adapted.map(|model| model.valid());
    let ensemble = match &task_file {
        Some(task) => task.ensemble,
        None => saved.ensemble(),
    };
    Ok(OpenedAdapter {
        adapted,
        tokenizer,
        padding,
        lengths,
        kind,
        task_file,
        calibration: CalibrationFile::read(&args.adapter)?,
        ensemble,
        base_model,
        model_folder,
    })
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
    pub text_column: Option<Column>,
    /// Column of the second text.
    pub text_pair_column: Option<Column>,
    /// Column of the label.
    pub label_column: Option<Column>,
    /// Format of the file, if its name does not tell.
    pub data_format: Option<Format>,
    /// Whether the first row of a CSV or TSV names the columns.
    pub header: Option<bool>,
}
