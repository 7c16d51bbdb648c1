//! Everything that can be wrong with data that a user brings: where it is, what was expected, how to mend it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

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
        /// What the system said.
        source: std::io::Error,
    },

    /// The name's ending says nothing about the format, and no format was given.
    #[error("`{}`: the format cannot be told from the name; end it in .csv, .tsv, .jsonl or .json, or give the format", file.display())]
    UnknownExtension {
        /// The path as given.
        file: PathBuf,
    },

    /// A format was asked for that does not exist.
    #[error("format `{given}` is not known; choose one of csv, tsv, tsv-quoted, jsonl, json{}", did_you_mean(nearest.as_ref()))]
    UnknownFormat {
        /// The name as given.
        given: String,
        /// The format it may have meant.
        nearest: Option<String>,
    },

    /// A byte that is not UTF-8.
    #[error("`{}`, line {line}: byte 0x{byte:02X} at offset {offset} is not UTF-8; save the file as UTF-8, for example with `iconv -f ISO-8859-1 -t UTF-8`", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The line that holds the byte.
        line: usize,
        /// The byte's distance from the start of the file.
        offset: usize,
        /// The byte.
        byte: u8,
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
    #[error("`{}`, line {line}: {found} fields, but the first row has {expected}; a separator inside a field needs quotes in CSV, and cannot stand in plain TSV", file.display())]
    RaggedRow {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// Fields of the first row.
        expected: usize,
        /// Fields of this row.
        found: usize,
    },

    /// A quoted field that the file's end cuts off: everything after the quote would become one field.
    #[error("`{}`, line {line}: the quote that opens here is never closed; close it, write a quote inside a field twice, or read the file as plain TSV (format tsv)", file.display())]
    UnclosedQuote {
        /// The file.
        file: PathBuf,
        /// The line of the opening quote.
        line: usize,
    },

    /// The CSV reader gave up.
    #[error("`{}`: not readable as CSV ({source}); check the separator and the quotes", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// What the reader said, with its position.
        source: csv::Error,
    },

    /// Not JSON.
    #[error("`{}`, line {line}, column {column}: not valid JSON ({}); mend the text there", file.display(), json_reason(source))]
    Json {
        /// The file.
        file: PathBuf,
        /// The line of the mistake.
        line: usize,
        /// The column of the mistake in that line.
        column: usize,
        /// What the parser said.
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

    /// The JSON object has no such list of rows.
    #[error("`{}`: {}; name the key of the rows (its lists: {}){}", file.display(), wanted_list(wanted.as_ref()), quoted(found), did_you_mean(nearest.as_ref()))]
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

    // ---- its columns ----
    /// The named column is not in the file.
    #[error("`{}`: there is no {role} column `{wanted}`; the columns are {}{}", file.display(), quoted(found), did_you_mean(nearest.as_ref()))]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// What the column is for: text, second text or label.
        role: &'static str,
        /// The name asked for.
        wanted: String,
        /// The columns of the file.
        found: Vec<String>,
        /// The column it may have meant.
        nearest: Option<String>,
    },

    /// No column was named, and none has a usual name.
    #[error("`{}`: no {role} column has a usual name; name the {role} column{} (the columns are {})", file.display(), first_row_is_data(*header), quoted(found))]
    NoUsualColumn {
        /// The file.
        file: PathBuf,
        /// What the column is for: text or label.
        role: &'static str,
        /// The columns of the file.
        found: Vec<String>,
        /// Whether the first row was taken as a header, which it may not be.
        header: bool,
    },

    /// The index is beyond the last column.
    #[error("`{}`: there is no {role} column {index}; the {columns} columns have the indices 0 to {}", file.display(), columns - 1)]
    ColumnOutOfRange {
        /// The file.
        file: PathBuf,
        /// What the column is for.
        role: &'static str,
        /// The index asked for.
        index: usize,
        /// How many columns there are.
        columns: usize,
    },

    /// Without a header, or with JSON lists as rows, columns have no names.
    #[error("`{}`: the columns have no names (no header, or rows that are JSON lists), so the {role} column must be given by index, from 0; {}", file.display(), given_column(wanted.as_ref()))]
    NeedsIndex {
        /// The file.
        file: PathBuf,
        /// What the column is for.
        role: &'static str,
        /// The name that was given, if one was.
        wanted: Option<String>,
    },

    /// Two columns have the name that was asked for.
    #[error("`{}`: two columns are named `{column}`; rename one, or give the column by index", file.display())]
    RepeatedColumn {
        /// The file.
        file: PathBuf,
        /// The name.
        column: String,
    },

    // ---- its cells ----
    /// A cell of the wrong JSON type.
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
        found: &'static str,
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
    #[error("`{}`: every row has the label `{label}`, but a classifier needs at least two classes; add rows of another class, or give the label names", file.display())]
    OneClass {
        /// The file.
        file: PathBuf,
        /// The label.
        label: String,
    },

    // ---- label names ----
    /// Fewer than two classes.
    #[error(
        "a classifier needs at least two label names, found {}; add the missing names",
        quoted(names)
    )]
    TooFewLabels {
        /// The names given.
        names: Vec<String>,
    },

    /// A name that stands twice.
    #[error(
        "label name `{label}` stands a second time at position {index}; each class needs a name of its own"
    )]
    RepeatedLabel {
        /// The name.
        label: String,
        /// The position of the second, from 0.
        index: usize,
    },

    /// A name of white space only.
    #[error("the label name at position {index} is empty; give the class a name")]
    EmptyLabelName {
        /// The position, from 0.
        index: usize,
    },

    /// `id2label` is not numbered 0, 1, 2…
    #[error("`{}`: id2label lacks the id \"{missing}\" (further ids: {}); number the classes 0, 1, 2 and so on", file.display(), quoted(found))]
    Id2Label {
        /// The `config.json`.
        file: PathBuf,
        /// The lowest id that is missing.
        missing: usize,
        /// The ids that are left over.
        found: Vec<String>,
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

    // ---- tokenizing ----
    /// Not a `tokenizer.json`.
    #[error("`{}`: not a tokenizer ({source}); give the tokenizer.json of the model", file.display())]
    BadTokenizer {
        /// The file.
        file: PathBuf,
        /// What the tokenizers crate said.
        source: tokenizers::Error,
    },

    /// The maximal length leaves no room for text.
    #[error("max_length {max_length} leaves no room for text beside {special} special tokens; give at least {}", special + 2)]
    MaxLengthTooSmall {
        /// The length asked for.
        max_length: usize,
        /// Special tokens that a pair of texts takes.
        special: usize,
    },

    /// The tokenizer names no padding token.
    #[error("`{}`: the tokenizer has no padding token ([PAD] or <pad>); give the id of one", file.display())]
    NoPadToken {
        /// The tokenizer's file.
        file: PathBuf,
    },

    /// The tokenizer failed on texts.
    #[error(
        "examples {first} to {last} (from 0) cannot be tokenized ({source}); look for the odd one among them"
    )]
    Tokenize {
        /// The first example of the group that failed.
        first: usize,
        /// The last one.
        last: usize,
        /// What the tokenizers crate said.
        source: tokenizers::Error,
    },

    /// A text that the tokenizer makes nothing of.
    #[error(
        "example {row} (from 0) has no token: the tokenizer drops every character of `{text}`; remove the example"
    )]
    NoTokens {
        /// The example.
        row: usize,
        /// Its text.
        text: String,
    },

    /// Tokens that are no text.
    #[error("tokens cannot be turned into text ({source}); the tokenizer may belong to another model")]
    Decode {
        /// What the tokenizers crate said.
        source: tokenizers::Error,
    },

    /// No prompt leaves room for its completion.
    #[error(
        "none of the {prompts} prompts leaves room for a completion within {max_length} tokens; raise the maximal length"
    )]
    NoRoom {
        /// How many there are.
        prompts: usize,
        /// Longest prompt and completion together.
        max_length: usize,
    },

    // ---- splits ----
    /// More rows asked for than there are.
    #[error("the split needs {wanted} examples, but there are {available}{}; ask for fewer", in_part(*part))]
    TooFewExamples {
        /// How many rows were asked for.
        wanted: usize,
        /// How many there are.
        available: usize,
        /// The part that could not be filled from whole groups, or `None` when the data set is too small.
        part: Option<usize>,
    },

    // ---- rated sentences ----
    /// A rating that is no integer from -4 to 4.
    #[error("`{}`, line {line}: rating `{rating}` is not an integer from -4 to 4; mend the row", file.display())]
    BadRating {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The rating found.
        rating: String,
    },

    /// A mean that its ratings do not have.
    #[error("`{}`, line {line}: mean `{mean}` is not the mean {expected:.6} of the ratings; mend the row", file.display())]
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

/// At most this many names are listed in a message; a data set may have hundreds of labels.
const LISTED: usize = 12;

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut list: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > LISTED {
        list.push(format!("and {} more", names.len() - LISTED));
    }
    list.join(", ")
}

fn did_you_mean(nearest: Option<&String>) -> impl fmt::Display {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The parser's reason without its position, which is that in its part of the file, not in the whole.
fn json_reason(source: &serde_json::Error) -> String {
    let reason = source.to_string();
    let position = format!(" at line {} column {}", source.line(), source.column());
    reason.strip_suffix(&position).unwrap_or(&reason).to_owned()
}

fn first_row_is_data(header: bool) -> &'static str {
    if header {
        ", or, if the first row is data, read the file without a header"
    } else {
        ""
    }
}

fn wanted_list(wanted: Option<&String>) -> impl fmt::Display {
    wanted.map_or_else(
        || "it is not clear which list holds the rows".to_owned(),
        |key| format!("there is no list `{key}`"),
    )
}

fn given_column(wanted: Option<&String>) -> impl fmt::Display {
    wanted.map_or_else(
        || "none was given".to_owned(),
        |name| format!("`{name}` was given"),
    )
}

fn in_part(part: Option<usize>) -> impl fmt::Display {
    part.map_or_else(String::new, |part| {
        format!(" in the groups of part {part} (from 0)")
    })
}
