//! How a model reads texts: its tokenizer, what fills batches, and for a language model what ends a text and how conversations are written.

use lora_data::{Completion, Padding, Task, TextTokenizer, TokenizerError};
use lora_models::generation::{ChatMessage, ChatTemplate, TurnEnd};
use lora_models::{Checkpoint, FamilyConfig};
use serde_json::Value;

use crate::bail;
use crate::error::{Context, Error, Result};

/// How a model reads texts.
#[derive(Debug)]
pub struct TextReader {
    /// Its tokenizer; that of a language model does not cut texts.
    pub tokenizer: TextTokenizer,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
    /// For a language model the tokens that end a text, its own end of text first; else none.
    pub stop_tokens: Vec<u32>,
    /// The longest text that the model was made for.
    pub max_tokens: Option<usize>,
    /// How a language model writes conversations, or why it cannot.
    template: Result<ChatTemplate, String>,
}

impl TextReader {
    /// As a model with the head of this task reads texts of at most `max_seq_length` tokens, or none: of as many as it takes.
    ///
    /// # Errors
    ///
    /// If there is no tokenizer, it does not fit the model, or the length is more than the model has positions.
    pub fn of(files: &Checkpoint, task: &Task, max_seq_length: Option<usize>) -> Result<Self> {
        match task {
            Task::MultipleChoice { .. } | Task::Completion => Self::of_language_model(files, max_seq_length),
            _ => Self::of_encoder(files, max_seq_length),
        }
    }

    fn of_encoder(files: &Checkpoint, max_seq_length: Option<usize>) -> Result<Self> {
        let max_tokens = FamilyConfig::read(files)?.spec().max_tokens;
        let longest = max_seq_length.or(max_tokens).unwrap_or(DEFAULT_LENGTH);
        let tokenizer = open_tokenizer(files, longest)?;
        Ok(Self {
            padding: Padding::with(tokenizer.pad_id()?),
            tokenizer,
            stop_tokens: Vec::new(),
            max_tokens,
            template: Err("the model has no head that writes text".to_owned()),
        })
    }

    fn of_language_model(files: &Checkpoint, max_seq_length: Option<usize>) -> Result<Self> {
        let name = files.origin.display();
        let spec = FamilyConfig::read(files)?.spec();
        if spec.masked_lm.is_some() {
            bail!(
                "`{name}` is an encoder ({}), which cannot continue a text; give a causal language model such as LLaMA",
                files.config["model_type"].as_str().unwrap_or("unknown")
            );
        }
        let max_tokens = spec.max_tokens;
        check_length(files, max_seq_length.unwrap_or_default(), max_tokens)?;
        let Some(bytes) = &files.tokenizer else {
            bail!("`{name}` holds no tokenizer.json; save the tokenizer into the model's folder");
        };
        let tokenizer = TextTokenizer::from_bytes(bytes, files.origin.join("tokenizer.json"))?;
        tokenizer.check_ids(spec.vocab_size)?;
        let stop_tokens = stop_tokens(files)?;
        let Some(end) = stop_tokens.first().copied() else {
            bail!(
                "`{}` names no eos_token_id, so nothing tells where a text ends; add the key",
                files.config_path().display()
            );
        };
        Ok(Self {
            tokenizer,
            padding: Padding::with(files.padding_id().unwrap_or(end)),
            stop_tokens,
            max_tokens,
            template: files.chat_template().map_err(|error| error.to_string()),
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
    /// As [`TextReader::chat_prompt`].
    pub fn chat_turn(&self, row: &Completion, end: Option<&TurnEnd>) -> Result<Completion> {
        let messages = conversation(None, &row.prompt);
        Ok(self.template()?.turn(&messages, &row.completion, end)?)
    }

    fn template(&self) -> Result<&ChatTemplate> {
        self.template.as_ref().map_err(Error::input)
    }
}

/// Longest text of a model that knows no longest one.
const DEFAULT_LENGTH: usize = 128;

fn conversation(system: Option<&str>, prompt: &str) -> Vec<ChatMessage> {
    let message = |role: &str, content: &str| ChatMessage {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let system = system.map(|text| message("system", text));
    system.into_iter().chain([message("user", prompt)]).collect()
}

/// The tokenizer of a checkpoint, cut to a length that the model takes.
///
/// # Errors
///
/// If there is none, it does not fit the model, or the length is more than the model has positions.
pub fn open_tokenizer(checkpoint: &Checkpoint, max_seq_length: usize) -> Result<TextTokenizer> {
    let path = checkpoint.origin.join("tokenizer.json");
    let Some(bytes) = &checkpoint.tokenizer else {
        bail!(
            "`{}` holds no tokenizer.json; save the tokenizer into the model's folder (`save_pretrained` of a fast tokenizer)",
            checkpoint.origin.display()
        );
    };
    let model = FamilyConfig::read(checkpoint)?.spec();
    check_length(checkpoint, max_seq_length, model.max_tokens)?;
    let mut tokenizer = TextTokenizer::from_bytes(bytes, &path)?.with_max_length(max_seq_length)?;
    if let Some(beginning) = checkpoint.cuts_at_beginning()? {
        tokenizer = tokenizer.cut_at_beginning(beginning);
    }
    tokenizer.check_ids(model.vocab_size)?;
    if tokenizer.pad_id().is_ok() {
        return Ok(tokenizer);
    }
    let Some(pad_id) = checkpoint.padding_id() else {
        bail!(
            "`{}` cannot fill up short texts: its tokenizer names no padding token, and `{}` neither pad_token_id nor \
             eos_token_id; add pad_token_id there",
            checkpoint.origin.display(),
            checkpoint.config_path().display()
        );
    };
    Ok(tokenizer.with_pad_id(pad_id))
}

fn check_length(
    checkpoint: &Checkpoint,
    max_length: usize,
    positions: Option<usize>,
) -> Result<(), TokenizerError> {
    match positions.filter(|most| max_length > *most) {
        Some(most) => Err(TokenizerError::MaxLengthTooLarge {
            max_length,
            most,
            config: checkpoint.config_path(),
        }),
        None => Ok(()),
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
