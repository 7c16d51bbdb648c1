//! Parquet: rows of named columns, as the Hugging Face hub keeps data sets.
//!
//! The hub stores a class as a number and its name in the metadata of the file (key `huggingface`); names are put back here, so that a
//! file from the hub reads as one that was written by hand. The class −1, by which the hub marks unlabelled rows, is no value.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde::Deserialize;
use serde_json::Value;

use super::json::cell;
use super::table::{Cell, Naming, Row, Table};
use crate::error::DataError;

/// The whole file as a table; a row's line is its number from 1.
pub(super) fn read(path: &Path) -> Result<Table, DataError> {
    let opened = File::open(path).map_err(|source| {
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
    let reader = SerializedFileReader::new(opened).map_err(bad(None))?;
    let metadata = reader.metadata().file_metadata();
    let names: Vec<String> = metadata
        .schema()
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let described = metadata.key_value_metadata().into_iter().flatten();
    let classes = described
        .filter(|pair| pair.key == "huggingface")
        .find_map(|pair| class_names(pair.value.as_deref()?))
        .unwrap_or_default();

    let mut rows = Vec::new();
    for (line, row) in (1..).zip(reader.get_row_iter(None).map_err(bad(None))?) {
        let row = row.map_err(bad(Some(line)))?;
        let cells = row.into_columns().into_iter().map(|(name, field)| {
            let value = value(&field);
            match (classes.get(&name), value.as_i64()) {
                (Some(names), Some(class)) => named(names, class, value),
                _ => cell(value),
            }
        });
        let cells = cells.collect();
        rows.push(Row { line, cells });
    }
    if rows.is_empty() {
        return Err(DataError::Empty {
            file: path.to_path_buf(),
        });
    }
    Ok(Table {
        names,
        naming: Naming::Keys,
        rows,
    })
}

/// The name of a class; a number without a name stays a number.
fn named(names: &[String], class: i64, value: Value) -> Cell {
    match usize::try_from(class).ok().and_then(|class| names.get(class)) {
        Some(name) => Cell::Text(name.clone()),
        None if class == -1 => Cell::Absent,
        None => cell(value),
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

fn value(field: &Field) -> Value {
    match field {
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
        // Through its shortest decimal form: 3.8 stays 3.8, not 3.799999952316284.
        Field::Float(value) => value.to_string().parse::<f64>().map_or(Value::Null, Value::from),
        Field::Double(value) => Value::from(*value),
        Field::Str(value) => Value::from(value.as_str()),
        Field::Group(row) => {
            let columns = row.get_column_iter();
            Value::Object(
                columns
                    .map(|(name, field)| (name.clone(), self::value(field)))
                    .collect(),
            )
        }
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        // Dates, decimals, bytes: no part of any task; as text, a message can show them.
        other => Value::from(other.to_string()),
    }
}
