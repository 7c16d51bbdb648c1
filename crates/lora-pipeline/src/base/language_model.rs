//! A causal language model with all that training and generation need of its folder or GGUF file.

use std::path::Path;

use burn::tensor::Device;
use lora_core::Fp32Precision;
use lora_core::peft::TaskType;
use lora_data::{Completion, TextTokenizer};
use lora_models::generation::{ChatMessage, ChatTemplate, TurnEnd};
use lora_models::gguf::Gguf;
use lora_models::{Checkpoint, FamilyConfig, HeadKind, HeadOptions, LoadReport, Transformer};
use serde_json::Value;

use crate::bail;
use crate::base::checkpoint::{is_gguf, open_checkpoint};
use crate::base::hub::hub_options;
use crate::error::{Context, Error, Result};
use crate::saved::model_folder::ModelFolder;

/// A causal language model, opened.
#[derive(Debug)]
pub struct LanguageModel {
    /// The model.
    pub model: Transformer,
    /// Its tokenizer, without truncation.
    pub tokenizer: TextTokenizer,
    /// Tokens that end a text, the model's own end of text first.
    pub stop_tokens: Vec<u32>,
    /// The token that fills batches.
    pub pad_id: u32,
    /// The longest text that the model was made for.
    pub max_tokens: Option<usize>,
    /// The linears that are adapted unless the user says otherwise.
    pub usual_targets: &'static [&'static str],
    /// What its folder holds beside its weights.
    pub model_folder: ModelFolder,
    /// What the checkpoint lacked or had too much.
    pub loaded: LoadReport,
    template: Template,
}

impl LanguageModel {
    /// Opens a model by folder, hub id or GGUF file; `precision` is that of products with its frozen weights.
    ///
    /// # Errors
    ///
    /// If it is not there, a part is missing or corrupt, or it is no causal language model.
    pub fn open(
        name: &str,
        revision: Option<&str>,
        seed: u64,
        device: &Device,
        precision: Fp32Precision,
    ) -> Result<Self> {
        let (mut checkpoint, template, reading) = open_reading(name, revision)?;
        checkpoint.weights.set_fp32_precision(precision);
        Self::load(&checkpoint, template, reading, seed, device)
    }

    /// Of files that are open already.
    ///
    /// # Errors
    ///
    /// As [`LanguageModel::open`].
    pub fn of_checkpoint(name: &str, checkpoint: &Checkpoint, seed: u64, device: &Device) -> Result<Self> {
        let template = ChatTemplate::of_folder(&checkpoint.origin).map_err(|error| error.to_string());
        let reading = Reading::of(name, checkpoint)?;
        Self::load(checkpoint, template, reading, seed, device)
    }

    fn load(
        checkpoint: &Checkpoint,
        template: Template,
        reading: Reading,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let head = HeadOptions {
            kind: HeadKind::CausalLm,
            seed,
        };
        let (model, loaded) = Transformer::load(checkpoint, head, device)?;
        let Reading {
            tokenizer,
            stop_tokens,
            pad_id,
            max_tokens,
        } = reading;
        Ok(Self {
            model,
            pad_id,
            tokenizer,
            stop_tokens,
            max_tokens,
            usual_targets: FamilyConfig::read(checkpoint)?.family().targets,
            model_folder: ModelFolder::of(checkpoint, None, Some(TaskType::CausalLm)),
            loaded,
            template,
        })
    }

    /// A user's message as the model was trained to read it, up to the beginning of the answer.
    ///
    /// # Errors
    ///
    /// If the model has no chat template, or it refuses the conversation.
    pub fn chat_prompt(&self, system: Option<&str>, prompt: &str) -> Result<String> {
        Ok(self.template()?.render(&conversation(system, prompt), true)?)
    }

    /// How the chat template ends answers; `None` if with no special token.
    ///
    /// # Errors
    ///
    /// If the model has no chat template, or it refuses a question and an answer.
    pub fn turn_end(&self) -> Result<Option<TurnEnd>> {
        Ok(self.template()?.turn_end(&self.tokenizer)?)
    }

    /// A user's message and the answer to learn, as the chat template writes them.
    ///
    /// # Errors
    ///
    /// As [`LanguageModel::chat_prompt`].
    pub fn chat_turn(&self, row: &Completion, end: Option<&TurnEnd>) -> Result<Completion> {
        let messages = conversation(None, &row.prompt);
        Ok(self.template()?.turn(&messages, &row.completion, end)?)
    }

    fn template(&self) -> Result<&ChatTemplate> {
        self.template.as_ref().map_err(Error::input)
    }
}

fn conversation(system: Option<&str>, prompt: &str) -> Vec<ChatMessage> {
    let message = |role: &str, content: &str| ChatMessage {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let system = system.map(|text| message("system", text));
    system.into_iter().chain([message("user", prompt)]).collect()
}

/// What a language model's texts are read with.
#[derive(Debug)]
pub struct Reading {
    /// Its tokenizer, without truncation.
    pub tokenizer: TextTokenizer,
    /// Tokens that end a text, the model's own end of text first.
    pub stop_tokens: Vec<u32>,
    /// The token that fills batches.
    pub pad_id: u32,
    /// The longest text that the model was made for.
    pub max_tokens: Option<usize>,
}

/// The template of conversations, or why there is none.
type Template = Result<ChatTemplate, String>;

/// Opens all of a language model but its weights.
///
/// # Errors
///
/// As [`LanguageModel::open`].
pub fn open_reading(name: &str, revision: Option<&str>) -> Result<(Checkpoint, Template, Reading)> {
    let (checkpoint, template) = if is_gguf(Path::new(name)) {
        let gguf = Gguf::open(Path::new(name))?;
        let template = gguf.chat_template();
        let template =
            template.ok_or_else(|| format!("`{name}` holds no chat template; give a plain prompt"));
        (gguf.into_checkpoint()?, template)
    } else {
        let checkpoint = open_checkpoint(name, &hub_options(revision))?;
        let template = ChatTemplate::of_folder(&checkpoint.origin);
        (checkpoint, template.map_err(|error| error.to_string()))
    };
    let reading = Reading::of(name, &checkpoint)?;
    Ok((checkpoint, template, reading))
}

impl Reading {
    fn of(name: &str, checkpoint: &Checkpoint) -> Result<Self> {
        let outline = FamilyConfig::read(checkpoint)?.outline();
        if outline.masked_lm.is_some() {
            bail!(
                "`{name}` is an encoder ({}), which cannot continue a text; give a causal language model such as LLaMA",
                checkpoint.config["model_type"].as_str().unwrap_or("unknown")
            );
        }
        let Some(bytes) = &checkpoint.tokenizer else {
            bail!("`{name}` holds no tokenizer.json; save the tokenizer into the model's folder");
        };
        let tokenizer = TextTokenizer::from_bytes(bytes, checkpoint.origin.join("tokenizer.json"))?;
        if tokenizer.vocabulary_size() > outline.vocab_size {
            bail!(
                "the tokenizer of `{name}` has {} tokens, but the model knows {}; it belongs to another model",
                tokenizer.vocabulary_size(),
                outline.vocab_size
            );
        }
        let stop_tokens = stop_tokens(checkpoint)?;
        let Some(end) = stop_tokens.first().copied() else {
            bail!(
                "`{}` names no eos_token_id, so nothing tells where a text ends; add the key",
                checkpoint.config_path().display()
            );
        };
        Ok(Self {
            pad_id: checkpoint.padding_id().unwrap_or(end),
            tokenizer,
            stop_tokens,
            max_tokens: outline.max_tokens,
        })
    }
}

/// The tokens that end a text: those of `config.json`, then further ones of `generation_config.json`.
fn stop_tokens(checkpoint: &Checkpoint) -> Result<Vec<u32>> {
    let mut tokens = ids(&checkpoint.config["eos_token_id"]);
    let path = checkpoint.origin.join("generation_config.json");
    if path.is_file() {
        let text = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let config: Value = serde_json::from_slice(&text).with_context(|| format!("`{}`", path.display()))?;
        for token in ids(&config["eos_token_id"]) {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
    }
    Ok(tokens)
}

/// One id or a list of them.
fn ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(items) => items.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ids;

    #[test]
    fn one_id_and_several_are_read() {
        assert_eq!(ids(&json!(2)), [2]);
        assert_eq!(ids(&json!([128_001, 128_009])), [128_001, 128_009]);
        assert!(ids(&json!(null)).is_empty());
    }
}
