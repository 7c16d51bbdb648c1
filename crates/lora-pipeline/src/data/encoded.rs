//! Rows as a model reads them, cut into batches for evaluation once, with what leads its outputs back to the rows.

use lora_core::Adapted;
use lora_core::frozen::FrozenStates;
use lora_data::tasks::{AnswerSettings, ChoicePrompt, ChoiceQuestion, Rows, Spans, TaggedWords, prompts};
use lora_data::{
    Batch, Completion, Dataset, EncodedCompletions, EncodedDataset, Padding, Targets, Task, TextTokenizer,
    Window, Windows, WordPlace, eval_batches, window_dataset,
};
use lora_models::Transformer;

use crate::base::TextReader;
use crate::config::Lengths;
use crate::error::Result;

/// A tokenized data set, cut into batches for evaluation once.
#[derive(Debug)]
pub struct EncodedSplit {
    /// The rows.
    pub encoded: EncodedDataset,
    /// The rows in batches.
    pub batches: Vec<Batch>,
    /// What leads from outputs back to the rows.
    pub detail: Detail,
    /// Rows left out because they are too long.
    pub left_out: usize,
    /// What passes after the first begin with, if there are several.
    pub states: Option<FrozenStates>,
    padding: Padding,
    batch_size: usize,
}

/// What an encoded split knows of the rows that it came from.
#[derive(Debug)]
pub enum Detail {
    /// Rows with a class or a number each.
    Rows(RowDetail),
    /// A row is a window of a context.
    Spans(SpanDetail),
    /// A row is a prompt with its completion, which is learned and not scored.
    Completions,
}

/// What is known of rows with a class or a number each.
#[derive(Debug)]
pub enum RowDetail {
    /// A row is a text, and its output its class or number.
    Texts,
    /// A row is a sentence, or a piece of one.
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
    /// Whether a question may have no answer.
    pub may_lack_answer: bool,
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
}

/// How rows become batches.
#[derive(Clone, Copy, Debug)]
pub struct RowEncoder<'a> {
    /// How the model reads texts.
    pub reader: &'a TextReader,
    /// What is predicted of the rows.
    pub task: &'a Task,
    /// How many tokens.
    pub lengths: Lengths,
    /// Rows of a batch.
    pub batch_size: usize,
    /// Solved questions that are shown before each question with choices, and how many of them.
    pub shots: (&'a [ChoiceQuestion], usize),
    /// Whether prompts are written with the model's chat template.
    pub chat_template: bool,
}

impl EncodedSplit {
    /// Tokenizes texts.
    ///
    /// # Errors
    ///
    /// If a text cannot be tokenized.
    pub fn new(dataset: &Dataset, tokenizer: &TextTokenizer, batch_size: usize) -> Result<Self> {
        let encoded = tokenizer.encode_dataset(dataset)?;
        let padding = Padding::with(tokenizer.pad_id()?);
        Ok(Self::of(
            encoded,
            Detail::Rows(RowDetail::Texts),
            padding,
            batch_size,
        ))
    }

    fn of(encoded: EncodedDataset, detail: Detail, padding: Padding, batch_size: usize) -> Self {
        let mut split = Self {
            encoded,
            batches: Vec::new(),
            detail,
            left_out: 0,
            states: None,
            padding,
            batch_size,
        };
        let rows: Vec<usize> = (0..split.encoded.len()).collect();
        split.batches = split.batches_of(&rows);
        split
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

    /// Whether outputs are scored: not for completions, which are judged by their loss alone.
    pub fn is_scored(&self) -> bool {
        !matches!(self.detail, Detail::Completions)
    }

    /// What its rows are called.
    pub fn noun(&self) -> &'static str {
        match &self.detail {
            Detail::Spans(_) => "windows",
            _ => "rows",
        }
    }

    /// How many texts, questions or sentences.
    pub fn len(&self) -> usize {
        match &self.detail {
            Detail::Rows(RowDetail::Texts | RowDetail::Choices(_)) | Detail::Completions => {
                self.encoded.len()
            }
            Detail::Spans(detail) => detail.spans.questions.len(),
            Detail::Rows(RowDetail::Words(detail)) => detail.tagged.sentences.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is right about each output: of each text, of each word, of each question with choices, of each window.
    pub fn truth(&self) -> Targets {
        match (&self.detail, &self.encoded.targets) {
            (Detail::Rows(RowDetail::Words(detail)), Targets::Positions(tags)) => {
                let of_row = |(words, tags): (&Vec<WordPlace>, &Vec<Option<u32>>)| {
                    let tag = |place: &WordPlace| tags[place.token].map(|tag| tag as usize);
                    words.iter().filter_map(tag).collect::<Vec<_>>()
                };
                Targets::Classes(detail.words.iter().zip(tags).flat_map(of_row).collect())
            }
            (Detail::Rows(RowDetail::Choices(_)), Targets::Choices(choices)) => {
                Targets::Classes(choices.iter().map(|choice| choice.answer).collect())
            }
            (_, targets) => targets.clone(),
        }
    }
}

impl<'a> RowEncoder<'a> {
    /// Without solved questions and without chat template.
    pub fn new(reader: &'a TextReader, task: &'a Task, lengths: Lengths, batch_size: usize) -> Self {
        Self {
            reader,
            task,
            lengths,
            batch_size,
            shots: (&[], 0),
            chat_template: false,
        }
    }

    /// Rows as a model with the head of the task reads them.
    ///
    /// # Errors
    ///
    /// If the rows are not those of the task, a text cannot be tokenized, or the lengths leave no room.
    pub fn encode(&self, rows: &Rows) -> Result<EncodedSplit> {
        let (tokenizer, longest) = (&self.reader.tokenizer, self.lengths.longest);
        let mut left_out = 0;
        let (encoded, detail) = match (rows, self.task) {
            (Rows::Texts(dataset), task) if task.is_of_texts() => {
                (tokenizer.encode_dataset(dataset)?, Detail::Rows(RowDetail::Texts))
            }
            (Rows::Spans(spans), Task::QuestionAnswering { may_lack_answer }) => {
                let windows = Windows {
                    max_length: longest,
                    overlap: self.lengths.overlap,
                    ..Windows::default()
                };
                let detail = SpanDetail {
                    spans: spans.clone(),
                    windows: tokenizer.encode_windows(spans, windows)?,
                    answers: AnswerSettings {
                        longest: self.lengths.answer,
                        ..AnswerSettings::default()
                    },
                    may_lack_answer: *may_lack_answer,
                };
                (window_dataset(&detail.windows), Detail::Spans(detail))
            }
            (Rows::Words(tagged), Task::Tagging { .. }) => {
                let encoded = tokenizer.encode_words(tagged, longest)?;
                let detail = WordDetail {
                    tagged: tagged.clone(),
                    words: encoded.words,
                };
                (encoded.dataset, Detail::Rows(RowDetail::Words(detail)))
            }
            (Rows::Choices(questions), Task::MultipleChoice { style }) => {
                let (examples, shots) = self.shots;
                let prompts = prompts(questions, *style, examples, shots)?;
                let encoded = tokenizer.encode_choices(&prompts, true, longest)?;
                let letters = encoded.answers;
                let detail = ChoiceDetail { prompts, letters };
                (encoded.dataset, Detail::Rows(RowDetail::Choices(detail)))
            }
            (Rows::Completions(rows), Task::Completion) => {
                let encoded = self.encode_completions(rows)?;
                left_out = encoded.left_out;
                (encoded.dataset, Detail::Completions)
            }
            (rows, task) => crate::bail!(
                "the rows are {}, but the model is for {}",
                rows.problem_type().rows(),
                task.problem_type().name()
            ),
        };
        let split = EncodedSplit::of(encoded, detail, self.reader.padding, self.batch_size);
        Ok(EncodedSplit { left_out, ..split })
    }

    fn encode_completions(&self, rows: &[Completion]) -> Result<EncodedCompletions> {
        let (tokenizer, longest) = (&self.reader.tokenizer, self.lengths.longest);
        let end_of_text = self.reader.stop_tokens[0];
        if !self.chat_template {
            return Ok(tokenizer.encode_completions(rows, true, end_of_text, longest)?);
        }
        let end = self.reader.turn_end()?;
        let turns = rows.iter().map(|row| self.reader.chat_turn(row, end.as_ref()));
        let turns = turns.collect::<Result<Vec<_>>>()?;
        Ok(tokenizer.encode_turns(&turns, end.map_or(end_of_text, |end| end.token), longest)?)
    }
}
