//! Chat templates: a conversation written as the model was trained to read it. Templates are Jinja, as in Hugging Face's
//! `tokenizer_config.json` or `chat_template.jinja`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::paid_text;
use super::python_methods::call_method;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// The template of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTemplate {
    origin: PathBuf,
    source: String,
    special: SpecialTokens,
}

/// What templates call `bos_token` and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpecialTokens {
    pub bos: Option<String>,
    pub eos: Option<String>,
    pub pad: Option<String>,
    pub unk: Option<String>,
}

/// A chat template that cannot be used.
#[derive(Debug, Error)]
pub enum ChatError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `tokenizer_config.json` is no JSON.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: serde_json::Error,
    },
    /// The model has no template.
    #[error(
        "{} holds no chat template (chat_template.jinja, or chat_template in tokenizer_config.json); it may be a base \
         model: give a plain prompt", folder.display()
    )]
    NoTemplate {
        /// The folder.
        folder: PathBuf,
    },
    /// The template does more than one for conversations does.
    #[error(
        "the chat template of {} does not end within {MOST_FUEL} instructions and {} MiB; give another model, or put a template that \
         does into chat_template.jinja", path.display(), MOST_FUEL >> 14
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The template does not parse, or refuses the conversation.
    #[error("the chat template of {}: {reason}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What the engine or the template says.
        reason: Box<minijinja::Error>,
    },
}

/// What a template may spend on a conversation: one an instruction, and one for each 64 bytes that it makes or looks through.
pub(super) const MOST_FUEL: u64 = 1_000_000;

/// Bytes of a template; those of models have some thousand.
const LONGEST_SOURCE: usize = u16::MAX as usize - 1;
/// Words, signs and texts of a tag; those of the templates in the tests have at most 17. For each link of a chain such as `a.b.c` or
/// `- - - a` the engine goes one call deeper, and looks at all that is left of the chain.
const LONGEST_TAG: usize = 1_000;
/// Bytes of the stack that a template is read on, for chains of that length.
const STACK: usize = 16 << 20;

impl ChatTemplate {
    /// The template of a model's folder.
    ///
    /// # Errors
    ///
    /// [`ChatError`] if there is none, or a file cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self, ChatError> {
        let config_path = folder.join("tokenizer_config.json");
        let config: serde_json::Value = match read(&config_path)? {
            Some(text) => serde_json::from_str(&text).map_err(|reason| ChatError::Json {
                path: config_path.clone(),
                reason,
            })?,
            None => serde_json::Value::Null,
        };
        let template_path = folder.join("chat_template.jinja");
        let (origin, source) = match (read(&template_path)?, template_in(&config)) {
            (Some(source), _) => (template_path, source),
            (None, Some(source)) => (config_path, source.to_owned()),
            (None, None) => {
                return Err(ChatError::NoTemplate {
                    folder: folder.to_owned(),
                });
            }
        };
        Ok(Self {
            origin,
            source,
            special: SpecialTokens::of_config(&config),
        })
    }

    /// A template by its text, without special tokens; `origin` names it in messages.
    pub fn from_source(source: impl Into<String>, origin: impl Into<PathBuf>) -> Self {
        Self {
            origin: origin.into(),
            source: source.into(),
            special: SpecialTokens::default(),
        }
    }

    /// The same with the tokens for the beginning and the end of a text, which templates may write.
    #[must_use]
    pub fn with_special_tokens(mut self, bos_token: Option<String>, eos_token: Option<String>) -> Self {
        self.special.bos = bos_token;
        self.special.eos = eos_token;
        self
    }

    /// The template as it is written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as a prompt. `add_generation_prompt` ends it with the beginning of an answer.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] if the template does not parse, or refuses the conversation; [`ChatError::TooLong`] if it does not end, or
    /// makes more of it than a prompt can be.
    pub fn render(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String, ChatError> {
        stacker::grow(STACK, || self.rendered(messages, add_generation_prompt))
    }

    fn rendered(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String, ChatError> {
        let failed = |reason: minijinja::Error| match reason.kind() {
            ErrorKind::OutOfFuel => ChatError::TooLong {
                path: self.origin.clone(),
            },
            _ => ChatError::Template {
                path: self.origin.clone(),
                reason: Box::new(reason),
            },
        };
        // The engine counts columns in 16 bits.
        if self.source.len() > LONGEST_SOURCE {
            let message = format!(
                "it has {} bytes, more than the {LONGEST_SOURCE} that are read",
                self.source.len()
            );
            return Err(failed(minijinja::Error::new(ErrorKind::SyntaxError, message)));
        }
        // As Transformers sets up Jinja.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(failed)?;
        if let Some(line) = line_of_long_tag(&self.source, &syntax) {
            let message = format!(
                "the tag in line {line} has more than the {LONGEST_TAG} words and signs that are read"
            );
            return Err(failed(minijinja::Error::new(ErrorKind::SyntaxError, message)));
        }
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_fuel(Some(MOST_FUEL));
        environment.set_unknown_method_callback(call_method);
        environment.add_function("raise_exception", raise_exception);
        paid_text::charge(&mut environment);
        let source = without_generation_marks(&self.source);
        let template = environment.template_from_str(&source).map_err(failed)?;
        template
            .render(context! {
                messages => messages.iter().cloned().map(Value::from_object).collect::<Value>(),
                add_generation_prompt,
                bos_token => or_undefined(self.special.bos.as_deref()),
                eos_token => or_undefined(self.special.eos.as_deref()),
                pad_token => or_undefined(self.special.pad.as_deref()),
                unk_token => or_undefined(self.special.unk.as_deref()),
            })
            .map_err(failed)
    }
}

/// The template without the marks `{% generation %}` and `{% endgeneration %}`, with which Transformers finds an answer's tokens:
/// blocks that always hold stand in their places, so that white space is trimmed as around them.
fn without_generation_marks(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let end = tag.find("%}").map_or(tag.len(), |end| end + "%}".len());
        let (tag, after) = tag.split_at(end);
        let word = tag.trim_matches(['{', '}', '%', '-', '+', ' ', '\n', '\t']);
        text.push_str(before);
        match word {
            "generation" => text.push_str(&tag.replacen(word, "if true", 1)),
            "endgeneration" => text.push_str(&tag.replacen(word, "endif", 1)),
            _ => text.push_str(tag),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// The line of the first tag that is too long, if one is; what the engine cannot cut into tokens it refuses itself.
fn line_of_long_tag(source: &str, syntax: &SyntaxConfig) -> Option<u16> {
    let mut length = 0;
    let mut start = 1;
    for (token, span) in tokenize(source, false, syntax.clone()).map_while(Result::ok) {
        match token {
            Token::VariableStart | Token::BlockStart => (length, start) = (0, span.start_line),
            _ => length += 1,
        }
        if length > LONGEST_TAG {
            return Some(start);
        }
    }
    None
}

fn or_undefined(token: Option<&str>) -> Value {
    token.map_or(Value::UNDEFINED, Value::from)
}

/// To a template, a message is a dictionary with its keys in this order.
impl Object for ChatMessage {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "role" => Some(Value::from(self.role.as_str())),
            "content" => Some(Value::from(self.content.as_str())),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["role", "content"])
    }
}

impl SpecialTokens {
    /// Those that `tokenizer_config.json` of a folder names; none where there is no such file.
    pub fn of_folder(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("tokenizer_config.json")).unwrap_or_default();
        Self::of_config(&serde_json::from_slice(&text).unwrap_or_default())
    }

    fn of_config(config: &serde_json::Value) -> Self {
        // A token is its text, or an object with the text as `content`.
        let token = |key: &str| {
            let token = &config[key];
            token.as_str().or(token["content"].as_str()).map(str::to_owned)
        };
        Self {
            bos: token("bos_token"),
            eos: token("eos_token"),
            pad: token("pad_token"),
            unk: token("unk_token"),
        }
    }
}

/// One template, or a list of named ones of which `default` is the one for conversations.
fn template_in(config: &serde_json::Value) -> Option<&str> {
    let template = &config["chat_template"];
    let named = || {
        let named = template.as_array()?;
        let default = named.iter().find(|template| template["name"] == "default")?;
        default["template"].as_str()
    };
    template.as_str().or_else(named)
}

fn read(path: &Path) -> Result<Option<String>, ChatError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ChatError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// What templates call to refuse a conversation.
fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}
