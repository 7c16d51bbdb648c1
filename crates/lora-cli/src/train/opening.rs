//! The base model of a training, with the head of its kind of task.

use anyhow::{Result, bail};
use burn::tensor::Device;
use lora_data::{Padding, TextTokenizer};
use lora_models::{FamilyConfig, HeadOptions, LoadReport, Transformer};

use crate::config::Resolved;
use crate::kind::Kind;
use crate::language_model::LanguageModel;
use crate::model_folder::ModelFolder;
use crate::pipeline::{hub_options, open_checkpoint, open_tokenizer};

/// A base model and what belongs to it.
pub(super) struct Opened {
    pub model: Transformer,
    pub loaded: LoadReport,
    pub tokenizer: TextTokenizer,
    pub padding: Padding,
    /// The linears that are adapted unless the user says otherwise.
    pub usual_targets: &'static [&'static str],
    pub model_folder: ModelFolder,
}

/// Opens the base model: a language model for choices by letter, else one with the head of the kind.
pub(super) fn open(resolved: &Resolved, kind: &Kind, device: &Device) -> Result<Opened> {
    let config = &resolved.config;
    let (name, revision, seed) = (
        &config.model_name_or_path,
        config.revision.as_deref(),
        config.train.seed,
    );
    if let Kind::Choices(_) = kind {
        let opened = LanguageModel::open(name, revision, seed, device)?;
        let longest = config.max_seq_length;
        if let Some(most) = opened.max_tokens.filter(|most| longest > *most) {
            bail!("max_seq_length is {longest}, but the model takes at most {most} tokens; lower it");
        }
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
