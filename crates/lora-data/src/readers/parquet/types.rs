//! Types of Parquet columns: which hold texts, numbers or truths, and which the reader knows.

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::schema::types::Type;
use std::sync::Arc;

/// The type of a column that holds no texts, numbers, truths, lists or objects: its name. A column's values alone do not tell: a time
/// in nanoseconds is read as a number.
pub(super) fn other_than_text(column: &Type) -> Option<String> {
    if column.is_group() {
        return None;
    }
    let info = column.get_basic_info();
    let by_annotation = match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::Decimal(_)), _) | (_, ConvertedType::DECIMAL) => {
            return Some(format!(
                "DECIMAL({}, {})",
                column.get_precision(),
                column.get_scale()
            ));
        }
        (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => Some("DATE"),
        (Some(LogicalType::Time(_)), _) | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            Some("TIME")
        }
        (Some(LogicalType::Timestamp(_)), _)
        | (_, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => Some("TIMESTAMP"),
        (Some(LogicalType::Uuid), _) => Some("UUID"),
        (Some(LogicalType::Bson), _) | (_, ConvertedType::BSON) => Some("BSON"),
        (_, ConvertedType::INTERVAL) => Some("INTERVAL"),
        _ => None,
    };
    let by_storage = || (column.get_physical_type() == Physical::INT96).then_some("INT96, a time");
    by_annotation.or_else(by_storage).map(str::to_owned)
}

/// The columns without those at which the reader panics; `None` for all columns.
pub(super) fn readable(schema: &Type) -> Result<Option<Type>, ParquetError> {
    let fields = schema.get_fields();
    let kept: Vec<_> = fields
        .iter()
        .filter(|field| !has_interval(field))
        .map(Arc::clone)
        .collect();
    if kept.len() == fields.len() {
        return Ok(None);
    }
    Type::group_type_builder(schema.name())
        .with_fields(kept)
        .build()
        .map(Some)
}

fn has_interval(field: &Type) -> bool {
    match field {
        Type::GroupType { fields, .. } => fields.iter().any(|field| has_interval(field)),
        Type::PrimitiveType { basic_info, .. } => basic_info.converted_type() == ConvertedType::INTERVAL,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    #[test]
    fn intervals_are_left_out_at_any_depth() {
        let schema = parse_message_type(
            "message rows { required binary text (UTF8); optional fixed_len_byte_array(12) span (INTERVAL);
             optional group both { optional fixed_len_byte_array(12) span (INTERVAL); } optional int32 label; }",
        )
        .unwrap();
        let kept = readable(&schema).unwrap().unwrap();
        let names: Vec<&str> = kept.get_fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["text", "label"]);
        assert!(readable(&kept).unwrap().is_none());
    }

    #[test]
    fn a_type_is_told_from_the_annotation() {
        let schema = parse_message_type(
            "message rows { required binary bytes; required binary text (UTF8); required int64 number; required int96 old;
             required fixed_len_byte_array(16) id (UUID); required binary document (BSON); required int64 time (TIMESTAMP(NANOS,true)); }",
        )
        .unwrap();
        let kinds: Vec<Option<String>> = schema
            .get_fields()
            .iter()
            .map(|field| other_than_text(field))
            .collect();
        let kinds: Vec<Option<&str>> = kinds.iter().map(Option::as_deref).collect();
        let other = [
            Some("INT96, a time"),
            Some("UUID"),
            Some("BSON"),
            Some("TIMESTAMP"),
        ];
        assert_eq!(kinds[..3], [None, None, None]);
        assert_eq!(kinds[3..], other);
    }
}
