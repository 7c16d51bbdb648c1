//! What the library takes from `tokenizer.json` without a bound, looked at before it does.
//!
//! | part | what the library does (tokenizers 0.23) |
//! |---|---|
//! | `normalizer` | takes as much memory as the first four bytes of SentencePiece's table say |
//! | `model` | goes one call deeper for each byte of a piece, and fills its stack |

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes of a piece as it is written; the longest of real models, runs of spaces, have some hundred.
const LONGEST_PIECE: usize = 2_000;

/// Refuses what is out of bounds; what else is wrong with the file, the library tells.
pub(super) fn check(file: &[u8]) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_slice(file);
    match json.deserialize_map(Parts) {
        Err(refusal) if refusal.is_data() => Err(refusal),
        _ => Ok(()),
    }
}

/// Looks at each part where it stands, as the library does: before what follows it, and at the first of two.
struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tokenizer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "normalizer" => tables(&map.next_value()?).map_err(A::Error::custom)?,
                "model" => pieces(map.next_value::<&RawValue>()?.get()).map_err(A::Error::custom)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Checks the texts of a model, which are in the main its pieces.
fn pieces(model: &str) -> Result<(), String> {
    let mut bytes = model.bytes();
    while bytes.any(|byte| byte == b'"') {
        let mut length = 0;
        while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
            if byte == b'\\' {
                bytes.next();
            }
            length += 1;
        }
        if length > LONGEST_PIECE {
            return Err(format!(
                "a text of its model is {length} characters long; pieces may have {LONGEST_PIECE}"
            ));
        }
    }
    Ok(())
}

/// Checks the table of a normalizer, and those of the normalizers in it.
fn tables(normalizer: &Value) -> Result<(), String> {
    match normalizer {
        Value::Array(parts) => parts.iter().try_for_each(tables),
        Value::Object(parts) => parts.iter().try_for_each(|(key, part)| match part.as_str() {
            Some(table) if key == "precompiled_charsmap" => table_of(table),
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
            "precompiled_charsmap promises a table of {} bytes, and holds {}; the file is damaged",
            u32::from_le_bytes(*length),
            rest.len()
        )),
        _ => Ok(()),
    }
}
