//! CLINC150: which of 150 intents does a query have, or none of them (Larson et al. 2019)?
//!
//! The JSON file holds six lists of pairs of query and intent: `train`, `val`, `test` of the 150 intents, and `oos_train`, `oos_val`,
//! `oos_test` of out-of-scope queries. The hub and plain tables hold all in one list, where the intent of the latter is `oos`.
//!
//! Out-of-scope queries are no class to be learned: they are splits of their own, without labels, for the detection scores.

use std::path::{Path, PathBuf};

use super::{Benchmark, Form, Split, TaskMetric, split};
use crate::dataset::{Dataset, Example, Target};
use crate::error::DataError;
use crate::labels::LabelNames;
use crate::readers::columns::by_default_name;
use crate::readers::table::{Naming, RawCell, RawTable, ResolvedColumn};
use crate::readers::{Format, bytes, decode_text, json, read_table_file};
use crate::task::Task;

/// The intent of queries that have none.
const OUT_OF_SCOPE: &str = "oos";

type Files = &'static [&'static [&'static str]];

const fn splits(train: usize, file: Files) -> [Split; 6] {
    [
        split("train", train, file),
        split("validation", 3_000, file),
        split("test", 4_500, file),
        split("oos_train", 100, file),
        split("oos_validation", 100, file),
        split("oos_test", 1_000, file),
    ]
}

pub(super) static CLINC150: Benchmark = Benchmark {
    name: "clinc150",
    title: "CLINC150: 150 intents, and queries that have none of them",
    metric: TaskMetric::Accuracy,
    hub: Some(("clinc/clinc_oos", "plus")),
    license: "CC BY 3.0",
    folders: &["clinc150"],
    splits: &splits(15_000, &[&["data_full.json"]]),
    form: Form::Clinc,
};

pub(super) static CLINC150_SMALL: Benchmark = Benchmark {
    name: "clinc150-small",
    title: "CLINC150 with half of the training queries",
    metric: TaskMetric::Accuracy,
    hub: Some(("clinc/clinc_oos", "small")),
    license: "CC BY 3.0",
    folders: &["clinc150"],
    splits: &splits(7_500, &[&["data_small.json"]]),
    form: Form::Clinc,
};

pub(super) fn read(files: &[PathBuf], split: &Split) -> Result<Dataset, DataError> {
    let outside = split.name.starts_with("oos_");
    let (mut queries, mut names) = (Vec::new(), Vec::new());
    for file in files {
        let (tables, intents_from) = tables(file, split.name)?;
        for row in rows(&intents_from, file)? {
            names.push(row?.1);
        }
        for row in rows(&tables, file)? {
            let (query, intent) = row?;
            if (intent == OUT_OF_SCOPE) == outside {
                queries.push((query, intent));
            }
        }
    }
    names.retain(|name| name != OUT_OF_SCOPE);
    names.sort_unstable();
    names.dedup();
    let labels = LabelNames::new(names)?;
    let examples = queries.into_iter().map(|(text, intent)| Example {
        text,
        text_pair: None,
        target: labels.index_of(&intent).map(Target::Class),
    });
    Ok(Dataset {
        examples: examples.collect(),
        task: Task::Classification { labels },
    })
}

/// The table of a split, and the one whose intents are the classes.
fn tables(file: &Path, split: &str) -> Result<(RawTable, RawTable), DataError> {
    let format = Format::of_path(file)?;
    if format != Format::Json {
        return Ok((
            read_table_file(file, format, true, None)?,
            read_table_file(file, format, true, None)?,
        ));
    }
    let list = match split {
        "validation" => "val",
        "oos_validation" => "oos_val",
        other => other,
    };
    let bytes = bytes::read_bytes(file)?;
    let content = decode_text(&bytes, file)?;
    let read = |list| json::read_document(&content, Some(list), file);
    Ok((read(list)?, read("train")?))
}

/// Query and intent of each row.
fn rows<'a>(
    table: &'a RawTable,
    file: &'a Path,
) -> Result<impl Iterator<Item = Result<(String, String), DataError>> + 'a, DataError> {
    let (text, intent) = match table.naming {
        // A list of pairs.
        Naming::Numbers => {
            let column = |index: usize| ResolvedColumn {
                name: table.names[index].clone(),
                index,
            };
            if table.names.len() < 2 {
                return Err(DataError::JsonShape {
                    file: file.to_path_buf(),
                    line: table.rows[0].line,
                    expected: "a pair of query and intent",
                    found: "a shorter list",
                });
            }
            (column(0), column(1))
        }
        Naming::Header | Naming::Keys => {
            let text = by_default_name(&["text", "query", "sentence"], &[], "text", table, file)?;
            let intent = by_default_name(&["intent", "label", "class"], &[&text], "label", table, file)?;
            (text, intent)
        }
    };
    Ok(table.rows.iter().map(move |row| {
        // Intents are names: a number has lost its name, and its order would be another than that of the names.
        if let RawCell::Number(_) = row.cells[intent.index] {
            return Err(row.wrong_type(&intent, "the name of an intent", &row.cells[intent.index], file));
        }
        Ok((row.text(&text, file)?, row.label(&intent, file)?.into_owned()))
    }))
}
