//! Everything that can be wrong with data that a user brings: where it is, what was expected, how to fix it.

mod columns;
mod encoding;
mod label_names;
mod tasks;
mod tokenizer;
mod words;

use std::path::PathBuf;

use thiserror::Error;

use crate::counted::counted;
use crate::readers::Separator;

pub use columns::ColumnError;
pub use encoding::{EncodingError, LikelyEncoding};
pub use label_names::LabelNamesError;
pub use tasks::TaskError;
pub use tokenizer::TokenizerError;
use words::{
    did_you_mean, in_row, in_split, json_reason, list_of_objects, quoted, separated_by, wanted_list,
};

/// Why a data file, a tokenizer or a split was refused. Lines and columns of a text start at 1, column indices of a
/// table at 0, as in Python and pandas.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    // ---- the file ----
    /// The path leads nowhere.
    #[error("`{}`: there is no such file; check the path (a relative path starts at the current folder)", file.display())]
    Missing {
        /// The path as given.
        file: PathBuf,
    },

    /// The file is there and cannot be read.
    #[error("`{}`: cannot be read ({source}); a data set is a file that the current user may read", file.display())]
    Unreadable {
        /// The path as given.
        file: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },

    /// The name's ending says nothing about the format, and no format was given.
    #[error("`{}`: the format cannot be told from the name; end it in .csv, .tsv, .jsonl, .json or .parquet, or give the format", file.display())]
    UnknownExtension {
        /// The path as given.
        file: PathBuf,
    },

    /// A format was asked for that does not exist.
    #[error("format `{given}` is not known; choose one of csv, tsv, tsv-quoted, jsonl, json, parquet{}", did_you_mean(nearest.as_ref()))]
    UnknownFormat {
        /// The name as given.
        given: String,
        /// The format it may have meant.
        nearest: Option<String>,
    },

    /// Nothing but white space.
    #[error("`{}`: the file is empty; expected one example a row", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },

    /// A header, or an empty list, and no row.
    #[error("`{}`: there is a header and no row under it; expected one example a row", file.display())]
    HeaderOnly {
        /// The file.
        file: PathBuf,
    },

    /// A JSON list without an item.
    #[error("`{}`, line {line}: the list of rows is empty; expected one example an item", file.display())]
    EmptyList {
        /// The file.
        file: PathBuf,
        /// Where the list starts.
        line: usize,
    },

    // ---- its form ----
    /// A row with more or fewer fields than the first.
    #[error("`{}`, line {line}: {}, but the first row has {expected}; a separator inside a field needs quotes in CSV, and cannot stand in plain TSV{}", file.display(), counted(*found, "field"), separated_by(*separator))]
    RaggedRow {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// Fields of the first row.
        expected: usize,
        /// Fields of this row.
        found: usize,
        /// What separates, if it is not the comma of CSV or the tab of TSV.
        separator: Option<Separator>,
    },

    /// A row that is the header again, as joined files have it.
    #[error("`{}`, line {line}: the header stands here again, as in files that were joined; remove the line", file.display())]
    RepeatedHeader {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
    },

    /// A quoted field that the file's end cuts off: everything after the quote would become one field.
    #[error("`{}`, line {line}: the quote that opens here is never closed; close it, write a quote inside a field twice, or read the file as plain TSV (format tsv)", file.display())]
    UnclosedQuote {
        /// The file.
        file: PathBuf,
        /// The line of the opening quote.
        line: usize,
    },

    /// A quoted field that goes on after its closing quote: a quote would be lost.
    #[error("`{}`, line {line}: a quoted field goes on after its closing quote; write a quote inside a field twice (\"\", not \\\"), or read the file as plain TSV (format tsv)", file.display())]
    TextAfterQuote {
        /// The file.
        file: PathBuf,
        /// The line of the closing quote.
        line: usize,
    },

    /// The CSV reader gave up.
    #[error("`{}`: not readable as CSV ({source}); check the separator and the quotes", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// The error of the reader, with its position.
        source: csv::Error,
    },

    /// Not JSON.
    #[error("`{}`, line {line}, column {column}: not valid JSON ({}); fix the text there", file.display(), json_reason(source))]
    Json {
        /// The file.
        file: PathBuf,
        /// The line of the mistake.
        line: usize,
        /// The column of the mistake in that line.
        column: usize,
        /// The error of the parser.
        source: serde_json::Error,
    },

    /// JSON of another shape than rows.
    #[error("`{}`, line {line}: expected {expected}, found {found}", file.display())]
    JsonShape {
        /// The file.
        file: PathBuf,
        /// Where the value starts.
        line: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },

    /// JSON rows whose keys are hardly ever the same: as a table, fewer than one cell in a hundred would be filled.
    #[error("`{}`, line {line}: the rows so far have {keys} different keys, and each row so few of them that a table would be far larger than the file; give every row the same keys, or remove those that are not read", file.display())]
    SparseRows {
        /// The file.
        file: PathBuf,
        /// Where the row starts that was too much.
        line: usize,
        /// Different keys up to there.
        keys: usize,
    },

    /// The JSON object has no such list of rows.
    #[error("`{}`: {}; name the key of the rows (its lists: {}){}{}", file.display(), wanted_list(wanted.as_ref()), quoted(found), did_you_mean(nearest.as_ref()), list_of_objects(found))]
    JsonField {
        /// The file.
        file: PathBuf,
        /// The key asked for, if one was.
        wanted: Option<String>,
        /// The keys whose value is a list.
        found: Vec<String>,
        /// The key it may have meant.
        nearest: Option<String>,
    },

    /// The Parquet reader gave up.
    #[error("`{}`{}: not readable as Parquet ({source}); download the file again, or save it uncompressed or with Snappy", file.display(), in_row(*row))]
    Parquet {
        /// The file.
        file: PathBuf,
        /// The row, from 1, or `None` when the file cannot be opened as Parquet.
        row: Option<usize>,
        /// The error of the reader.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A Parquet file where Parquet is not read.
    #[error("`{}`: Parquet is not read by this build; build lora-data with its feature `parquet`, or save the data as JSONL", file.display())]
    ParquetNotBuilt {
        /// The file.
        file: PathBuf,
    },

    /// Parquet was named as the format of a text.
    #[error("`{}`: Parquet is no text; give the path of the file", file.display())]
    ParquetIsNoText {
        /// The origin as given.
        file: PathBuf,
    },

    // ---- its cells ----
    /// A cell of the wrong type.
    #[error("`{}`, line {line}: `{column}` is {found}; expected {expected}", file.display())]
    WrongType {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: String,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },

    /// No value: a missing key, null, or an empty label.
    #[error("`{}`, line {line}: `{column}` has no value; fill it in or remove the row", file.display())]
    NoValue {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: String,
    },

    /// A text of white space only.
    #[error("`{}`, line {line}: the text in `{column}` is empty; fill it in or remove the row", file.display())]
    EmptyText {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: String,
    },

    /// Completions that are all empty, from which nothing can be learned.
    #[error("`{}`, line {line}: `{column}` is empty, as in all {rows} rows; fill in what the model should answer, or name the column that holds it", file.display())]
    NoCompletions {
        /// The file.
        file: PathBuf,
        /// Where the first row starts.
        line: usize,
        /// The column.
        column: String,
        /// How many rows there are.
        rows: usize,
    },

    /// A label that the model does not know.
    #[error("`{}`, line {line}: label `{label}` in `{column}` is not known; the labels are {}{}", file.display(), quoted(known), did_you_mean(nearest.as_ref()))]
    UnknownLabel {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: Box<str>,
        /// The label found.
        label: Box<str>,
        /// The known labels in order.
        known: Box<[String]>,
        /// The label it may have meant.
        nearest: Option<String>,
    },

    /// Class labels that are fractions: a regression, most likely.
    #[error("`{}`, line {line}: label `{label}` in `{column}` is a decimal number, not a class; choose regression, or write classes as integers or words", file.display())]
    DecimalLabel {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: String,
        /// The label found.
        label: String,
    },

    /// A regression target that is no number.
    #[error("`{}`, line {line}: `{value}` in `{column}` is not a finite number, as a regression needs; write it like 3.5, remove the row, or choose classification", file.display())]
    NotANumber {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The column.
        column: String,
        /// The value found.
        value: String,
    },

    /// All rows have one label, and no names were given.
    #[error("`{}`: every row has the label `{label}`, but a classifier needs at least two classes; add rows of another class, or name the right label column", file.display())]
    OneClass {
        /// The file.
        file: PathBuf,
        /// The label.
        label: String,
    },

    /// Some examples have a target of the task's kind and others have not.
    #[error(
        "example {row} (from 0) has no target or one of another kind; expected {expected} for every example, or no target at all"
    )]
    MixedTargets {
        /// The first example without a fitting target.
        row: usize,
        /// What the task needs.
        expected: &'static str,
    },

    // ---- its parts ----
    /// Bytes that are no text, or text in an encoding that is not read.
    #[error(transparent)]
    Encoding(#[from] EncodingError),

    /// A column that is not there, or cannot be told.
    #[error(transparent)]
    Column(#[from] ColumnError),

    /// Label names that name no classes.
    #[error(transparent)]
    LabelNames(#[from] LabelNamesError),

    /// A tokenizer, or a text that it makes nothing of.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// A benchmark task, its splits, or rows that are not of its form.
    #[error(transparent)]
    Task(#[from] TaskError),

    // ---- splits ----
    /// More rows asked for than there are.
    #[error("the split needs {wanted} examples, but there are {available}{}; ask for fewer", in_split(*split))]
    TooFewExamples {
        /// How many rows were asked for.
        wanted: usize,
        /// How many there are.
        available: usize,
        /// The split that could not be filled from whole groups, or `None` when the data set is too small.
        split: Option<usize>,
    },

    /// Fewer different texts than splits, and no text may be in two.
    #[error(
        "the rows hold {texts} different texts, too few for {splits} splits of which no two have a text in common; give rows with other texts"
    )]
    TooFewTexts {
        /// How many splits were asked for.
        splits: usize,
        /// How many different texts there are.
        texts: usize,
    },

    // ---- rated sentences ----
    /// A rating that is no integer from -4 to 4.
    #[error("`{}`, line {line}: rating `{rating}` is not an integer from -4 to 4; fix the row", file.display())]
    BadRating {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The rating found.
        rating: String,
    },

    /// A mean that its ratings do not have.
    #[error("`{}`, line {line}: mean `{mean}` is not the mean {expected:.6} of the ratings; fix the row", file.display())]
    WrongMean {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The mean as written.
        mean: String,
        /// The mean of the ratings.
        expected: f64,
    },
}
