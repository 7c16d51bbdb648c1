//! Parquet: rows of named columns, as the Hugging Face hub keeps data sets.
//!
//! Bytes without a type of their own are text if they are UTF-8. What is no text, number or truth (decimals, times, maps…) becomes a
//! cell of another type, which is refused by name where a text or a label is wanted.
//!
//! The hub stores a class as a number and its name in the metadata of the file (key `huggingface`); names are put back here, so that a
//! file from the hub reads as one that was written by hand. The class −1, by which the hub marks unlabelled rows, is no value.

mod schema;
mod types;

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde::Deserialize;
use serde_json::Value;

use super::json::cell;
use super::signature;
use super::table::{Naming, RawCell, RawRow, RawTable};
use crate::error::{DataError, EncodingError};

/// The whole file as a table; a row's line is its number from 1.
pub(super) fn read(path: &Path) -> Result<RawTable, DataError> {
    // The library panics at places in its metadata that lie before the file's begin.
    panic::catch_unwind(AssertUnwindSafe(|| read_table(path))).unwrap_or_else(|_| {
        Err(DataError::Parquet {
            file: path.to_path_buf(),
            row: None,
            source: Box::new(ParquetError::General("its metadata is damaged".to_owned())),
        })
    })
}

fn read_table(path: &Path) -> Result<RawTable, DataError> {
    let mut opened = File::open(path).map_err(|source| {
        let file = path.to_path_buf();
        match source.kind() {
            ErrorKind::NotFound => DataError::Missing { file },
            _ => DataError::Unreadable { file, source },
        }
    })?;
    let bad = |row| {
        move |source: ParquetError| DataError::Parquet {
            file: path.to_path_buf(),
            row,
            source: Box::new(source),
        }
    };
    schema::check(&mut opened).map_err(bad(None))?;
    let reader = SerializedFileReader::new(opened).map_err(|source| match signature::of_file(path) {
        // Its own signature with a broken end is a damaged file.
        Some(kind) if !kind.starts_with("a Parquet") => EncodingError::NoText {
            file: path.to_path_buf(),
            kind,
        }
        .into(),
        _ => bad(None)(source),
    })?;
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    let other_types: Vec<Option<String>> = fields.iter().map(|field| types::other_than_text(field)).collect();
    let described = metadata.key_value_metadata().into_iter().flatten();
    let classes = described
        .filter(|pair| pair.key == "huggingface")
        .find_map(|pair| class_names(pair.value.as_deref()?))
        .unwrap_or_default();
    let readable = types::readable(metadata.schema()).map_err(bad(None))?;

    let mut rows = Vec::new();
    for (line, row) in (1..).zip(reader.get_row_iter(readable).map_err(bad(None))?) {
        let row = row.map_err(bad(Some(line)))?;
        let mut found = row.into_columns().into_iter().peekable();
        let cells = names.iter().zip(&other_types).map(|(name, other)| {
            // Columns that the reader does not know were not asked for.
            match found.next_if(|(column, _)| column == name) {
                Some((_, Field::Null)) => RawCell::Absent,
                Some((_, field)) => cell_of(&field, classes.get(name), other.as_deref()),
                None => of_other_type(other.as_deref().unwrap_or("another type"), String::new()),
            }
        });
        let cells = cells.collect();
        rows.push(RawRow { line, cells });
    }
    if rows.is_empty() {
        return Err(DataError::Empty {
            file: path.to_path_buf(),
        });
    }
    Ok(RawTable {
        names,
        naming: Naming::Keys,
        separator: None,
        has_mark: false,
        rows,
    })
}

/// A value as a cell; `other` is the type of a column that holds no texts, numbers or truths.
fn cell_of(field: &Field, classes: Option<&Vec<String>>, other: Option<&str>) -> RawCell {
    if let Some(kind) = other {
        return of_other_type(kind, field.to_string());
    }
    match value(field) {
        Ok(value) => match (classes, value.as_i64()) {
            (Some(names), Some(class)) => named(names, class),
            _ => cell(value),
        },
        Err(kind) => of_other_type(kind, field.to_string()),
    }
}

fn of_other_type(kind: &str, shown: String) -> RawCell {
    RawCell::Other {
        kind: format!("of the Parquet type {kind}"),
        shown,
    }
}

/// The name of a class.
fn named(names: &[String], class: i64) -> RawCell {
    match usize::try_from(class).ok().and_then(|class| names.get(class)) {
        Some(name) => RawCell::Text(name.clone()),
        None if class == -1 => RawCell::Absent,
        None => RawCell::Other {
            kind: format!("class {class}, beyond the {} that the file names", names.len()),
            shown: class.to_string(),
        },
    }
}

/// The names of classes by column, from what the hub's `datasets` library writes about a file.
fn class_names(metadata: &str) -> Option<HashMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct Metadata {
        info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        features: HashMap<String, Value>,
    }
    #[derive(Deserialize)]
    struct ClassLabel {
        names: Vec<String>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).ok()?;
    let features = metadata.info.features.into_iter();
    let named = features.filter_map(|(column, feature)| {
        let label: ClassLabel = serde_json::from_value(feature).ok()?;
        Some((column, label.names))
    });
    Some(named.collect())
}

/// The value, or the type of a part that JSON has no value for.
fn value(field: &Field) -> Result<Value, &'static str> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => Value::from(f64::from(*value)),
        // Through its shortest decimal form: 3.8 stays 3.8, not 3.799999952316284.
        Field::Float(value) => value.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        Field::Double(value) => Value::from(*value),
        Field::Str(value) => Value::from(value.as_str()),
        // ClickHouse, Impala and older Spark write texts so.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) if !text.contains('\0') => Value::from(text),
            _ => return Err("BINARY, with bytes that are not UTF-8"),
        },
        Field::Group(row) => {
            let columns = row.get_column_iter();
            let values = columns.map(|(name, field)| Ok((name.clone(), value(field)?)));
            Value::Object(values.collect::<Result<_, &'static str>>()?)
        }
        Field::ListInternal(list) => {
            Value::Array(list.elements().iter().map(value).collect::<Result<_, _>>()?)
        }
        Field::MapInternal(_) => return Err("MAP"),
        Field::Decimal(_) => return Err("DECIMAL"),
        Field::Date(_) => return Err("DATE"),
        Field::TimeMillis(_) | Field::TimeMicros(_) => return Err("TIME"),
        Field::TimestampMillis(_) | Field::TimestampMicros(_) => return Err("TIMESTAMP"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_beyond_the_names_is_no_class_of_its_own_name() {
        let names = ["bad".to_owned(), "good".to_owned()];
        assert_eq!(named(&names, 1), RawCell::Text("good".to_owned()));
        assert_eq!(named(&names, -1), RawCell::Absent);
        assert_eq!(
            named(&names, 2).kind(),
            "class 2, beyond the 2 that the file names"
        );
    }
}
