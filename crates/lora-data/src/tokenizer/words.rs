//! Sentences as words with tags: which token stands for which word.

use tokenizers::{Encoding, PreTokenizerWrapper, TruncationDirection};

use super::{TextTokenizer, without_panic};
use crate::batch::Encoded;
use crate::dataset::EncodedDataset;
use crate::error::TokenizerError;
use crate::targets::Targets;
use crate::tasks::{TaggedSentence, TaggedWords};

/// Sentences as token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedWords {
    /// The rows: sentences, or parts of whole words where one is too long. Where all tags are known, the targets are
    /// [`Targets::Positions`]: a word's tag at its first token, nothing at the others (Devlin et al. 2018, section 5.3); else
    /// [`Targets::None`].
    pub dataset: EncodedDataset,
    /// `[rows]`: the words of each row and where their first tokens are. A word of which the tokenizer makes nothing is in no row.
    pub words: Vec<Vec<WordPlace>>,
    /// How many sentences were cut into parts.
    pub cut: usize,
}

/// Where a word is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordPlace {
    /// The sentence.
    pub sentence: usize,
    /// The word of the sentence.
    pub word: usize,
    /// The place of its first token in the row.
    pub token: usize,
}

impl TextTokenizer {
    /// Sentences, ready to be cut into batches: at most `max_length` tokens a row, special tokens included. A sentence that is longer
    /// becomes several rows, cut between words, so that every word has a place.
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`]; [`TokenizerError::MaxLengthTooSmall`].
    pub fn encode_words(
        &self,
        tagged: &TaggedWords,
        max_length: usize,
    ) -> Result<EncodedWords, TokenizerError> {
        let special = self.special_tokens(false);
        let room = max_length
            .checked_sub(special)
            .filter(|room| *room > 0)
            .ok_or(TokenizerError::MaxLengthTooSmall { max_length, special })?;
        let (mut encoded, mut places, mut cut) = (Vec::new(), Vec::new(), 0);
        for (number, sentence) in tagged.sentences.iter().enumerate() {
            let failed = TokenizerError::in_rows(number, number);
            let words = self.as_written(sentence);
            let whole = self.encode_split(&words).map_err(failed)?;
            let parts = parts(&whole, words.len(), room);
            cut += usize::from(parts.len() > 1);
            for part in &parts {
                let mut tokens = match &parts[..] {
                    [_] => whole.clone(),
                    _ => self.encode_split(&words[part.clone()]).map_err(failed)?,
                };
                // A single word may be longer than a row.
                tokens.truncate(room, 0, TruncationDirection::Right);
                tokens.take_overflowing();
                let row = self.inner.post_process(tokens, None, true).map_err(failed)?;
                let place = |(word, token)| WordPlace {
                    sentence: number,
                    word: part.start + word,
                    token,
                };
                places.push(first_tokens(&row).into_iter().map(place).collect::<Vec<_>>());
                encoded.push(Encoded::from(&row));
            }
        }
        let targets = places.iter().zip(&encoded).map(|(places, encoded)| {
            let mut targets = vec![None; encoded.len()];
            for place in places {
                let tags = tagged.sentences[place.sentence].tags.as_ref()?;
                targets[place.token] = u32::try_from(tags[place.word]).ok();
            }
            Some(targets)
        });
        let targets = targets
            .collect::<Option<Vec<_>>>()
            .map_or(Targets::None, Targets::Positions);
        Ok(EncodedWords {
            dataset: EncodedDataset {
                encoded,
                targets,
                task: None,
                truncated: 0,
            },
            words: places,
            cut,
        })
    }

    fn encode_split(&self, words: &[String]) -> Result<Encoding, tokenizers::Error> {
        without_panic(|| self.inner.encode(words, false))
    }

    /// The words as they stand in a text: a tokenizer of bytes tells a word by the space before it, and most are set up not to add one.
    fn as_written(&self, sentence: &TaggedSentence) -> Vec<String> {
        let needs_space = match self.inner.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::ByteLevel(bytes)) => !bytes.add_prefix_space,
            _ => false,
        };
        let written = |word: &String| {
            if needs_space {
                format!(" {word}")
            } else {
                word.clone()
            }
        };
        sentence.words.iter().map(written).collect()
    }
}

/// Ranges of words that fit into a row, as long as possible.
fn parts(whole: &Encoding, words: usize, room: usize) -> Vec<std::ops::Range<usize>> {
    if whole.len() <= room {
        return std::iter::once(0..words).collect();
    }
    let mut lengths = vec![0; words];
    for word in whole.get_word_ids().iter().flatten() {
        lengths[*word as usize] += 1;
    }
    let (mut parts, mut start, mut filled) = (Vec::new(), 0, 0);
    for (word, length) in lengths.into_iter().enumerate() {
        if filled > 0 && filled + length > room {
            parts.push(start..word);
            (start, filled) = (word, 0);
        }
        filled += length;
    }
    parts.push(start..words);
    parts
}

/// Word and place of the first token of each word.
fn first_tokens(row: &Encoding) -> Vec<(usize, usize)> {
    let mut first: Vec<(usize, usize)> = Vec::new();
    for (token, word) in row.get_word_ids().iter().enumerate() {
        if let Some(word) = word
            && first.last().is_none_or(|(last, _)| *last != *word as usize)
        {
            first.push((*word as usize, token));
        }
    }
    first
}
