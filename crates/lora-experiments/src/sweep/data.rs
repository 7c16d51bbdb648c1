//! The rows of one training: drawn from a task by a seed, then tokenized.

use lora_core::Adapted;
use lora_data::Task;
use lora_data::tasks::Rows;
use lora_data::{RepeatedTexts, RowText, Targets, stratified_split, training_split};
use lora_eval::glue::GlueMetric;
use lora_models::Transformer;
use lora_pipeline::data::encoded::{EncodedSplit, RowEncoder};
use lora_pipeline::data::row_checks::RowChecks;
use lora_pipeline::error::{Context, Result};

use super::file::{RowCount, SweepFile, TaskEntry};
use super::tasks::Loaded;

/// Training rows that the gap between training and test is measured on, at most: an ensemble runs through them N times.
pub const GAP_ROWS: usize = 256;
/// Bytes of a text that make a token, about.
const BYTES_OF_A_TOKEN: usize = 4;
/// What picks test rows, where there are more than are tested on: the same ones for every seed.
const TEST_SEED: u64 = 0;

/// A task with the test rows that every training on it shares.
#[derive(Debug)]
pub struct SweepTask {
    /// What reports call it.
    pub name: String,
    /// What is predicted.
    pub kind: Task,
    /// What it is scored by.
    pub metric: GlueMetric,
    /// Number by which its rows are known.
    pub fingerprint: u64,
    /// Validation rows that each training gets.
    pub validation_rows: usize,
    /// Tokens of a row if none is cut, about.
    tokens_a_row: usize,
    /// Whether the test rows were split off the file of the training rows.
    is_one_file: bool,
    pool: Rows,
    validation: Option<Rows>,
    test: Rows,
    shifted: Option<Rows>,
}

/// Rows of a training.
#[derive(Debug)]
pub struct Drawn {
    /// To learn from.
    pub train: Rows,
    /// To choose and to fit temperatures by.
    pub validation: Rows,
}

/// Rows of a training, tokenized.
#[derive(Debug)]
pub struct TrialSplits {
    /// To learn from.
    pub train: EncodedSplit,
    /// Some of them, to measure the gap on.
    pub gap: EncodedSplit,
    /// To choose and to fit temperatures by.
    pub validation: EncodedSplit,
    /// To test on.
    pub test: EncodedSplit,
    /// Rows of another kind.
    pub shifted: Option<EncodedSplit>,
}

impl TrialSplits {
    /// For many ways of asking one trained model about all splits.
    pub fn keep_states(&mut self, adapted: &Adapted<Transformer>) {
        let predicted = [&mut self.gap, &mut self.validation, &mut self.test];
        for split in predicted.into_iter().chain(&mut self.shifted) {
            split.keep_states(adapted);
        }
    }

    /// Whether shifted rows have labels.
    pub fn shifted_is_labelled(&self) -> bool {
        let targets = self.shifted.as_ref().map(|split| &split.encoded.targets);
        targets.is_some_and(|targets| *targets != Targets::None)
    }
}

/// The rows of a curve, tokenized.
#[derive(Debug)]
pub struct CurveSplits {
    /// Rows that are learned.
    pub train: EncodedSplit,
    /// Test rows.
    pub test: EncodedSplit,
}

impl CurveSplits {
    /// For many passes: rows go through the layers below everything trained once.
    pub fn keep_states(&mut self, adapted: &Adapted<Transformer>) {
        for split in [&mut self.train, &mut self.test] {
            split.keep_states(adapted);
        }
    }
}

impl SweepTask {
    /// A task whose test rows are cut to what the file of the sweep says.
    ///
    /// # Errors
    ///
    /// If there are too few rows.
    pub fn new(entry: &TaskEntry, file: &SweepFile, loaded: Loaded) -> Result<Self> {
        let mut fingerprint = loaded.fingerprint()?;
        let texts = RowText::of_rows(&loaded.pool);
        if RepeatedTexts::find(&texts).is_some() {
            // Results of before texts were kept on one side are of other rows.
            fingerprint = !fingerprint;
        }
        let at_most = entry.test_rows.unwrap_or(file.test_rows);
        let limited = |rows: Rows| limited(rows, at_most, TEST_SEED);
        let task = Self {
            name: entry.name.clone(),
            kind: loaded.kind,
            metric: loaded.metric,
            fingerprint,
            tokens_a_row: tokens_a_row(&texts),
            is_one_file: entry
                .data
                .as_ref()
                .is_some_and(|data| data.contains_key("data_file")),
            validation_rows: entry.validation_rows.unwrap_or(file.validation_rows),
            pool: loaded.pool,
            validation: loaded.validation,
            test: limited(loaded.test)?,
            shifted: loaded.shifted.map(limited).transpose()?,
        };
        for &rows in &entry.rows {
            task.sizes(rows).with_context(|| format!("task {}", entry.name))?;
        }
        Ok(task)
    }

    /// Numbers of training and validation rows.
    ///
    /// # Errors
    ///
    /// If there are too few.
    pub fn sizes(&self, rows: RowCount) -> Result<[usize; 2]> {
        let pool = self.pool.len();
        let validation = match &self.validation {
            Some(validation) => validation.len().min(self.validation_rows),
            None => self.validation_rows,
        };
        let split_off = if self.validation.is_some() { 0 } else { validation };
        let left = pool.saturating_sub(split_off);
        let train = match rows {
            RowCount::Some(rows) => rows,
            RowCount::All => left,
        };
        if train == 0 || train > left || validation == 0 {
            lora_pipeline::bail!(
                "rows is {rows}, but of the {pool} rows {left} are left beside {validation_rows} validation rows; lower rows or \
                 validation_rows (at least 1)",
                validation_rows = self.validation_rows,
            );
        }
        Ok([train, validation])
    }

    /// The rows that every training is tested on.
    pub fn test_rows(&self) -> &Rows {
        &self.test
    }

    /// Numbers of test and shifted rows.
    pub fn test_sizes(&self) -> [usize; 2] {
        [self.test.len(), self.shifted.as_ref().map_or(0, Rows::len)]
    }

    /// Among how many classes is chosen, at most; 1 for a number.
    pub fn classes(&self) -> usize {
        match (&self.kind, &self.pool) {
            (task, Rows::Texts(_)) => task.outputs(),
            (_, Rows::Choices(questions)) => {
                let choices = questions.iter().map(|question| question.choices.len());
                choices.max().unwrap_or(1)
            }
            _ => 1,
        }
    }

    /// Tokens of a row, about, if texts are cut at so many.
    pub fn tokens_a_row(&self, longest: usize) -> u64 {
        self.tokens_a_row.min(longest) as u64
    }

    /// Draws training and validation rows, classes in proportion, rows of one text on one side. The validation rows of a seed are the
    /// same for every size.
    ///
    /// # Errors
    ///
    /// If there are too few.
    pub fn draw(&self, rows: RowCount, data_seed: u64) -> Result<Drawn> {
        let [train, validation] = self.sizes(rows)?;
        if let Some(rows_of_file) = &self.validation {
            return Ok(Drawn {
                train: limited(self.pool.clone(), train, data_seed)?,
                validation: limited(rows_of_file.clone(), validation, TEST_SEED)?,
            });
        }
        let texts = RowText::of_rows(&self.pool);
        let sizes = [validation, train];
        let splits = training_split(
            &self.pool.strata(),
            &RowText::groups(&texts),
            &sizes,
            1,
            data_seed,
        )?;
        Ok(Drawn {
            validation: self.pool.select(&splits[0]),
            train: self.pool.select(&splits[1]),
        })
    }

    /// What makes scores misleading, in the rows that a seed draws and the test rows.
    ///
    /// # Errors
    ///
    /// As [`SweepTask::draw`].
    pub fn row_checks(&self, rows: RowCount, data_seed: u64) -> Result<RowChecks> {
        let Drawn { train, validation } = self.draw(rows, data_seed)?;
        let split_off = [self.validation.is_none(), self.is_one_file];
        Ok(RowChecks::of(
            &train,
            Some(&validation),
            Some(&self.test),
            split_off,
        ))
    }

    /// The rows on which trainings are scored on the way, at most so many of each split, tokenized.
    ///
    /// # Errors
    ///
    /// If there are too few rows, or a text cannot be tokenized.
    pub fn curve_splits(
        &self,
        rows: RowCount,
        data_seed: u64,
        at_most: usize,
        encoder: &RowEncoder<'_>,
    ) -> Result<CurveSplits> {
        let drawn = self.draw(rows, data_seed)?;
        let encode = |split: &Rows| encoder.encode(&limited(split.clone(), at_most, TEST_SEED)?);
        Ok(CurveSplits {
            train: encode(&drawn.train)?,
            test: encode(&self.test)?,
        })
    }

    /// Draws and tokenizes.
    ///
    /// # Errors
    ///
    /// If there are too few rows, or a text cannot be tokenized.
    pub fn splits(&self, rows: RowCount, data_seed: u64, encoder: &RowEncoder<'_>) -> Result<TrialSplits> {
        let encode = |split: &Rows| encoder.encode(split);
        let drawn = self.draw(rows, data_seed)?;
        Ok(TrialSplits {
            gap: encode(&limited(drawn.train.clone(), GAP_ROWS, data_seed)?)?,
            train: encode(&drawn.train)?,
            validation: encode(&drawn.validation)?,
            test: encode(&self.test)?,
            shifted: self.shifted.as_ref().map(encode).transpose()?,
        })
    }
}

/// Told from the length of the texts: without a tokenizer, so without a model. Two are those at the ends.
fn tokens_a_row(texts: &[RowText]) -> usize {
    let bytes: usize = texts.iter().map(|row| row.text.len()).sum();
    2 + bytes / (BYTES_OF_A_TOKEN * texts.len().max(1))
}

/// So many rows at most, classes in proportion.
fn limited(rows: Rows, at_most: usize, seed: u64) -> Result<Rows> {
    if rows.len() <= at_most {
        return Ok(rows);
    }
    let splits = stratified_split(&rows.strata(), &[at_most], seed)?;
    Ok(rows.select(&splits[0]))
}
