//! Text into token ids, exactly as Hugging Face does it: the same `tokenizer.json`, run by the same library.

use std::path::{Path, PathBuf};

use tokenizers::{
    EncodeInput, Encoding, PostProcessor as _, Tokenizer, TruncationDirection, TruncationParams,
    TruncationStrategy,
};

use crate::batch::Encoded;
use crate::dataset::{Dataset, EncodedDataset, Example};
use crate::error::DataError;
use crate::readers::bytes::read_bytes;

/// Examples tokenized in one call to the library. It runs them in parallel and keeps far more about each than we do, so a
/// whole large file at once would need gigabytes.
const GROUP: usize = 1024;

/// A model's tokenizer: special tokens added, truncated to a maximal length, never padded (that is for
/// [`Batch`](crate::Batch) to do).
///
/// What `tokenizer.json` says about truncation length and padding is overridden; a side to truncate from is kept.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    origin: PathBuf,
    pad_id: Option<u32>,
    /// The side that truncation removes; the file may say so even where it sets no length.
    side: TruncationDirection,
}

impl TextTokenizer {
    /// The tokenizer of a `tokenizer.json`, without truncation until [`TextTokenizer::with_max_length`].
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Unreadable`], [`DataError::BadTokenizer`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        Self::from_bytes(&read_bytes(path)?, path)
    }

    /// The same from the content of the file. `origin` is its path, for messages.
    ///
    /// # Errors
    /// [`DataError::BadTokenizer`].
    pub fn from_bytes(bytes: &[u8], origin: impl AsRef<Path>) -> Result<Self, DataError> {
        let origin = origin.as_ref().to_path_buf();
        let bad = |source| DataError::BadTokenizer {
            file: origin.clone(),
            source,
        };
        let mut inner = Tokenizer::from_bytes(bytes).map_err(bad)?;
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
        Ok(Self {
            inner,
            origin,
            pad_id,
            side,
        })
    }

    /// The same with at most `max_length` tokens an example, special tokens included. A pair loses tokens from its
    /// longer text first (`longest_first`).
    ///
    /// # Errors
    /// [`DataError::MaxLengthTooSmall`] when not even one token of each of two texts would fit.
    pub fn with_max_length(mut self, max_length: usize) -> Result<Self, DataError> {
        let special = self.special_tokens(true);
        if max_length < special + 2 {
            return Err(DataError::MaxLengthTooSmall { max_length, special });
        }
        let strategy = TruncationStrategy::LongestFirst;
        let truncation = TruncationParams {
            direction: self.side,
            max_length,
            strategy,
            stride: 0,
        };
        self.inner
            .with_truncation(Some(truncation))
            .map_err(|source| DataError::BadTokenizer {
                file: self.origin.clone(),
                source,
            })?;
        Ok(self)
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
    /// [`DataError::NoPadToken`].
    pub fn pad_id(&self) -> Result<u32, DataError> {
        self.pad_id.ok_or_else(|| DataError::NoPadToken {
            file: self.origin.clone(),
        })
    }

    /// The number of tokens, added tokens included: no id is as large.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The examples as token ids, in order.
    ///
    /// # Errors
    /// [`DataError::Tokenize`], [`DataError::NoTokens`].
    pub fn encode_all(&self, examples: &[Example]) -> Result<Vec<Encoded>, DataError> {
        self.encode_all_counted(examples).map(|(encoded, _)| encoded)
    }

    /// The examples as token ids, in order, and how many of them were truncated.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::encode_all`].
    pub fn encode_all_counted(&self, examples: &[Example]) -> Result<(Vec<Encoded>, usize), DataError> {
        let mut encoded = Vec::with_capacity(examples.len());
        let mut truncated = 0;
        for (group, first) in examples.chunks(GROUP).zip((0..).step_by(GROUP)) {
            let encodings = encode(&self.inner, group, first)?;
            truncated += encodings
                .iter()
                .filter(|encoding| !encoding.get_overflowing().is_empty())
                .count();
            truncated += self.count_stopped_short(group, &encodings, first)?;
            encoded.extend(encodings.iter().map(ids));
        }
        match encoded.iter().position(Encoded::is_empty) {
            Some(row) => Err(DataError::NoTokens {
                row,
                text: examples[row].text.clone(),
            }),
            None => Ok((encoded, truncated)),
        }
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
            task: dataset.task.clone(),
            truncated,
        })
    }

    /// The library stops reading a text once it has `max_length` tokens. Where it then adds no special token (GPT-2),
    /// nothing is left to cut off, and a text that was cut looks like one that fits exactly: these are read again in full.
    fn count_stopped_short(
        &self,
        group: &[Example],
        encodings: &[Encoding],
        first: usize,
    ) -> Result<usize, DataError> {
        let Some(limit) = self
            .inner
            .get_truncation()
            .map(|truncation| truncation.max_length)
        else {
            return Ok(0);
        };
        let fits_exactly = |(example, encoding): (&Example, &Encoding)| {
            let no_special = self.special_tokens(example.text_pair.is_some()) == 0;
            let exact = encoding.len() == limit && encoding.get_overflowing().is_empty();
            (no_special && exact).then(|| example.clone())
        };
        let unclear: Vec<Example> = group.iter().zip(encodings).filter_map(fits_exactly).collect();
        if unclear.is_empty() {
            return Ok(0);
        }
        let mut unlimited = self.inner.clone();
        unlimited
            .with_truncation(None)
            .map_err(|source| DataError::BadTokenizer {
                file: self.origin.clone(),
                source,
            })?;
        let whole = encode(&unlimited, &unclear, first)?;
        Ok(whole.iter().filter(|encoding| encoding.len() > limit).count())
    }

    /// How many tokens the template adds to one text, or to a pair.
    fn special_tokens(&self, pair: bool) -> usize {
        self.inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(pair))
    }
}

/// `first` is the index of the group's first example, for messages.
fn encode(tokenizer: &Tokenizer, group: &[Example], first: usize) -> Result<Vec<Encoding>, DataError> {
    let inputs: Vec<EncodeInput> = group.iter().map(input).collect();
    // Not `encode_batch_fast`: it forgets which text of a pair a token is from, and only some templates say it again.
    tokenizer
        .encode_batch(inputs, true)
        .map_err(|source| DataError::Tokenize {
            first,
            last: first + group.len() - 1,
            source,
        })
}

fn input(example: &Example) -> EncodeInput<'_> {
    match &example.text_pair {
        Some(pair) => (example.text.as_str(), pair.as_str()).into(),
        None => example.text.as_str().into(),
    }
}

fn ids(encoding: &Encoding) -> Encoded {
    Encoded {
        input_ids: encoding.get_ids().to_vec(),
        token_type_ids: encoding.get_type_ids().to_vec(),
    }
}
