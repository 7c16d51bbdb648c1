//! Rows as a model reads them, cut into batches for evaluation once, with what leads its outputs back to the rows.

use lora_core::Adapted;
use lora_core::frozen::FrozenStates;
use lora_data::tasks::{
    AnswerSettings, ChoicePrompt, ChoiceQuestion, PromptStyle, Rows, Spans, TaggedWords, prompts,
};
use lora_data::{
    Batch, Dataset, EncodedDataset, Padding, Targets, TextTokenizer, Window, Windows, WordPlace,
    eval_batches, window_dataset,
};
use lora_eval::squad::SquadVersion;
use lora_models::Transformer;

use crate::error::Result;

/// A tokenized data set, cut into batches for evaluation once.
#[derive(Debug)]
pub struct EncodedPart {
    /// The rows.
    pub encoded: EncodedDataset,
    /// The rows in batches.
    pub batches: Vec<Batch>,
    /// What leads outputs back to what was asked.
    pub detail: Detail,
    /// What passes after the first begin with, if the part is asked more than once.
    pub states: Option<FrozenStates>,
    padding: Padding,
    batch_size: usize,
}

/// What an encoded part knows of the rows that it came from.
#[derive(Debug)]
pub enum Detail {
    /// A row is a text, and its output its class or number.
    Texts,
    /// A row is a window of a context.
    Spans(SpanDetail),
    /// A row is a sentence, or a part of one.
    Words(WordDetail),
    /// A row is a prompt.
    Choices(ChoiceDetail),
}

/// Questions about contexts.
#[derive(Debug)]
pub struct SpanDetail {
    /// The questions.
    pub spans: Spans,
    /// `[rows]`.
    pub windows: Vec<Window>,
    /// How answers are looked for.
    pub answers: AnswerSettings,
    /// How they are scored.
    pub version: SquadVersion,
}

/// Sentences.
#[derive(Debug)]
pub struct WordDetail {
    /// The sentences.
    pub tagged: TaggedWords,
    /// `[rows]`: the words of each row.
    pub words: Vec<Vec<WordPlace>>,
}

/// Questions with choices.
#[derive(Debug)]
pub struct ChoiceDetail {
    /// The questions as they are put.
    pub prompts: Vec<ChoicePrompt>,
    /// `[rows][choices]`: the tokens of the answers.
    pub letters: Vec<Vec<u32>>,
    /// `[batches]`: for each row of a batch `row · seq + token` of the last token of its prompt.
    pub places: Vec<Vec<usize>>,
}

/// How many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// A row has at most.
    pub longest: usize,
    /// Windows of a long context share.
    pub overlap: usize,
    /// An answer has at most.
    pub answer: usize,
}

/// How rows become batches.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a TextTokenizer,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
    /// How many tokens.
    pub lengths: Lengths,
    /// Rows of a batch.
    pub batch_size: usize,
    /// By which rules answers are scored.
    pub version: SquadVersion,
    /// How questions with choices are put.
    pub style: PromptStyle,
    /// Solved questions that are shown before each question with choices, and how many of them.
    pub shots: (&'a [ChoiceQuestion], usize),
}

impl EncodedPart {
    /// Tokenizes texts.
    ///
    /// # Errors
    ///
    /// If a text cannot be tokenized.
    pub fn new(dataset: &Dataset, tokenizer: &TextTokenizer, batch_size: usize) -> Result<Self> {
        let encoded = tokenizer.encode_dataset(dataset)?;
        let padding = Padding::with(tokenizer.pad_id()?);
        Ok(Self::of(encoded, Detail::Texts, padding, batch_size))
    }

    fn of(encoded: EncodedDataset, detail: Detail, padding: Padding, batch_size: usize) -> Self {
        let mut part = Self {
            encoded,
            batches: Vec::new(),
            detail,
            states: None,
            padding,
            batch_size,
        };
        let rows: Vec<usize> = (0..part.encoded.len()).collect();
        part.batches = part.batches_of(&rows);
        part
    }

    /// For several passes of one trained model: rows go through the layers below everything trained once.
    pub fn keep_states(&mut self, adapted: &Adapted<Transformer>) {
        self.states = adapted.frozen_states(&self.encoded.lengths());
    }

    /// Some of the rows in batches.
    pub fn batches_of(&self, rows: &[usize]) -> Vec<Batch> {
        let lengths = self.encoded.lengths();
        let lengths: Vec<usize> = rows.iter().map(|row| lengths[*row]).collect();
        let batch = |places: &Vec<usize>| {
            let rows: Vec<usize> = places.iter().map(|place| rows[*place]).collect();
            self.encoded.batch(&rows, self.padding)
        };
        eval_batches(&lengths, self.batch_size)
            .iter()
            .map(batch)
            .collect()
    }

    /// For each row of a batch `row · seq + token` of its last token.
    pub fn last_tokens(&self, batch: &Batch) -> Vec<usize> {
        let lengths = batch.rows.iter().map(|row| self.encoded.encoded[*row].len());
        let place = |(row, length): (usize, usize)| row * batch.seq + length - 1;
        lengths.enumerate().map(place).collect()
    }

    /// How many texts, questions or sentences.
    pub fn len(&self) -> usize {
        match &self.detail {
            Detail::Texts | Detail::Choices(_) => self.encoded.len(),
            Detail::Spans(detail) => detail.spans.questions.len(),
            Detail::Words(detail) => detail.tagged.sentences.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is right about each output: of each text, of each word, of each question with choices, of each window.
    pub fn truth(&self) -> Targets {
        match (&self.detail, &self.encoded.targets) {
            (Detail::Words(detail), Targets::Positions(tags)) => {
                let of_row = |(words, tags): (&Vec<WordPlace>, &Vec<Option<u32>>)| {
                    let tag = |place: &WordPlace| tags[place.token].map(|tag| tag as usize);
                    words.iter().filter_map(tag).collect::<Vec<_>>()
                };
                Targets::Classes(detail.words.iter().zip(tags).flat_map(of_row).collect())
            }
            (Detail::Choices(_), Targets::Choices(choices)) => {
                Targets::Classes(choices.iter().map(|choice| choice.answer).collect())
            }
            (_, targets) => targets.clone(),
        }
    }
}

impl Encoder<'_> {
    /// Rows as a model of their kind reads them.
    ///
    /// # Errors
    ///
    /// If a text cannot be tokenized, or the lengths leave no room.
    pub fn encode(&self, rows: &Rows) -> Result<EncodedPart> {
        let (encoded, detail) = match rows {
            Rows::Texts(dataset) => (self.tokenizer.encode_dataset(dataset)?, Detail::Texts),
            Rows::Spans(spans) => {
                let windows = Windows {
                    max_length: self.lengths.longest,
                    overlap: self.lengths.overlap,
                    ..Windows::default()
                };
                let windows = self.tokenizer.encode_windows(spans, windows)?;
                let answers = AnswerSettings {
                    longest: self.lengths.answer,
                    ..AnswerSettings::default()
                };
                let detail = SpanDetail {
                    spans: spans.clone(),
                    answers,
                    version: self.version,
                    windows,
                };
                (window_dataset(&detail.windows), Detail::Spans(detail))
            }
            Rows::Words(tagged) => {
                let encoded = self.tokenizer.encode_words(tagged, self.lengths.longest)?;
                let detail = WordDetail {
                    tagged: tagged.clone(),
                    words: encoded.words,
                };
                (encoded.dataset, Detail::Words(detail))
            }
            Rows::Choices(questions) => return self.encode_choices(questions),
            Rows::Instructions(_) => crate::bail!("instructions have no labels to score"),
        };
        Ok(EncodedPart::of(encoded, detail, self.padding, self.batch_size))
    }

    fn encode_choices(&self, questions: &[ChoiceQuestion]) -> Result<EncodedPart> {
        let (examples, shots) = self.shots;
        let prompts = prompts(questions, self.style, examples, shots)?;
        let encoded = self
            .tokenizer
            .encode_choices(&prompts, true, self.lengths.longest)?;
        let detail = ChoiceDetail {
            prompts,
            letters: encoded.answers,
            places: Vec::new(),
        };
        let part = EncodedPart::of(encoded.dataset, Detail::Texts, self.padding, self.batch_size);
        let places = part.batches.iter().map(|batch| part.last_tokens(batch)).collect();
        Ok(EncodedPart {
            detail: Detail::Choices(ChoiceDetail { places, ..detail }),
            ..part
        })
    }
}
