//! Prompts and completions, which teach a language model to write, from files of the user's or from a benchmark's instructions.

use std::path::Path;

use lora_data::tasks::{Instruction, Rows};
use lora_data::{Completion, CompletionColumns, ProblemType, ReadCompletions, read_completions};

use super::split::SplitRows;
use super::{ColumnNames, RowSource};
use crate::counted::counted;
use crate::error::{Context, Result};
use crate::progress::Progress;

/// Reads and splits.
pub(super) fn read(source: &RowSource<'_>, progress: &dyn Progress) -> Result<(SplitRows, ColumnNames)> {
    let config = source.data;
    if config.test_file.is_some() {
        let message = "a language model is judged by its validation loss alone; remove test_file";
        return Err(source.origins.at("test_file", message));
    }
    let columns = CompletionColumns {
        prompt: config.text_column.clone(),
        context: config.text_pair_column.clone(),
        completion: config.label_column.clone(),
    };
    let read = |key: &str, path: &Path| -> Result<ReadCompletions> {
        let read = read_completions(path, config.data_format, config.header, &columns);
        let read = read.with_context(|| source.place(key))?;
        let left_out = match read.empty {
            0 => String::new(),
            empty => format!("; {empty} more have an empty completion and are left out"),
        };
        progress.note(&format!(
            "{}: {}, {}{left_out}",
            path.display(),
            counted(read.completions.len(), "row"),
            read.columns
        ));
        Ok(read)
    };
    let (key, path) = source.train_file()?;
    let train = read(key, path)?;
    let validation = config.validation_file.as_deref();
    let validation = validation.map(|path| read("validation_file", path)).transpose()?;
    let found = &train.columns;
    let names = source.column_names(&found.prompt, found.context.as_ref(), Some(&found.completion));
    let rows = SplitRows::new(
        Rows::Completions(train.completions),
        validation.map(|read| Rows::Completions(read.completions)),
        None,
    );
    Ok((rows.complete(source.shares(ProblemType::CausalLm))?, names))
}

/// Instructions in Alpaca's prompt, or for a chat template as a user's message; other rows as they are.
pub(super) fn as_completions(split: SplitRows, is_chat: bool) -> SplitRows {
    let completion = |row: &Instruction| if is_chat { row.message() } else { row.alpaca() };
    let written = |rows: Rows| match rows {
        Rows::Instructions(rows) => {
            Rows::Completions(rows.iter().map(completion).collect::<Vec<Completion>>())
        }
        rows => rows,
    };
    SplitRows {
        train: written(split.train),
        validation: split.validation.map(written),
        test: split.test.map(written),
        ..split
    }
}
