//! What language models need of a tokenizer: prompts, completions, and text from tokens as they come.

use std::cmp::Reverse;
use std::ops::Range;

use super::{TextTokenizer, without_panic};
use crate::batch::Encoded;
use crate::dataset::EncodedDataset;
use crate::error::TokenizerError;
use crate::readers::Completion;
use crate::targets::Targets;

/// Prompts and completions as token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedCompletions {
    /// The rows, with the tokens of the completions as [`Targets::Positions`].
    pub dataset: EncodedDataset,
    /// Rows left out because the prompt alone fills the maximal length.
    pub left_out: usize,
}

/// A special token in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its id.
    pub id: u32,
    /// Where it stands, in bytes.
    pub range: Range<usize>,
}

/// Text from tokens as they come: a character that several tokens make up comes with the last of them.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a TextTokenizer,
    /// Tokens that give the next ones their context, then those whose text has not come yet.
    ids: Vec<u32>,
    /// How many of them are context.
    context_len: usize,
    /// The text of the context.
    context: String,
}

impl TextTokenizer {
    /// A prompt as token ids, whole. `special`: with the tokens that the tokenizer's template puts around a text, such
    /// as one for its beginning; a chat template has written them already.
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`].
    pub fn encode_prompt(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        self.encode_one(text, special, 0)
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        let text = self.inner.decode(ids, true);
        text.map_err(|source| TokenizerError::Decode { source })
    }

    /// The id of a token by its text, such as `</s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The first special token that a text contains; of several that begin at one place, the longest.
    pub fn first_special(&self, text: &str) -> Option<SpecialToken> {
        let added = self.inner.get_added_tokens_decoder();
        let found = added
            .iter()
            .filter(|(_, token)| token.special && !token.content.is_empty());
        let found = found.filter_map(|(id, token)| {
            let start = text.find(&token.content)?;
            Some(SpecialToken {
                id: *id,
                range: start..start + token.content.len(),
            })
        });
        found.min_by_key(|token| (token.range.start, Reverse(token.range.end)))
    }

    /// Text from tokens as they come.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream {
            tokenizer: self,
            ids: Vec::new(),
            context_len: 0,
            context: String::new(),
        }
    }

    /// Prompts and completions, ready to be cut into batches. A row is the prompt's tokens, the completion's, and `end`,
    /// at most `max_length` of them; what is too long loses its end. Only the completion and `end` are targets.
    ///
    /// Prompt and completion are tokenized one by one: a prompt has the tokens that it has when the model is used.
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`]; [`TokenizerError::NoRoom`] if every prompt fills the maximal length.
    pub fn encode_completions(
        &self,
        completions: &[Completion],
        special: bool,
        end: u32,
        max_length: usize,
    ) -> Result<EncodedCompletions, TokenizerError> {
        let encode = |row, prompt: &mut Vec<u32>| {
            let Completion { completion, .. } = &completions[row];
            prompt.extend(self.encode_one(completion, false, row)?);
            prompt.push(end);
            Ok(())
        };
        self.encode_rows(completions, special, max_length, encode)
    }

    /// Turns of a chat, as its template wrote them, ready to be cut into batches; as
    /// [`TextTokenizer::encode_completions`], but prompt and answer are tokenized as one text, as Transformers does with
    /// a conversation. `end` is added where an answer does not have it.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::encode_completions`].
    pub fn encode_turns(
        &self,
        turns: &[Completion],
        end: u32,
        max_length: usize,
    ) -> Result<EncodedCompletions, TokenizerError> {
        let encode = |row, prompt: &mut Vec<u32>| {
            let turn: &Completion = &turns[row];
            let whole = self.encode_one(&format!("{}{}", turn.prompt, turn.completion), false, row)?;
            if whole.starts_with(prompt) {
                *prompt = whole;
            } else {
                // The two grow together where they meet. When the model is used, it reads the prompt alone.
                prompt.extend(self.encode_one(&turn.completion, false, row)?);
            }
            if prompt.last() != Some(&end) {
                prompt.push(end);
            }
            Ok(())
        };
        self.encode_rows(turns, false, max_length, encode)
    }

    /// `complete` turns the ids of a row's prompt into those of the row.
    fn encode_rows(
        &self,
        completions: &[Completion],
        special: bool,
        max_length: usize,
        complete: impl Fn(usize, &mut Vec<u32>) -> Result<(), TokenizerError>,
    ) -> Result<EncodedCompletions, TokenizerError> {
        let (mut encoded, mut targets) = (Vec::new(), Vec::new());
        let (mut truncated, mut left_out) = (0, 0);
        for (row, Completion { prompt, .. }) in completions.iter().enumerate() {
            let mut input_ids = self.encode_one(prompt, special, row)?;
            let prompt_len = input_ids.len();
            if prompt_len >= max_length || prompt_len == 0 {
                left_out += 1;
                continue;
            }
            complete(row, &mut input_ids)?;
            truncated += usize::from(input_ids.len() > max_length);
            input_ids.truncate(max_length);
            let next = |position: usize| {
                let next = position + 1;
                input_ids.get(next).copied().filter(|_| next >= prompt_len)
            };
            targets.push((0..input_ids.len()).map(next).collect());
            encoded.push(Encoded::of_one_text(input_ids));
        }
        if encoded.is_empty() {
            return Err(TokenizerError::NoRoom {
                prompts: completions.len(),
                max_length,
            });
        }
        Ok(EncodedCompletions {
            dataset: EncodedDataset {
                encoded,
                targets: Targets::Positions(targets),
                task: None,
                truncated,
            },
            left_out,
        })
    }

    pub(super) fn encode_one(
        &self,
        text: &str,
        special: bool,
        row: usize,
    ) -> Result<Vec<u32>, TokenizerError> {
        let encoding = without_panic(|| self.inner.encode(text, special));
        let encoding = encoding.map_err(TokenizerError::in_rows(row, row))?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl TextStream<'_> {
    /// What the next token adds to the text; empty while a character is not complete.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        // Bytes of one character; after so many that do not make one, they are broken and shown as such.
        const LONGEST: usize = 4;
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && self.ids.len() - self.context_len < LONGEST {
            return Ok(String::new());
        }
        let new = text.strip_prefix(&self.context).unwrap_or_default().to_owned();
        // Some decoders treat the first token of a text otherwise, so the tokens just written stay as context.
        self.ids.drain(..self.context_len);
        self.context_len = self.ids.len();
        self.context = self.tokenizer.decode(&self.ids)?;
        Ok(new)
    }
}
