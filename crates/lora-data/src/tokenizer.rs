//! Text into token ids, exactly as Hugging Face does it: the same `tokenizer.json`, run by the same library.

mod bounds;
mod choices;
mod generation;
mod windows;
mod words;

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use tokenizers::{
    Encoding, PostProcessor as _, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy,
    truncate_encodings,
};

use crate::batch::Encoded;
use crate::dataset::{Dataset, EncodedDataset, Example};
use crate::error::{DataError, TokenizerError};
use crate::readers::bytes::read_bytes;

pub use choices::EncodedChoices;
pub use generation::{EncodedCompletions, SpecialToken, TextStream};
pub use windows::{Window, Windows, window_dataset};
pub use words::{EncodedWords, WordPlace};

/// Examples tokenized in one call to the library. It runs them in parallel and keeps far more about each than we do, so a
/// whole large file at once would need gigabytes.
const GROUP: usize = 1024;

/// A model's tokenizer: special tokens added, truncated to a maximal length, never padded (that is for
/// [`Batch`](crate::Batch) to do).
///
/// Truncation length and padding of `tokenizer.json` are overridden; a side to truncate from is retained, unless
/// [`TextTokenizer::cut_at_beginning`] says another.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    /// Without truncation and padding of its own.
    inner: Tokenizer,
    origin: PathBuf,
    pad_id: Option<u32>,
    max_length: Option<usize>,
    /// The side that truncation removes.
    side: TruncationDirection,
}

impl TextTokenizer {
    /// The tokenizer of a `tokenizer.json`, without truncation until [`TextTokenizer::with_max_length`].
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Unreadable`], [`TokenizerError::BadTokenizer`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        Ok(Self::from_bytes(&read_bytes(path)?, path)?)
    }

    /// The same from the content of the file. `origin` is its path, for messages.
    ///
    /// # Errors
    /// [`TokenizerError::BadTokenizer`].
    pub fn from_bytes(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let origin = origin.as_ref().to_path_buf();
        let bad = |source| TokenizerError::BadTokenizer {
            file: origin.clone(),
            source,
        };
        bounds::check(bytes).map_err(bad)?;
        let mut inner = without_panic(|| Tokenizer::from_bytes(bytes)).map_err(bad)?;
        let pad_id = inner.get_padding().map(|padding| padding.pad_id);
        let pad_id = pad_id.or_else(|| {
            ["[PAD]", "<pad>"]
                .iter()
                .find_map(|token| inner.token_to_id(token))
        });
        let side = inner
            .get_truncation()
            .map(|truncation| truncation.direction)
            .unwrap_or_default();
        inner.with_padding(None).with_truncation(None).map_err(bad)?;
        // A template that names special tokens which the file lacks fails only when it is used.
        let use_template = || {
            for pair in [None, Some(Encoding::default())] {
                let _ = inner.post_process(Encoding::default(), pair, true);
            }
            Ok(())
        };
        without_panic(use_template).map_err(bad)?;
        Ok(Self {
            inner,
            origin,
            pad_id,
            max_length: None,
            side,
        })
    }

    /// The same with at most `max_length` tokens an example, special tokens included. A pair loses tokens from its
    /// longer text first (`longest_first`).
    ///
    /// # Errors
    /// [`TokenizerError::MaxLengthTooSmall`] when not even one token of each of two texts would fit.
    pub fn with_max_length(self, max_length: usize) -> Result<Self, TokenizerError> {
        let special = self.special_tokens(true);
        if max_length < special + 2 {
            return Err(TokenizerError::MaxLengthTooSmall { max_length, special });
        }
        Ok(Self {
            max_length: Some(max_length),
            ..self
        })
    }

    /// The same with too long texts cut at their beginning, or at their end, whatever `tokenizer.json` says.
    #[must_use]
    pub fn cut_at_beginning(self, beginning: bool) -> Self {
        let side = if beginning {
            TruncationDirection::Left
        } else {
            TruncationDirection::Right
        };
        Self { side, ..self }
    }

    /// The same with this padding token, for a tokenizer that names none.
    #[must_use]
    pub fn with_pad_id(self, pad_id: u32) -> Self {
        Self {
            pad_id: Some(pad_id),
            ..self
        }
    }

    /// The padding token: the one set, else that of the file's padding section, else `[PAD]` or `<pad>`.
    ///
    /// # Errors
    /// [`TokenizerError::NoPadToken`].
    pub fn pad_id(&self) -> Result<u32, TokenizerError> {
        self.pad_id.ok_or_else(|| TokenizerError::NoPadToken {
            file: self.origin.clone(),
        })
    }

    /// Refuses a token, of the vocabulary or of the template, that has no row in a model's table of so many.
    ///
    /// # Errors
    /// [`TokenizerError::BeyondTable`].
    pub fn check_ids(&self, rows: usize) -> Result<(), TokenizerError> {
        let template = [None, Some(Encoding::default())].into_iter().flat_map(|pair| {
            let special = self
                .inner
                .post_process(Encoding::default(), pair, true)
                .unwrap_or_default();
            let ids = special.get_ids().to_vec();
            special.get_tokens().to_vec().into_iter().zip(ids)
        });
        let padding = self.pad_id.map(|id| ("padding".to_owned(), id));
        let ids = self
            .inner
            .get_vocab(true)
            .into_iter()
            .chain(template)
            .chain(padding);
        match ids.max_by_key(|(_, id)| *id) {
            Some((token, id)) if id as usize >= rows => Err(TokenizerError::BeyondTable {
                file: self.origin.clone(),
                token,
                id,
                rows,
            }),
            _ => Ok(()),
        }
    }

    /// The examples as token ids, in order.
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`], [`TokenizerError::NoTokens`].
    pub fn encode_all(&self, examples: &[Example]) -> Result<Vec<Encoded>, TokenizerError> {
        self.encode_all_counted(examples).map(|(encoded, _)| encoded)
    }

    /// The examples as token ids, in order, and how many of them were truncated.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::encode_all`].
    pub fn encode_all_counted(&self, examples: &[Example]) -> Result<(Vec<Encoded>, usize), TokenizerError> {
        let mut encoded = Vec::with_capacity(examples.len());
        let mut truncated = 0;
        for group in examples.chunks(GROUP) {
            let first = encoded.len();
            let failed = TokenizerError::in_rows(first, first + group.len() - 1);
            let texts = group.iter().map(|example| example.text.as_str()).collect();
            let pairs = group
                .iter()
                .filter_map(|example| example.text_pair.as_deref())
                .collect();
            let texts = self.encode_each(texts).map_err(failed)?;
            let mut pairs = self.encode_each(pairs).map_err(failed)?.into_iter();
            for (example, text) in group.iter().zip(texts) {
                let pair = example.text_pair.as_ref().and_then(|_| pairs.next());
                let (ids, was_truncated) = self.put_together(text, pair).map_err(failed)?;
                if ids.is_empty() {
                    return Err(TokenizerError::NoTokens {
                        row: encoded.len(),
                        text: example.text.clone(),
                    });
                }
                encoded.push(ids);
                truncated += usize::from(was_truncated);
            }
        }
        Ok((encoded, truncated))
    }

    /// One example as token ids, and whether it was truncated, as [`TextTokenizer::encode_all_counted`] gives them; without threads.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::encode_all`].
    pub fn encode_example(&self, example: &Example) -> Result<(Encoded, bool), TokenizerError> {
        let failed = TokenizerError::in_rows(0, 0);
        let encode = |text: &str| without_panic(|| self.inner.encode(text, false)).map_err(failed);
        let pair = example.text_pair.as_deref().map(encode).transpose()?;
        let (ids, was_truncated) = self.put_together(encode(&example.text)?, pair).map_err(failed)?;
        if ids.is_empty() {
            return Err(TokenizerError::NoTokens {
                row: 0,
                text: example.text.clone(),
            });
        }
        Ok((ids, was_truncated))
    }

    /// A whole data set, ready to be cut into batches.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::encode_all`] and [`Dataset::targets`].
    pub fn encode_dataset(&self, dataset: &Dataset) -> Result<EncodedDataset, DataError> {
        let targets = dataset.targets()?;
        let (encoded, truncated) = self.encode_all_counted(&dataset.examples)?;
        Ok(EncodedDataset {
            encoded,
            targets,
            task: Some(dataset.task.clone()),
            truncated,
        })
    }

    /// Each text without special tokens. Not `encode_batch_fast`: it leaves out what some templates need.
    fn encode_each(&self, texts: Vec<&str>) -> tokenizers::Result<Vec<Encoding>> {
        without_panic(|| self.inner.encode_batch::<&str>(texts, false))
    }

    /// Truncates and adds special tokens; also returns whether anything was cut off.
    ///
    /// The library could do both in the first call. But from 0.23.2 on it then stops reading each text at the maximal
    /// length, so it no longer knows which text of a pair is the longer, and cuts some pairs otherwise than Transformers
    /// does (a case of the golden); nor could one tell a text that was stopped from one that just fits.
    fn put_together(
        &self,
        text: Encoding,
        mut pair: Option<Encoding>,
    ) -> Result<(Encoded, bool), tokenizers::Error> {
        if let Some(pair) = &mut pair {
            pair.set_type_ids(vec![1; pair.len()]);
        }
        let (mut text, mut pair) = match self.max_length {
            Some(max_length) => {
                let params = TruncationParams {
                    direction: self.side,
                    max_length: max_length - self.special_tokens(pair.is_some()),
                    strategy: TruncationStrategy::LongestFirst,
                    stride: 0,
                };
                truncate_encodings(text, pair, &params)?
            }
            None => (text, pair),
        };
        // What was cut off would get special tokens too.
        let cut_off =
            text.take_overflowing().len() + pair.as_mut().map_or(0, |pair| pair.take_overflowing().len());
        let encoding = self.inner.post_process(text, pair, true)?;
        Ok((Encoded::from(&encoding), cut_off > 0))
    }

    /// How many tokens the template adds to one text, or to a pair.
    fn special_tokens(&self, pair: bool) -> usize {
        self.inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(pair))
    }
}

/// The library panics at a part of its file that is damaged, or of a form that it does not know: that is a mistake of the file.
fn without_panic<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    outcome.unwrap_or_else(|_| {
        Err("a part of the tokenizer's file is damaged, or of a form that is not known".into())
    })
}
