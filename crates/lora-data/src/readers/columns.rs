//! Which columns hold the texts and the label: as given, or by their default names.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::delimited::Separator;
use super::table::{Naming, RawTable, ResolvedColumn};
use crate::error::ColumnError;
use crate::suggest::nearest;

/// Pairs of texts as data sets name them, in the order in which they are looked for.
const PAIRS: [(&str, &str); 10] = [
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("#1 string", "#2 string"),
];
/// Single texts, in the order in which they are looked for.
const TEXTS: [&str; 8] = [
    "text",
    "sentence",
    "sentence1",
    "content",
    "review",
    "comment",
    "tweet",
    "question",
];
/// Labels, in the order in which they are looked for.
const LABELS: [&str; 10] = [
    "label",
    "labels",
    "gold_label",
    "class",
    "category",
    "target",
    "sentiment",
    "score",
    "is_duplicate",
    "quality",
];

/// A column: by name, or by index from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a column, in quotes where it reads as something else, or its index from 0"
)]
pub enum ColumnSelector {
    /// The index, from 0.
    Index(usize),
    /// The name in the header, or the key of a JSON object.
    Name(String),
}

impl FromStr for ColumnSelector {
    type Err = Infallible;

    /// Digits only: an index; anything else: a name.
    fn from_str(given: &str) -> Result<Self, Infallible> {
        Ok(given
            .parse()
            .map_or_else(|_| Self::Name(given.to_owned()), Self::Index))
    }
}

impl From<&str> for ColumnSelector {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for ColumnSelector {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Which columns to read. What is not given is told from default names, in either case: `sentence1` and `sentence2`,
/// `premise` and `hypothesis`…, else `text`, `sentence`…; `label`, `labels`, `class`… for the label.
///
/// Where `text` is given and `text_pair` is not, there is no second text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// The text, or the first of two.
    pub text: Option<ColumnSelector>,
    /// The second text.
    pub text_pair: Option<ColumnSelector>,
    /// The label.
    pub label: Option<ColumnSelector>,
}

/// The columns that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedColumns {
    /// The text, or the first of two.
    pub text: ResolvedColumn,
    /// The second text, if there is one.
    pub text_pair: Option<ResolvedColumn>,
    /// The label, unless labels are not read.
    pub label: Option<ResolvedColumn>,
    /// What stands between the columns of a CSV, if it is not the comma.
    pub separator: Option<Separator>,
}

impl fmt::Display for ResolvedColumns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text_pair {
            Some(pair) => write!(formatter, "texts `{}` and `{}`", self.text.name, pair.name)?,
            None => write!(formatter, "text `{}`", self.text.name)?,
        }
        self.label
            .iter()
            .try_for_each(|label| write!(formatter, ", label `{}`", label.name))?;
        self.separator
            .iter()
            .try_for_each(|separator| write!(formatter, ", separated by {separator}"))
    }
}

/// The columns of the text and of the second text, if there is one.
pub(super) fn texts(
    asked: &Columns,
    table: &RawTable,
    file: &Path,
) -> Result<(ResolvedColumn, Option<ResolvedColumn>), ColumnError> {
    let find = |column: &ColumnSelector, role| find(column, role, table, file);
    match (&asked.text, &asked.text_pair) {
        (Some(text), pair) => {
            let pair = pair.as_ref().map(|pair| find(pair, "second text")).transpose()?;
            Ok((find(text, "text")?, pair))
        }
        // A second text alone: the first is told from the single names.
        (None, Some(pair)) => {
            let pair = find(pair, "second text")?;
            Ok((
                by_default_name(&TEXTS, &[&pair], "text", table, file)?,
                Some(pair),
            ))
        }
        (None, None) => match pair_by_default_names(table) {
            Some((text, pair)) => {
                let [text, pair] = [(text, "text"), (pair, "second text")]
                    .map(|(column, role)| find(&ColumnSelector::Name(column.name), role));
                Ok((text?, Some(pair?)))
            }
            None => Ok((by_default_name(&TEXTS, &[], "text", table, file)?, None)),
        },
    }
}

/// The column of the label; never told to be one of `taken`.
pub(super) fn label(
    asked: &Columns,
    taken: &[&ResolvedColumn],
    table: &RawTable,
    file: &Path,
) -> Result<ResolvedColumn, ColumnError> {
    match &asked.label {
        Some(label) => find(label, "label", table, file),
        None => by_default_name(&LABELS, taken, "label", table, file).map_err(|error| match error {
            ColumnError::NoDefaultColumn {
                file,
                role,
                found,
                header,
                slip,
                ..
            } => ColumnError::NoDefaultColumn {
                file,
                role,
                found,
                header,
                slip,
                of_truths: columns_of_truths(taken, table),
            },
            other => other,
        }),
    }
}

/// What columns for this are called by default.
fn default_names(role: &str) -> &'static [&'static str] {
    match role {
        "text" => &TEXTS,
        "label" => &LABELS,
        _ => &[],
    }
}

/// The column asked for.
pub(crate) fn find(
    column: &ColumnSelector,
    role: &'static str,
    table: &RawTable,
    file: &Path,
) -> Result<ResolvedColumn, ColumnError> {
    let file = file.to_path_buf();
    match column {
        &ColumnSelector::Index(index) => match table.names.get(index) {
            Some(name) => Ok(ResolvedColumn {
                name: name.clone(),
                index,
            }),
            None => Err(ColumnError::ColumnOutOfRange {
                file,
                role,
                index,
                columns: table.names.len(),
            }),
        },
        ColumnSelector::Name(name) if table.naming == Naming::Numbers => Err(ColumnError::NeedsIndex {
            file,
            role,
            wanted: Some(name.clone()),
        }),
        ColumnSelector::Name(name) => {
            let mut places = table.names.iter().enumerate().filter(|(_, found)| *found == name);
            match (places.next(), places.next()) {
                (Some((index, _)), None) => Ok(ResolvedColumn {
                    name: name.clone(),
                    index,
                }),
                (Some(_), Some(_)) => Err(ColumnError::RepeatedColumn {
                    file,
                    column: name.clone(),
                }),
                (None, _) => Err(ColumnError::MissingColumn {
                    file,
                    role,
                    wanted: name.clone(),
                    found: table.names.clone(),
                    nearest: nearest(name, table.names.iter().map(String::as_str)).or_else(|| {
                        default_names(role)
                            .iter()
                            .find_map(|name| named(name, table))
                            .map(|column| column.name)
                    }),
                }),
            }
        }
    }
}

/// The first column with a default name that is not taken.
pub(crate) fn by_default_name(
    names: &[&str],
    taken: &[&ResolvedColumn],
    role: &'static str,
    table: &RawTable,
    file: &Path,
) -> Result<ResolvedColumn, ColumnError> {
    if table.naming == Naming::Numbers {
        return Err(ColumnError::NeedsIndex {
            file: file.to_path_buf(),
            role,
            wanted: None,
        });
    }
    let found = names
        .iter()
        .filter_map(|name| named(name, table))
        .find(|column| !taken.contains(&column));
    match found {
        // Which of two columns of one name is meant, nobody can tell.
        Some(column) => find(&ColumnSelector::Name(column.name), role, table, file),
        None => Err(ColumnError::NoDefaultColumn {
            file: file.to_path_buf(),
            role,
            found: table.names.clone(),
            header: table.naming == Naming::Header,
            slip: slip(names, taken, table).map(Box::new),
            of_truths: Vec::new(),
        }),
    }
}

/// The first column whose name is one of `names` but for a letter, and that name. Of words that are chosen freely, those two letters apart
/// are other words: `intent` is no slip of `content`.
fn slip(names: &[&str], taken: &[&ResolvedColumn], table: &RawTable) -> Option<(String, String)> {
    let free = |index: usize| taken.iter().all(|column| column.index != index);
    let mut columns = table.names.iter().enumerate().filter(|(index, _)| free(*index));
    columns.find_map(|(_, column)| {
        let is_slip = |default: &&str| strsim::damerau_levenshtein(&column.to_lowercase(), default) == 1;
        let default = nearest(column, names.iter().copied().filter(is_slip))?;
        Some((column.clone(), default))
    })
}

/// The columns that hold 0 and 1 alone, if there are several: labels any number of which may hold are often written so.
fn columns_of_truths(taken: &[&ResolvedColumn], table: &RawTable) -> Vec<String> {
    let is_truth = |index: usize| table.rows.iter().all(|row| row.cells[index].truth().is_some());
    let free = |index: &usize| taken.iter().all(|column| column.index != *index);
    let found: Vec<String> = (0..table.names.len())
        .filter(free)
        .filter(|&index| !table.rows.is_empty() && is_truth(index))
        .map(|index| table.names[index].clone())
        .collect();
    if found.len() > 1 { found } else { Vec::new() }
}

fn pair_by_default_names(table: &RawTable) -> Option<(ResolvedColumn, ResolvedColumn)> {
    PAIRS
        .iter()
        .find_map(|(first, second)| named(first, table).zip(named(second, table)))
}

/// The first column of this lower-case name, unless the file names no columns.
fn named(name: &str, table: &RawTable) -> Option<ResolvedColumn> {
    let lower = |found: &str| found.chars().flat_map(char::to_lowercase).eq(name.chars());
    let same = |found: &String| table.naming != Naming::Numbers && lower(found);
    let index = table.names.iter().position(same)?;
    Some(ResolvedColumn {
        name: table.names[index].clone(),
        index,
    })
}

#[cfg(test)]
mod tests;
