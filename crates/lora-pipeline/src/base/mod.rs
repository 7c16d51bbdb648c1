//! A base model with the head of a kind of task, and the tokenizer that its rows are read with; adapters on it.

pub mod checkpoint;
pub mod hub;
pub mod language_model;

use burn::tensor::Device;
use lora_core::adapted::AttachReport;
use lora_core::{Adapted, ConfigError, Fp32Precision, Tuning};
use lora_data::{Padding, TextTokenizer};
use lora_models::{FamilyConfig, HeadOptions, LoadReport, Transformer};

use crate::bail;
use crate::base::checkpoint::{open_checkpoint, open_tokenizer};
use crate::base::hub::hub_options;
use crate::base::language_model::{LanguageModel, open_reading};
use crate::data::kind::Kind;
use crate::error::Result;
use crate::saved::model_folder::ModelFolder;

/// A base model and what belongs to it.
pub struct Opened {
    /// With its head.
    pub model: Transformer,
    /// What the checkpoint lacked or had too much.
    pub loaded: LoadReport,
    /// That of the model.
    pub tokenizer: TextTokenizer,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
    /// The linears that are adapted unless the user says otherwise.
    pub usual_targets: &'static [&'static str],
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
    /// Longest text in tokens.
    pub max_seq_length: usize,
    /// How products with its frozen weights are computed.
    pub fp32_precision: Fp32Precision,
}

/// Opens a base model: a language model for choices by letter, else one with the head of the kind. New parts are drawn from `seed`.
///
/// # Errors
///
/// If the model is not there, or a setting does not fit it.
pub fn open(base: BaseOptions<'_>, kind: &Kind, seed: u64, device: &Device) -> Result<Opened> {
    if let Kind::Choices(_) = kind {
        let opened = LanguageModel::open(base.name, base.revision, seed, device, base.fp32_precision)?;
        check_length(base.max_seq_length, opened.max_tokens)?;
        return Ok(Opened {
            model: opened.model,
            loaded: opened.loaded,
            tokenizer: opened.tokenizer,
            padding: Padding::with(opened.pad_id),
            usual_targets: opened.usual_targets,
            model_folder: opened.model_folder,
        });
    }
    let mut checkpoint = open_checkpoint(base.name, &hub_options(base.revision))?;
    checkpoint.weights.set_fp32_precision(base.fp32_precision);
    let tokenizer = open_tokenizer(&checkpoint, base.max_seq_length)?;
    let head = HeadOptions {
        kind: kind.head(),
        seed,
    };
    let (model, loaded) = Transformer::load_for_labels(&checkpoint, head, kind.labels(), device)?;
    Ok(Opened {
        model,
        loaded,
        padding: Padding::with(tokenizer.pad_id()?),
        tokenizer,
        usual_targets: FamilyConfig::read(&checkpoint)?.family().targets,
        model_folder: ModelFolder::of(&checkpoint, kind.task().as_ref(), Some(kind.task_type())),
    })
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

/// The tokenizer alone, and its padding.
///
/// # Errors
///
/// As [`open`], but for the weights.
pub fn open_tokenizer_of(base: BaseOptions<'_>, kind: &Kind) -> Result<(TextTokenizer, Padding)> {
    if let Kind::Choices(_) = kind {
        let (_, _, reading) = open_reading(base.name, base.revision)?;
        check_length(base.max_seq_length, reading.max_tokens)?;
        return Ok((reading.tokenizer, Padding::with(reading.pad_id)));
    }
    let checkpoint = open_checkpoint(base.name, &hub_options(base.revision))?;
    let tokenizer = open_tokenizer(&checkpoint, base.max_seq_length)?;
    let padding = Padding::with(tokenizer.pad_id()?);
    Ok((tokenizer, padding))
}

/// Refuses texts that are longer than a language model reads.
///
/// # Errors
///
/// With both lengths.
pub fn check_length(longest: usize, max_tokens: Option<usize>) -> Result<()> {
    if let Some(most) = max_tokens.filter(|most| longest > *most) {
        bail!("max_seq_length is {longest}, but the model takes at most {most} tokens; lower it");
    }
    Ok(())
}
