//! Texts with a class or a number, in the forms in which GLUE and sets like it come.

use std::path::{Path, PathBuf};

use super::Split;
use crate::dataset::{Dataset, Example};
use crate::error::{ColumnError, DataError};
use crate::labels::LabelNames;
use crate::readers::columns::by_default_name;
use crate::readers::labels::targets;
use crate::readers::row_targets::RowTargets;
use crate::readers::table::{Naming, RawCell, RawRow, RawTable, ResolvedColumn};
use crate::readers::{Format, LabelRule, bytes, decode_text, delimited, read_table_file};
use crate::task::Task;

/// Which columns hold what. Names are in small letters; the first that a file has is read.
#[derive(Debug)]
pub(super) struct TextForm {
    /// The text, or the first of two.
    pub text: &'static [&'static str],
    /// The second text; empty where there is none.
    pub pair: &'static [&'static str],
    /// The label.
    pub label: &'static [&'static str],
    /// What it means.
    pub labels: Labels,
    /// Fields of a TSV whose first line names no columns.
    pub headerless: Option<Headerless>,
    /// Leave out lines of a TSV with a wrong number of fields, in place of refusing the file.
    pub leaves_out_broken: bool,
}

/// What labels mean.
#[derive(Debug)]
pub(super) enum Labels {
    /// Classes in the order of the hub, by name or by index.
    Names(&'static [&'static str]),
    /// A regression.
    Values,
}

/// Fields by index.
#[derive(Debug)]
pub(super) struct Headerless {
    /// How many fields a line may have.
    pub fields: &'static [usize],
    /// The text.
    pub text: usize,
    /// The second text.
    pub pair: Option<usize>,
    /// The label.
    pub label: usize,
}

/// All files of a split, one after the other, and the number of lines left out.
pub(super) fn read(form: &TextForm, files: &[PathBuf], split: &Split) -> Result<(Dataset, usize), DataError> {
    let task = form.task()?;
    let mut dataset = Dataset {
        examples: Vec::new(),
        task,
    };
    let mut left_out = 0;
    for file in files {
        let (examples, broken) = read_one(form, &dataset.task, split.name.starts_with("test"), file)?;
        dataset.examples.extend(examples);
        left_out += broken;
    }
    Ok((dataset, left_out))
}

/// One file, for a task whose classes may come from elsewhere than the form; `is_test`: the column of labels may be missing.
pub(super) fn read_one(
    form: &TextForm,
    task: &Task,
    is_test: bool,
    file: &Path,
) -> Result<(Vec<Example>, usize), DataError> {
    let (table, broken) = read_table(form, file)?;
    Ok((examples(form, task, &table, is_test, file)?, broken))
}

impl TextForm {
    /// One text with its class in the column `label` below a header, and no broken lines: what a set does not say otherwise.
    pub(super) const PLAIN: Self = Self {
        text: &["text"],
        pair: &[],
        label: &["label"],
        labels: Labels::Names(&[]),
        headerless: None,
        leaves_out_broken: false,
    };

    /// The names of text, second text and label as the hub has them, which come last.
    pub(super) fn column_names(&self) -> (&'static str, Option<&'static str>, &'static str) {
        let last = |names: &'static [&'static str]| names.last().copied();
        (
            last(self.text).unwrap_or("text"),
            last(self.pair),
            last(self.label).unwrap_or("label"),
        )
    }

    fn task(&self) -> Result<Task, DataError> {
        Ok(match self.labels {
            Labels::Names(names) => Task::Classification {
                labels: LabelNames::new(names.iter().copied())?,
            },
            Labels::Values => Task::Regression,
        })
    }
}

fn examples(
    form: &TextForm,
    task: &Task,
    table: &RawTable,
    is_test: bool,
    file: &Path,
) -> Result<Vec<Example>, DataError> {
    let text = by_default_name(form.text, &[], "text", table, file)?;
    let pair = match form.pair {
        [] => None,
        names => Some(by_default_name(names, &[&text], "second text", table, file)?),
    };
    let targets = match label(form, table, is_test, file)? {
        None => RowTargets::none(task, table.rows.len()),
        Some(column) => targets(table, &column, &LabelRule::of(task, &[]), file)?,
    };
    let rows = table.rows.iter().zip(targets.each).map(|(row, target)| {
        Ok(Example {
            text: row.text(&text, file)?,
            text_pair: pair.as_ref().map(|pair| row.text(pair, file)).transpose()?,
            target,
        })
    });
    rows.collect()
}

/// The column of labels; `None` where a test split keeps them back: without the column, or with −1 or nothing in every row.
fn label(
    form: &TextForm,
    table: &RawTable,
    is_test: bool,
    file: &Path,
) -> Result<Option<ResolvedColumn>, ColumnError> {
    let column = match by_default_name(form.label, &[], "label", table, file) {
        Ok(column) => column,
        Err(_) if is_test => return Ok(None),
        Err(error) => return Err(error),
    };
    let kept_back = |cell: &RawCell| match cell {
        RawCell::Absent => true,
        RawCell::Text(text) | RawCell::Number(text) => text.trim().parse() == Ok(-1.0),
        RawCell::Bool(_) | RawCell::List(_) | RawCell::Object(_) | RawCell::Other { .. } => false,
    };
    let all = table.rows.iter().all(|row| kept_back(&row.cells[column.index]));
    Ok((!all).then_some(column))
}

/// A file as a table; GLUE's TSV are read here because some name no columns and some hold broken lines.
fn read_table(form: &TextForm, file: &Path) -> Result<(RawTable, usize), DataError> {
    // The paraphrase corpus calls its TSV `.txt`.
    let text_file = file
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("txt"));
    let format = if text_file {
        Format::Tsv
    } else {
        Format::of_path(file)?
    };
    if format != Format::Tsv {
        return Ok((read_table_file(file, format, true, None)?, 0));
    }
    let bytes = bytes::read_bytes(file)?;
    tsv(form, &decode_text(&bytes, file)?, file)
}

fn tsv(form: &TextForm, content: &str, file: &Path) -> Result<(RawTable, usize), DataError> {
    let mut lines = delimited::plain_rows(content).peekable();
    let Some((_, first)) = lines.peek() else {
        let file = file.to_path_buf();
        return Err(DataError::Empty { file });
    };
    let is_header = first
        .iter()
        .any(|field| form.text.contains(&field.trim().to_lowercase().as_str()));
    let headerless = form.headerless.as_ref().filter(|_| !is_header);
    let (names, allowed) = if let Some(headerless) = headerless {
        (Vec::new(), headerless.fields.to_vec())
    } else {
        let names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
        let count = names.len();
        lines.next();
        (names, vec![count])
    };
    let mut table = RawTable {
        naming: Naming::Header,
        names,
        separator: None,
        has_mark: false,
        rows: Vec::new(),
    };
    let mut broken = 0;
    for (line, fields) in lines {
        if !allowed.contains(&fields.len()) {
            if form.leaves_out_broken {
                broken += 1;
                continue;
            }
            let (file, expected, found) = (file.to_path_buf(), allowed[0], fields.len());
            return Err(DataError::RaggedRow {
                file,
                line,
                expected,
                found,
                separator: None,
            });
        }
        let cell = |field: &str| RawCell::Text(field.to_owned());
        let cells = match headerless {
            Some(at) => [Some(at.text), at.pair, Some(at.label)]
                .into_iter()
                .flatten()
                .map(|index| cell(fields[index]))
                .collect(),
            None => fields.into_iter().map(cell).collect(),
        };
        table.rows.push(RawRow { line, cells });
    }
    if let Some(headerless) = headerless {
        let pair = headerless.pair.map(|_| form.pair[0]);
        let names = [Some(form.text[0]), pair, Some(form.label[0])];
        table.names = names.into_iter().flatten().map(str::to_owned).collect();
    }
    if table.rows.is_empty() {
        let file = file.to_path_buf();
        return Err(DataError::HeaderOnly { file });
    }
    Ok((table, broken))
}
