//! A base model with the head of a task, and how it reads texts; adapters on it.

pub mod checkpoint;
pub mod hub;
pub mod model_folder;
pub mod reader;
pub mod shared;

use burn::tensor::Device;
use lora_core::adapted::AttachReport;
use lora_core::peft::TaskType;
use lora_core::{Adapted, ConfigError, Fp32Precision, Tuning};
use lora_data::{LabelNames, Task};
use lora_models::{Checkpoint, FamilyConfig, HeadKind, HeadOptions, LoadReport, Transformer};

use self::checkpoint::open_checkpoint;
use self::hub::hub_options;
use self::model_folder::ModelFolder;
pub use self::reader::{TextReader, open_tokenizer};
use crate::config::RunConfig;
use crate::error::Result;

/// Which base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModel {
    /// Folder, GGUF file, hub id, or the name of the embedded one.
    pub name: String,
    /// Branch, tag or commit of a hub id.
    pub revision: Option<String>,
}

impl BaseModel {
    /// The model of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            revision: None,
        }
    }

    /// That of a training.
    pub fn of(config: &RunConfig) -> Self {
        Self {
            name: config.model_name_or_path.clone(),
            revision: config.revision.clone(),
        }
    }

    /// The same model at a branch, tag or commit of its hub id.
    #[must_use]
    pub fn at_revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }
}

/// A base model and what belongs to it.
#[derive(Debug)]
pub struct OpenedBase {
    /// With its head.
    pub model: Transformer,
    /// What the checkpoint lacked or had too much.
    pub loaded: LoadReport,
    /// How it reads texts.
    pub reader: TextReader,
    /// The linears that are adapted unless the user says otherwise.
    pub default_targets: &'static [&'static str],
    /// What its folder holds beside its weights.
    pub model_folder: ModelFolder,
}

/// Which base model, and how much of a text it reads.
#[derive(Clone, Copy, Debug)]
pub struct BaseOptions<'a> {
    /// A folder, a GGUF file, a hub id, or the name of the embedded one.
    pub name: &'a str,
    /// Branch, tag or commit of a hub id.
    pub revision: Option<&'a str>,
    /// Longest text in tokens; none: as long as the model takes.
    pub max_seq_length: Option<usize>,
    /// How products with its frozen weights are computed.
    pub fp32_precision: Fp32Precision,
}

impl<'a> BaseOptions<'a> {
    /// The base model of a training.
    pub fn of(config: &'a RunConfig) -> Self {
        Self {
            name: &config.model_name_or_path,
            revision: config.revision.as_deref(),
            max_seq_length: Some(config.max_seq_length),
            fp32_precision: config.fp32_precision,
        }
    }

    /// The files of the model, none of whose weights is read yet.
    ///
    /// # Errors
    ///
    /// If it is not there, or a file is missing or corrupt.
    pub fn files(&self) -> Result<Checkpoint> {
        let mut checkpoint = open_checkpoint(self.name, &hub_options(self.revision))?;
        checkpoint.weights.set_fp32_precision(self.fp32_precision);
        Ok(checkpoint)
    }

    /// How the model reads texts, without its weights.
    ///
    /// # Errors
    ///
    /// As [`BaseOptions::open`], but for the weights.
    pub fn reader(&self, task: &Task) -> Result<TextReader> {
        TextReader::of(&self.files()?, task, self.max_seq_length)
    }

    /// Opens a base model with the head of a task. New parts are drawn from `seed`.
    ///
    /// # Errors
    ///
    /// If the model is not there, or a setting does not fit it.
    pub fn open(&self, task: &Task, seed: u64, device: &Device) -> Result<OpenedBase> {
        let files = self.files()?;
        let reader = TextReader::of(&files, task, self.max_seq_length)?;
        OpenedBase::load(&files, reader, task, task.labels(), seed, device)
    }
}

impl OpenedBase {
    /// Builds the model from files that are open. `labels`: the outputs of the head in their order, where the checkpoint's own head may have
    /// them in another one.
    ///
    /// # Errors
    ///
    /// If a tensor is missing or of the wrong shape, or the family has no such head.
    pub fn load(
        files: &Checkpoint,
        reader: TextReader,
        task: &Task,
        labels: Option<&LabelNames>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let (model, loaded) = Transformer::load_for_labels(files, head_of(task, seed), labels, device)?;
        Self::with(model, loaded, files, reader, task)
    }

    /// As [`OpenedBase::load`], with the backbone of a model that was loaded from the same files. The two share its tensors.
    ///
    /// # Errors
    ///
    /// As [`OpenedBase::load`].
    pub fn load_on(
        shared: &Transformer,
        files: &Checkpoint,
        reader: TextReader,
        task: &Task,
        labels: Option<&LabelNames>,
        device: &Device,
    ) -> Result<Self> {
        let (model, loaded) = shared.with_head(files, head_of(task, 0), labels, device)?;
        Self::with(model, loaded, files, reader, task)
    }

    fn with(
        model: Transformer,
        loaded: LoadReport,
        files: &Checkpoint,
        reader: TextReader,
        task: &Task,
    ) -> Result<Self> {
        Ok(Self {
            model,
            loaded,
            reader,
            default_targets: FamilyConfig::read(files)?.family().targets,
            model_folder: ModelFolder::of(files, task),
        })
    }
}

fn head_of(task: &Task, seed: u64) -> HeadOptions {
    HeadOptions {
        kind: HeadKind::from(task),
        seed,
    }
}

/// Last components of modules that a model may have though its checkpoint has no tensor of theirs: output layers.
const MADE: [&str; 9] = [
    "classifier",
    "score",
    "qa_outputs",
    "lm_head",
    "pre_classifier",
    "pooler",
    "dense",
    "out_proj",
    "decoder",
];

impl BaseOptions<'_> {
    /// Refuses targets that the model does not have, by the names in its files: loading it may take minutes.
    ///
    /// # Errors
    ///
    /// The wrong name, with those that there are. A model that is not there is left to [`BaseOptions::open`].
    pub fn check_targets(&self, config: &RunConfig) -> std::result::Result<(), ConfigError> {
        let Ok(files) = self.files() else { return Ok(()) };
        let Ok(family) = FamilyConfig::read(&files) else {
            return Ok(());
        };
        let Tuning::Lora(lora) = config.tuning(&[], family.family().targets) else {
            return Ok(());
        };
        let weights = &files.weights;
        let of_matrix = |name: &&str| weights.shape(name).is_some_and(|shape| shape.len() > 1);
        let modules = weights
            .names()
            .filter(of_matrix)
            .filter_map(|name| name.strip_suffix(".weight"));
        let mut modules: Vec<String> = modules.map(str::to_owned).collect();
        // Those of layers are named first.
        let is_of_layer = |module: &String| module.split('.').any(|part| part.parse::<usize>().is_ok());
        modules.sort_by_key(|module| !is_of_layer(module));
        lora.targets.check_modules(&modules, &MADE)
    }
}

/// Puts adapters on a base model. Its new modules are trained and saved too: others would be drawn with another seed.
///
/// # Errors
///
/// If a setting does not fit the model.
pub fn attach(
    model: Transformer,
    loaded: &LoadReport,
    mut tuning: Tuning,
    seed: u64,
) -> Result<(Adapted<Transformer>, AttachReport), ConfigError> {
    tuning.save_also(loaded.new_modules());
    Adapted::attach(model, tuning, seed)
}

/// PEFT's name for a task.
pub fn task_type(task: &Task) -> TaskType {
    match task {
        Task::Classification { .. } | Task::MultiLabel { .. } | Task::Regression => TaskType::SeqCls,
        Task::QuestionAnswering { .. } => TaskType::QuestionAns,
        Task::Tagging { .. } => TaskType::TokenCls,
        Task::MultipleChoice { .. } | Task::Completion => TaskType::CausalLm,
    }
}
