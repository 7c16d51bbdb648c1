//! Sentences with a tag for each word: named entities, parts of speech.
//!
//! Read are columns as `CoNLL`'s shared tasks have them (a word a line, the word in the first column and its tag in the last, an empty line
//! between sentences, `-DOCSTART-` lines skipped), and tables with the lists `tokens` and `tags` as the hub has them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Benchmark, Form, TaskMetric, own_files, split};
use crate::error::{DataError, TaskError};
use crate::labels::LabelNames;
use crate::readers::columns::by_default_name;
use crate::readers::table::{RawCell, RawRow, ResolvedColumn};
use crate::readers::{Format, bytes, decode_text, read_table_file};

/// Sentences and the names of their tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedWords {
    /// The sentences, in the order of the files.
    pub sentences: Vec<TaggedSentence>,
    /// The names of the tags, in the order of the model's outputs.
    pub tags: LabelNames,
}

/// A sentence as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedSentence {
    /// The words: at least one.
    pub words: Vec<String>,
    /// The tag of each word, as an index into [`TaggedWords::tags`]; `None` where they are not known.
    pub tags: Option<Vec<usize>>,
}

/// What the tags of a file mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TagRule<'a> {
    /// Their names are the different tags of the files: `O` first, then by code point.
    FromData,
    /// Tags of these names, or their indices; another one is an error.
    Known(&'a LabelNames),
    /// There are none, or they are not to be read; a model with these names will predict them.
    NotRead(&'a LabelNames),
}

pub(super) static CONLL2003: Benchmark = Benchmark {
    name: "conll2003",
    title: "CoNLL-2003: persons, organizations, places and other names in news",
    metric: TaskMetric::EntityF1,
    hub: Some(("eriktks/conll2003", "conll2003")),
    license: "Reuters' terms, for research",
    folders: &["conll2003"],
    splits: &[
        split("train", 14_041, &[&["eng.train"], &["train.txt"]]),
        split("validation", 3_250, &[&["eng.testa"], &["valid.txt"]]),
        split("test", 3_453, &[&["eng.testb"], &["test.txt"]]),
    ],
    form: Form::Words(Some(&[
        "O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC",
    ])),
};

/// Files of the user's.
pub(super) static USER: Benchmark = own_files(
    "words",
    "your own sentences with tagged words",
    TaskMetric::EntityF1,
    Form::Words(None),
);

/// A word and its tag as it is written, with the line.
type Tagged = (usize, String, Option<String>);

/// All files, one after the other.
///
/// # Errors
/// A [`DataError`] for the first thing that is wrong with a file.
pub fn read_words(files: &[impl AsRef<Path>], rule: TagRule<'_>) -> Result<TaggedWords, DataError> {
    Ok(with_index_tag(files, rule)?.0)
}

/// The same, and a tag that was taken for the index of a name, if there was one.
fn with_index_tag(
    files: &[impl AsRef<Path>],
    rule: TagRule<'_>,
) -> Result<(TaggedWords, Option<String>), DataError> {
    let with_tags = !matches!(rule, TagRule::NotRead(_));
    let mut sentences: Vec<(&Path, Vec<Tagged>)> = Vec::new();
    for file in files {
        let file = file.as_ref();
        let read = match Format::of_path(file) {
            Ok(Format::Tsv) | Err(_) => columns(file, with_tags)?,
            Ok(format) => table(file, format, with_tags)?,
        };
        sentences.extend(read.into_iter().map(|sentence| (file, sentence)));
    }
    let tags = match rule {
        TagRule::Known(tags) | TagRule::NotRead(tags) => tags.clone(),
        TagRule::FromData => names(sentences.iter().flat_map(|(_, sentence)| sentence))?,
    };
    let mut index_tag = None;
    let sentences = sentences.into_iter().map(|(file, sentence)| {
        let class = |(line, _, tag): &Tagged| {
            let Some(tag) = tag else { return Ok(None) };
            if tag == SKIPPED {
                return Err(DataError::WrongType {
                    file: file.to_path_buf(),
                    line: *line,
                    column: "tag".to_owned(),
                    expected: "a tag for each word, as files have them before words are cut into tokens",
                    found: format!("{SKIPPED}, which Transformers' loss skips"),
                });
            }
            if tags.by_name(tag).is_none() {
                index_tag.get_or_insert_with(|| tag.clone());
            }
            let unknown = || tags.unknown(tag, "tag", file, *line);
            tags.class_of(tag).ok_or_else(unknown).map(Some)
        };
        let classes: Option<Vec<usize>> = sentence.iter().map(class).collect::<Result<_, _>>()?;
        Ok(TaggedSentence {
            words: sentence.into_iter().map(|(_, word, _)| word).collect(),
            tags: classes,
        })
    });
    let sentences = sentences.collect::<Result<_, DataError>>()?;
    Ok((TaggedWords { sentences, tags }, index_tag))
}

/// The tag of tokens that are not judged.
const SKIPPED: &str = "-100";

/// The names that occur: what is outside of all entities first.
fn names<'a>(words: impl Iterator<Item = &'a Tagged>) -> Result<LabelNames, DataError> {
    let mut names: Vec<&str> = words.filter_map(|(_, _, tag)| tag.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().all(|name| name.parse::<usize>().is_ok()) {
        names.sort_by_key(|name| name.parse::<usize>().ok());
    }
    names.sort_by_key(|name| *name != "O");
    Ok(LabelNames::new(names)?)
}

// ---- columns ----

fn columns(file: &Path, with_tags: bool) -> Result<Vec<Vec<Tagged>>, DataError> {
    let bytes = bytes::read_bytes(file)?;
    let content = decode_text(&bytes, file)?;
    let (mut sentences, mut sentence) = (Vec::new(), Vec::new());
    let mut columns = None;
    for (line, text) in (1..).zip(content.lines()) {
        let fields: Vec<&str> = if text.contains('\t') {
            text.split('\t').map(str::trim).collect()
        } else {
            text.split_whitespace().collect()
        };
        let word = fields.first().copied().unwrap_or_default();
        if fields.iter().all(|field| field.is_empty()) || word == "-DOCSTART-" {
            if !sentence.is_empty() {
                sentences.push(std::mem::take(&mut sentence));
            }
            continue;
        }
        // Between tabs there may be a tag and no word, which ends no sentence.
        if word.is_empty() {
            return Err(DataError::EmptyText {
                file: file.to_path_buf(),
                line,
                column: "word".to_owned(),
            });
        }
        let expected = *columns.get_or_insert(fields.len());
        if fields.len() != expected || (with_tags && fields.len() < 2) {
            return Err(TaskError::NotColumns {
                file: file.to_path_buf(),
                line,
                expected: expected.max(2),
                found: fields.len(),
            }
            .into());
        }
        let tag = fields.last().filter(|_| with_tags).map(|tag| (*tag).to_owned());
        if tag.as_deref() == Some("") {
            return Err(DataError::NoValue {
                file: file.to_path_buf(),
                line,
                column: "tag".to_owned(),
            });
        }
        sentence.push((line, word.to_owned(), tag));
    }
    if !sentence.is_empty() {
        sentences.push(sentence);
    }
    if sentences.is_empty() {
        return Err(DataError::Empty {
            file: file.to_path_buf(),
        });
    }
    Ok(sentences)
}

// ---- tables ----

const WORDS: [&str; 3] = ["tokens", "words", "text"];
const TAGS: [&str; 5] = ["ner_tags", "tags", "labels", "label", "pos_tags"];

fn table(file: &Path, format: Format, with_tags: bool) -> Result<Vec<Vec<Tagged>>, DataError> {
    if matches!(format, Format::Csv | Format::QuotedTsv) {
        return Err(TaskError::NoListsInCsv {
            file: file.to_path_buf(),
        }
        .into());
    }
    let table = read_table_file(file, format, true, None)?;
    let words = by_default_name(&WORDS, &[], "words", &table, file)?;
    let tags = with_tags
        .then(|| by_default_name(&TAGS, &[&words], "tags", &table, file))
        .transpose()?;
    let sentence = |row: &RawRow| {
        let found = list(row, &words, file)?;
        if found.is_empty() {
            return Err(row.no_value(&words, file));
        }
        let tags = match &tags {
            Some(column) => {
                let tags = list(row, column, file)?;
                if tags.len() != found.len() {
                    return Err(TaskError::TagCount {
                        file: file.to_path_buf(),
                        line: row.line,
                        words: found.len(),
                        tags: tags.len(),
                    }
                    .into());
                }
                tags.into_iter().map(Some).collect()
            }
            None => vec![None; found.len()],
        };
        let words = found.into_iter().zip(tags);
        Ok(words.map(|(word, tag)| (row.line, word, tag)).collect())
    };
    table.rows.iter().map(sentence).collect()
}

/// The strings or numbers of a list.
fn list(row: &RawRow, column: &ResolvedColumn, file: &Path) -> Result<Vec<String>, DataError> {
    let cell = &row.cells[column.index];
    let wrong = || {
        row.wrong_type(
            column,
            "a list of strings, or of the numbers of classes",
            cell,
            file,
        )
    };
    let RawCell::List(items) = cell else {
        return Err(wrong());
    };
    let text = |item: &Value| match item {
        Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(wrong()),
    };
    items.iter().map(text).collect()
}

/// The files of a split, for the table of tasks, and a tag that was taken for the index of a name. The indices of a set that fixes its
/// names are in their order.
pub(super) fn read(
    files: &[PathBuf],
    names: Option<&'static [&'static str]>,
    known: Option<&LabelNames>,
) -> Result<(TaggedWords, Option<String>), DataError> {
    let Some(names) = names else {
        return with_index_tag(files, known.map_or(TagRule::FromData, TagRule::Known));
    };
    let own = LabelNames::new(names.iter().copied())?;
    Ok((read_words(files, TagRule::Known(known.unwrap_or(&own)))?, None))
}
