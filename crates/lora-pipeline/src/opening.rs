//! The base model of a training, with the head of its kind of task, and the tokenizer that its rows are read with.

use burn::tensor::Device;
use lora_data::{Padding, TextTokenizer};
use lora_models::{FamilyConfig, HeadOptions, LoadReport, Transformer};

use crate::bail;
use crate::base_model::{open_checkpoint, open_tokenizer};
use crate::config::RunConfig;
use crate::error::Result;
use crate::hub::hub_options;
use crate::kind::Kind;
use crate::language_model::{LanguageModel, Reading, open_reading};
use crate::model_folder::ModelFolder;

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

/// Opens the base model: a language model for choices by letter, else one with the head of the kind. Its seed is that of the training.
///
/// # Errors
///
/// If the model is not there, or a setting does not fit it.
pub fn open(config: &RunConfig, kind: &Kind, device: &Device) -> Result<Opened> {
    let (name, revision, seed) = (
        &config.model_name_or_path,
        config.revision.as_deref(),
        config.train.seed,
    );
    if let Kind::Choices(_) = kind {
        let opened = LanguageModel::open(name, revision, seed, device)?;
        check_length(config, opened.max_tokens)?;
        return Ok(Opened {
            model: opened.model,
            loaded: opened.loaded,
            tokenizer: opened.tokenizer,
            padding: Padding::with(opened.pad_id),
            usual_targets: opened.usual_targets,
            model_folder: opened.model_folder,
        });
    }
    let checkpoint = open_checkpoint(name, &hub_options(revision))?;
    let tokenizer = open_tokenizer(&checkpoint, config.max_seq_length)?;
    let head = HeadOptions {
        kind: kind.head(),
        seed,
    };
    let (model, loaded) = Transformer::load(&checkpoint, head, device)?;
    Ok(Opened {
        model,
        loaded,
        padding: Padding::with(tokenizer.pad_id()?),
        tokenizer,
        usual_targets: FamilyConfig::read(&checkpoint)?.family().targets,
        model_folder: ModelFolder::of(&checkpoint, kind.task().as_ref(), Some(kind.task_type())),
    })
}

/// The tokenizer alone, and its padding.
///
/// # Errors
///
/// As [`open`], but for the weights.
pub fn open_tokenizer_of(config: &RunConfig, kind: &Kind) -> Result<(TextTokenizer, Padding)> {
    let (name, revision) = (&config.model_name_or_path, config.revision.as_deref());
    if let Kind::Choices(_) = kind {
        let (_, _, reading) = open_reading(name, revision)?;
        let Reading {
            tokenizer,
            pad_id,
            max_tokens,
            ..
        } = reading;
        check_length(config, max_tokens)?;
        return Ok((tokenizer, Padding::with(pad_id)));
    }
    let checkpoint = open_checkpoint(name, &hub_options(revision))?;
    let tokenizer = open_tokenizer(&checkpoint, config.max_seq_length)?;
    let padding = Padding::with(tokenizer.pad_id()?);
    Ok((tokenizer, padding))
}

fn check_length(config: &RunConfig, max_tokens: Option<usize>) -> Result<()> {
    let longest = config.max_seq_length;
    if let Some(most) = max_tokens.filter(|most| longest > *most) {
        bail!("max_seq_length is {longest}, but the model takes at most {most} tokens; lower it");
    }
    Ok(())
}
