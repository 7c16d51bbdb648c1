//! Prompts and completions: what a language model is fine-tuned on.

use std::path::Path;

use super::columns::{self, ColumnSelector};
use super::delimited::Separator;
use super::table::{RawCell, RawRow, RawTable, ResolvedColumn};
use super::{Format, read_table_file};
use crate::error::DataError;

/// Prompts as data sets name them, in the order in which they are looked for.
const PROMPTS: [&str; 4] = ["prompt", "instruction", "question", "input"];
/// What belongs to a prompt, likewise.
const CONTEXTS: [&str; 2] = ["context", "input"];
/// Completions, likewise.
const COMPLETIONS: [&str; 5] = ["completion", "output", "response", "answer", "target"];

/// A prompt and the completion of a language model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The prompt; with a context, both with an empty line between them.
    pub prompt: String,
    /// What follows it.
    pub completion: String,
}

/// Which columns to read. What is not given is told from default names: `prompt`, `instruction`…; `context`, `input`;
/// `completion`, `output`…
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletionColumns {
    /// The prompt.
    pub prompt: Option<ColumnSelector>,
    /// What belongs to the prompt; its cells may be empty.
    pub context: Option<ColumnSelector>,
    /// The completion.
    pub completion: Option<ColumnSelector>,
}

/// The columns that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedCompletionColumns {
    /// The prompt.
    pub prompt: ResolvedColumn,
    /// What belongs to it, if there is such a column.
    pub context: Option<ResolvedColumn>,
    /// The completion.
    pub completion: ResolvedColumn,
    /// What stands between the columns of a CSV, if it is not the comma.
    pub separator: Option<Separator>,
}

/// What came out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCompletions {
    /// The rows with a completion, in the order of the file.
    pub completions: Vec<Completion>,
    /// How many rows have an empty completion, which teaches nothing; they are left out.
    pub empty: usize,
    /// The columns that were read.
    pub columns: ResolvedCompletionColumns,
}

/// Reads a file of prompts and completions, all of it, into memory; the format is told from the name unless given.
/// `header` says whether the first row of a CSV or TSV names the columns.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong: the path, the format, the encoding, the form, a column, a cell;
/// [`DataError::NoCompletions`] when every completion is empty.
pub fn read_completions(
    path: impl AsRef<Path>,
    format: Option<Format>,
    header: bool,
    columns: &CompletionColumns,
) -> Result<ReadCompletions, DataError> {
    let path = path.as_ref();
    let format = match format {
        Some(format) => format,
        None => Format::of_path(path)?,
    };
    let table = read_table_file(path, format, header, None)?;
    let columns = resolve(columns, &table, path)?;
    let is_empty = |row: &&RawRow, column: &ResolvedColumn| match &row.cells[column.index] {
        RawCell::Text(text) => text.trim().is_empty(),
        _ => false,
    };
    let mut completions = Vec::with_capacity(table.rows.len());
    let filled = table
        .rows
        .iter()
        .filter(|row| !is_empty(row, &columns.completion));
    for row in filled {
        let prompt = row.text(&columns.prompt, path)?;
        let context = columns
            .context
            .as_ref()
            .filter(|context| row.cells[context.index] != RawCell::Absent && !is_empty(&row, context));
        completions.push(Completion {
            prompt: match context {
                Some(context) => format!("{prompt}\n\n{}", row.text(context, path)?),
                None => prompt,
            },
            completion: row.text(&columns.completion, path)?,
        });
    }
    if completions.is_empty() {
        return Err(DataError::NoCompletions {
            file: path.to_path_buf(),
            line: table.rows[0].line,
            column: columns.completion.name,
            rows: table.rows.len(),
        });
    }
    Ok(ReadCompletions {
        empty: table.rows.len() - completions.len(),
        completions,
        columns,
    })
}

fn resolve(
    asked: &CompletionColumns,
    table: &RawTable,
    file: &Path,
) -> Result<ResolvedCompletionColumns, DataError> {
    let one = |given: &Option<ColumnSelector>, names: &[&str], role, taken: &[&ResolvedColumn]| match given {
        Some(column) => columns::find(column, role, table, file),
        None => columns::by_default_name(names, taken, role, table, file),
    };
    let prompt = one(&asked.prompt, &PROMPTS, "prompt", &[])?;
    let completion = one(&asked.completion, &COMPLETIONS, "completion", &[&prompt])?;
    let context = match (&asked.context, &asked.prompt) {
        (Some(_), _) => Some(one(&asked.context, &CONTEXTS, "context", &[])?),
        // A prompt that was asked for by name stands alone.
        (None, Some(_)) => None,
        (None, None) => one(&None, &CONTEXTS, "context", &[&prompt, &completion]).ok(),
    };
    Ok(ResolvedCompletionColumns {
        prompt,
        context,
        completion,
        separator: table.separator,
    })
}

impl std::fmt::Display for ResolvedCompletionColumns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "prompt `{}`", self.prompt.name)?;
        self.context
            .iter()
            .try_for_each(|context| write!(formatter, " with `{}`", context.name))?;
        write!(formatter, ", completion `{}`", self.completion.name)?;
        self.separator
            .iter()
            .try_for_each(|separator| write!(formatter, ", separated by {separator}"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(
        name: &str,
        text: &str,
        columns: &CompletionColumns,
    ) -> Result<(Vec<Completion>, String), DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_completions(&path, None, true, columns).map(|read| (read.completions, read.columns.to_string()))
    }

    #[test]
    fn instructions_with_and_without_input_become_prompts() {
        let text = r#"[{"instruction": "Add.", "input": "1, 2", "output": "3"},
            {"instruction": "Say hi.", "input": "", "output": "Hi"}]"#;
        let (rows, columns) = read("a.json", text, &CompletionColumns::default()).unwrap();
        assert_eq!(columns, "prompt `instruction` with `input`, completion `output`");
        let pairs: Vec<_> = rows
            .iter()
            .map(|row| (row.prompt.as_str(), row.completion.as_str()))
            .collect();
        assert_eq!(pairs, [("Add.\n\n1, 2", "3"), ("Say hi.", "Hi")]);
    }

    #[test]
    fn a_prompt_column_that_is_named_stands_alone() {
        let columns = CompletionColumns {
            prompt: Some("q".into()),
            completion: Some("a".into()),
            context: None,
        };
        let (rows, shown) = read("a.csv", "q,a,input\nWho?,Me,x\n", &columns).unwrap();
        assert_eq!(shown, "prompt `q`, completion `a`");
        assert_eq!(rows[0].prompt, "Who?");
    }

    #[test]
    fn an_empty_completion_is_left_out_and_a_missing_one_refused() {
        let text = "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"\"}\n";
        let (rows, _) = read("a.jsonl", text, &CompletionColumns::default()).unwrap();
        assert_eq!(rows.len(), 1);
        let text = "prompt,completion\n\"a\nb\",\nc,  \n";
        let error = read("a.csv", text, &CompletionColumns::default())
            .unwrap_err()
            .to_string();
        for part in ["line 2", "`completion` is empty", "all 2 rows"] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        let text = "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\"}\n";
        let error = read("a.jsonl", text, &CompletionColumns::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("`completion`"),
            "{error}"
        );
    }
}
