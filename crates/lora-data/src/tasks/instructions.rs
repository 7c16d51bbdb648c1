//! Instruction tuning: an instruction, perhaps an input to it, and what a model should answer (Taori et al. 2023).

use std::path::{Path, PathBuf};

use super::{Benchmark, Form, Split, TaskMetric, own_files};
use crate::error::DataError;
use crate::readers::columns::by_default_name;
use crate::readers::table::{RawCell, RawRow, ResolvedColumn};
use crate::readers::{Completion, Format, read_table_file};

/// An instruction and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub instruction: String,
    /// What to do it with; often empty.
    pub input: String,
    /// The answer.
    pub output: String,
}

impl Instruction {
    /// The prompt of Alpaca, whose wording depends on whether there is an input, and the answer. Training on it leaves the prompt out of
    /// the loss: [`encode_completions`](crate::TextTokenizer::encode_completions).
    pub fn alpaca(&self) -> Completion {
        let Self {
            instruction,
            input,
            output,
        } = self;
        let prompt = if input.trim().is_empty() {
            format!(
                "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n\
                 ### Instruction:\n{instruction}\n\n### Response:\n"
            )
        } else {
            format!(
                "Below is an instruction that describes a task, paired with an input that provides further context. Write a response \
                 that appropriately completes the request.\n\n\
                 ### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
            )
        };
        Completion {
            prompt,
            completion: output.clone(),
        }
    }

    /// Instruction and input as a user writes them to a chat model, and the answer.
    pub fn message(&self) -> Completion {
        let separator = if self.input.is_empty() { "" } else { "\n\n" };
        Completion {
            prompt: format!("{}{separator}{}", self.instruction, self.input),
            completion: self.output.clone(),
        }
    }
}

pub(super) static ALPACA: Benchmark = Benchmark {
    name: "alpaca",
    title: "Alpaca: 52,000 generated instructions",
    metric: TaskMetric::Loss,
    hub: Some(("yahma/alpaca-cleaned", "default")),
    license: "CC BY-NC 4.0",
    folders: &["alpaca"],
    splits: &[Split {
        name: "train",
        rows: None,
        files: &[&["alpaca_data_cleaned.json"], &["alpaca_data.json"]],
    }],
    form: Form::Instructions,
};

/// Files of the user's.
pub(super) static USER: Benchmark = own_files(
    "instructions",
    "your own instructions and answers",
    TaskMetric::Loss,
    Form::Instructions,
);

/// All files, one after the other, and the number of rows left out: those whose answer is empty teach nothing.
pub(super) fn read(files: &[PathBuf]) -> Result<(Vec<Instruction>, usize), DataError> {
    let (mut instructions, mut left_out) = (Vec::new(), 0);
    let mut first_empty = None;
    for file in files {
        let table = read_table_file(file, Format::of_path(file)?, true, None)?;
        let instruction = by_default_name(
            &["instruction", "prompt", "question"],
            &[],
            "instruction",
            &table,
            file,
        )?;
        let output = by_default_name(
            &["output", "response", "completion", "answer"],
            &[&instruction],
            "answer",
            &table,
            file,
        )?;
        let input = by_default_name(
            &["input", "context"],
            &[&instruction, &output],
            "input",
            &table,
            file,
        )
        .ok();
        for row in &table.rows {
            let answer = may_be_empty(row, &output, file)?;
            if answer.trim().is_empty() {
                left_out += 1;
                first_empty.get_or_insert((file, row.line, output.name.clone()));
                continue;
            }
            let input = match &input {
                Some(input) if row.cells[input.index] != RawCell::Absent => may_be_empty(row, input, file)?,
                _ => String::new(),
            };
            instructions.push(Instruction {
                instruction: row.text(&instruction, file)?,
                input,
                output: answer,
            });
        }
    }
    match first_empty {
        Some((file, line, column)) if instructions.is_empty() => Err(DataError::NoCompletions {
            file: file.clone(),
            line,
            column,
            rows: left_out,
        }),
        _ => Ok((instructions, left_out)),
    }
}

fn may_be_empty(row: &RawRow, column: &ResolvedColumn, file: &Path) -> Result<String, DataError> {
    match &row.cells[column.index] {
        RawCell::Text(text) if text.trim().is_empty() => Ok(String::new()),
        _ => row.text(column, file),
    }
}
