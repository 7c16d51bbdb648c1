//! Prompts and completions, which teach a language model to write, from files of the user's or from a benchmark's instructions.

use std::path::Path;

use lora_data::tasks::{Instruction, Rows};
use lora_data::{
    ColumnSelector, Completion, CompletionColumns, ReadCompletions, ResolvedColumn, read_completions,
};
use lora_train::EvalStrategy;

use super::split::{Shares, SplitRows};
use super::{ColumnNames, train_file};
use crate::config::Resolved;
use crate::error::{Context, Result};
use crate::progress::Progress;

/// A language model's validation rows only choose the best step, so there are none where nothing is evaluated.
pub(super) fn shares(resolved: &Resolved) -> Shares {
    let config = &resolved.config;
    let is_evaluated = config.train.eval_strategy != EvalStrategy::No;
    Shares {
        validation: if is_evaluated {
            config.validation_fraction
        } else {
            0.0
        },
        test: 0.0,
        seed: config.train.seed,
    }
}

/// Reads and splits.
pub(super) fn read(resolved: &Resolved, progress: &dyn Progress) -> Result<(SplitRows, ColumnNames)> {
    let config = &resolved.config;
    if config.test_file.is_some() {
        let message = "a language model is judged by its validation loss alone; remove test_file";
        return Err(resolved.origins.at("test_file", message));
    }
    let columns = CompletionColumns {
        prompt: config.text_column.clone(),
        context: config.text_pair_column.clone(),
        completion: config.label_column.clone(),
    };
    let read = |key: &str, path: &Path| -> Result<ReadCompletions> {
        let read = read_completions(path, config.data_format, config.header, &columns);
        let read = read.with_context(|| resolved.origins.of(key).unwrap_or_else(|| key.to_owned()))?;
        let left_out = match read.empty {
            0 => String::new(),
            empty => format!("; {empty} more have an empty completion and are left out"),
        };
        let count = read.completions.len();
        progress.note(&format!(
            "{}: {count} rows, {}{left_out}",
            path.display(),
            read.columns
        ));
        Ok(read)
    };
    let (key, path) = train_file(resolved)?;
    let train = read(key, path)?;
    let validation = config.validation_file.as_deref();
    let validation = validation.map(|path| read("validation_file", path)).transpose()?;
    let column = |given: &Option<ColumnSelector>, found: &ResolvedColumn| {
        given.clone().unwrap_or(ColumnSelector::Name(found.name.clone()))
    };
    let found = &train.columns;
    let names = ColumnNames {
        text: column(&config.text_column, &found.prompt),
        text_pair: found
            .context
            .as_ref()
            .map(|found| column(&config.text_pair_column, found)),
        label: column(&config.label_column, &found.completion),
    };
    let rows = SplitRows::new(
        Rows::Completions(train.completions),
        validation.map(|read| Rows::Completions(read.completions)),
        None,
    );
    Ok((rows.complete(shares(resolved))?, names))
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
