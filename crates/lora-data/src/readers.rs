//! Files of labelled text: one example a row, in CSV, TSV, JSONL, JSON or Parquet.
//!
//! A format's own file turns text into a [`RawTable`](table::Table); `columns` says which columns matter; `labels` turns
//! strings into targets. Every error keeps the line where its row starts.

pub(crate) mod bytes;
pub(crate) mod columns;
mod completions;
pub(crate) mod delimited;
pub(crate) mod encoding;
mod format;
mod joined_labels;
pub(crate) mod json;
mod label_sets;
pub(crate) mod labels;
#[cfg(feature = "parquet")]
mod parquet;
pub(crate) mod row_targets;
mod signature;
pub(crate) mod table;

use std::path::Path;

pub use columns::{ColumnSelector, Columns, ResolvedColumns};
pub use completions::{
    Completion, CompletionColumns, ReadCompletions, ResolvedCompletionColumns, read_completions,
};
pub use delimited::Separator;
pub use encoding::decode_text;
pub use format::Format;
pub use joined_labels::JoinedLabels;
pub use labels::LabelRule;
pub use table::ResolvedColumn;

use crate::dataset::{Dataset, Example};
use crate::error::{DataError, EncodingError};
use row_targets::RowTargets;
use table::RawTable;

/// How to read a file. The default: format by the name's ending, a header, columns by their default names, classes from
/// the data.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The format, or `None` to tell it from the name's ending ([`Format::of_path`]).
    pub format: Option<Format>,
    /// Which columns hold texts and labels.
    pub columns: Columns,
    /// What labels mean.
    pub labels: LabelRule,
    /// Whether the first row of a CSV or TSV names the columns. Without, columns are given by index.
    pub header: bool,
    /// For a JSON object: the key of its list of rows. `None`: the only list it has, or else `data`.
    pub json_field: Option<String>,
    /// Whether all cells are kept, for whoever writes the rows out again.
    pub keep_cells: bool,
    /// Whether rows without a text are left out and counted ([`ReadFile::without_text`]), rather than refused.
    pub skip_empty: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            columns: Columns::default(),
            labels: LabelRule::default(),
            header: true,
            json_field: None,
            keep_cells: false,
            skip_empty: false,
        }
    }
}

/// What came out of a file, and what was made of its form: to be shown, so that a wrong guess is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadFile {
    /// The examples in the order of the file.
    pub dataset: Dataset,
    /// The format that was read.
    pub format: Format,
    /// The columns that were read.
    pub columns: ResolvedColumns,
    /// A label that was written as a decimal number and taken for a class, if there was one: a regression may have been
    /// meant.
    pub decimal_label: Option<String>,
    /// Labels such as `a;b`: read apart where any number of labels may hold, else classes of their own, and several labels may
    /// have been meant.
    pub joined_labels: Option<JoinedLabels>,
    /// A label that is a number and was taken for the index of a class that has a word for its name, if there was one: the classes
    /// may have been numbered in another order.
    pub index_label: Option<String>,
    /// All cells, if they were to be kept: those of rows without a text too.
    pub cells: Option<Cells>,
    /// The rows without a text, by their number from 0, if they were to be left out.
    pub without_text: Vec<usize>,
}

/// All cells of a file, as texts: lists and objects as JSON, what is not there empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cells {
    /// Names of the columns; `column 0`, `column 1`… where the file has none.
    pub names: Vec<String>,
    /// What stood between the columns of a CSV, if it is not the comma.
    pub separator: Option<Separator>,
    /// Whether a CSV or TSV began with a byte-order mark, by which spreadsheets know that it is Unicode.
    pub has_mark: bool,
    /// One text a column, for each row.
    pub rows: Vec<Vec<String>>,
}

/// Reads a file of labelled text, all of it, into memory.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong: the path, the format, the encoding, the form, a column, a cell.
pub fn read_file(path: impl AsRef<Path>, options: &ReadOptions) -> Result<ReadFile, DataError> {
    let path = path.as_ref();
    let format = match options.format {
        Some(format) => format,
        None => Format::of_path(path).map_err(|unknown| match signature::of_file(path) {
            Some(kind) => EncodingError::NoText {
                file: path.to_path_buf(),
                kind,
            }
            .into(),
            None => unknown,
        })?,
    };
    let table = read_table_file(path, format, options.header, options.json_field.as_deref())?;
    assemble(&table, path, format, options)
}

/// The same from text in memory. `origin` is its path, for messages; [`ReadOptions::format`] is not looked at.
///
/// # Errors
/// Those of [`read_file`] but for the path and the encoding; [`DataError::ParquetIsNoText`].
pub fn read_str(
    content: &str,
    origin: impl AsRef<Path>,
    format: Format,
    options: &ReadOptions,
) -> Result<ReadFile, DataError> {
    let file = origin.as_ref();
    let table = read_table(
        content,
        file,
        format,
        options.header,
        options.json_field.as_deref(),
    )?;
    assemble(&table, file, format, options)
}

/// Texts and targets out of a table.
fn assemble(
    table: &RawTable,
    file: &Path,
    format: Format,
    options: &ReadOptions,
) -> Result<ReadFile, DataError> {
    let (text, text_pair) = columns::texts(&options.columns, table, file)?;
    let (label, targets) = match &options.labels {
        LabelRule::Unlabelled(task) => (None, RowTargets::none(task, table.rows.len())),
        LabelRule::Sets { known, columns } if !columns.is_empty() => {
            let found = columns
                .iter()
                .map(|column| columns::find(column, "label", table, file));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            let targets = label_sets::of_columns(table, &found, known.as_ref(), file)?;
            (None, targets)
        }
        rule @ (LabelRule::FromData
        | LabelRule::Classes
        | LabelRule::Known(_)
        | LabelRule::Sets { .. }
        | LabelRule::Values) => {
            let texts: Vec<&ResolvedColumn> = std::iter::once(&text).chain(&text_pair).collect();
            let label = columns::label(&options.columns, &texts, table, file)?;
            let targets = labels::targets(table, &label, rule, file)?;
            (Some(label), targets)
        }
    };
    let columns = ResolvedColumns {
        text,
        text_pair,
        label,
        separator: table.separator,
    };
    let mut examples = Vec::with_capacity(table.rows.len());
    let mut without_text = Vec::new();
    for (number, (row, target)) in table.rows.iter().zip(targets.each).enumerate() {
        let is_empty = |column: &ResolvedColumn| row.cells[column.index].is_empty();
        if options.skip_empty && (is_empty(&columns.text) || columns.text_pair.as_ref().is_some_and(is_empty))
        {
            without_text.push(number);
            continue;
        }
        let pair = columns.text_pair.as_ref();
        examples.push(Example {
            text: row.text(&columns.text, file)?,
            text_pair: pair.map(|pair| row.text(pair, file)).transpose()?,
            target,
        });
    }
    Ok(ReadFile {
        dataset: Dataset {
            examples,
            task: targets.task,
        },
        format,
        columns,
        decimal_label: targets.decimal_label,
        joined_labels: targets.joined_labels,
        index_label: targets.index_label,
        cells: options.keep_cells.then(|| table.to_cells()),
        without_text,
    })
}

/// A file's rows and columns, whatever its format.
pub(crate) fn read_table_file(
    path: &Path,
    format: Format,
    header: bool,
    json_field: Option<&str>,
) -> Result<RawTable, DataError> {
    if format == Format::Parquet {
        return read_parquet(path);
    }
    let bytes = bytes::read_bytes(path)?;
    let mut table = read_table(&decode_text(&bytes, path)?, path, format, header, json_field)?;
    let is_of_spreadsheets = matches!(format, Format::Csv | Format::Tsv | Format::QuotedTsv);
    table.has_mark = is_of_spreadsheets && encoding::has_mark(&bytes);
    Ok(table)
}

#[cfg(feature = "parquet")]
fn read_parquet(path: &Path) -> Result<RawTable, DataError> {
    parquet::read(path)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(path: &Path) -> Result<RawTable, DataError> {
    Err(DataError::ParquetNotBuilt {
        file: path.to_path_buf(),
    })
}

/// The same from text.
pub(crate) fn read_table(
    content: &str,
    file: &Path,
    format: Format,
    header: bool,
    json_field: Option<&str>,
) -> Result<RawTable, DataError> {
    let content = content.strip_prefix('\u{FEFF}').unwrap_or(content);
    // Lines of the old Macintosh, which spreadsheets still write.
    let with_line_feeds;
    let content = if content.contains('\r') && !content.contains('\n') {
        with_line_feeds = content.replace('\r', "\n");
        &with_line_feeds
    } else {
        content
    };
    if content.trim().is_empty() {
        return Err(DataError::Empty {
            file: file.to_path_buf(),
        });
    }
    match format {
        Format::Csv => delimited::read_quoted(content, b',', header, file),
        Format::QuotedTsv => delimited::read_quoted(content, b'\t', header, file),
        Format::Tsv => delimited::read_plain(content, header, file),
        Format::Jsonl => json::read_lines(content, file),
        Format::Json => json::read_document(content, json_field, file),
        Format::Parquet => Err(DataError::ParquetIsNoText {
            file: file.to_path_buf(),
        }),
    }
}
