//! What the library takes from `tokenizer.json` without a bound, looked at before it does.
//!
//! | part | what the library does (tokenizers 0.23) |
//! |---|---|
//! | SentencePiece's table of replaced characters | takes as much memory as its first four bytes say |
//! | a piece, a regular expression | goes one call deeper for each byte or alternative, and fills its stack |

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Bytes of a text as it is written; the longest that were seen, runs of spaces and expressions, have some hundred.
const LONGEST_TEXT: usize = 2_000;
/// The key of the only long text: the table, in base64.
const TABLE: &str = "precompiled_charsmap";

/// Refuses what is out of bounds; what else is wrong with the file, the library tells.
pub(super) fn check(file: &[u8]) -> tokenizers::Result<()> {
    texts(file)?;
    let mut json = serde_json::Deserializer::from_slice(file);
    match json.deserialize_map(Normalizers) {
        Err(refusal) if refusal.is_data() => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// Checks all that is in quotation marks.
fn texts(file: &[u8]) -> Result<(), String> {
    let mut rest = file;
    let mut before: &[u8] = &[];
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let text = &rest[start + 1..];
        let mut length = 0;
        while let Some(byte) = text.get(length).filter(|byte| **byte != b'"') {
            length += if *byte == b'\\' { 2 } else { 1 };
        }
        let length = length.min(text.len());
        if length > LONGEST_TEXT && before != TABLE.as_bytes() {
            let line = file[..file.len() - text.len()]
                .split(|byte| *byte == b'\n')
                .count();
            return Err(format!(
                "the text in line {line} has {length} bytes, more than the {LONGEST_TEXT} that a piece or an expression may have"
            ));
        }
        (before, rest) = (&text[..length], text.get(length + 1..).unwrap_or_default());
    }
    Ok(())
}

/// Looks at each normalizer where it stands, as the library does: before what follows it, and at the first of two.
struct Normalizers;

impl<'de> Visitor<'de> for Normalizers {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tokenizer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "normalizer" {
                tables(&map.next_value()?).map_err(A::Error::custom)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Checks the table of a normalizer, and those of the normalizers in it.
fn tables(normalizer: &Value) -> Result<(), String> {
    match normalizer {
        Value::Array(parts) => parts.iter().try_for_each(tables),
        Value::Object(parts) => parts.iter().try_for_each(|(key, part)| match part.as_str() {
            Some(table) if key == TABLE => table_of(table),
            _ => tables(part),
        }),
        _ => Ok(()),
    }
}

fn table_of(base64: &str) -> Result<(), String> {
    let Ok(bytes) = BASE64_STANDARD.decode(base64) else {
        return Ok(());
    };
    match bytes.split_first_chunk() {
        Some((length, rest)) if u32::from_le_bytes(*length) as usize > rest.len() => Err(format!(
            "{TABLE} promises a table of {} bytes, and holds {}; the file is damaged",
            u32::from_le_bytes(*length),
            rest.len()
        )),
        _ => Ok(()),
    }
}
