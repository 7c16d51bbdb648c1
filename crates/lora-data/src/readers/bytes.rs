//! From a path to text: reading, and the check for UTF-8.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::DataError;

/// The content of a file.
pub(crate) fn read_bytes(file: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(file).map_err(|source| {
        let file = file.to_path_buf();
        match source.kind() {
            ErrorKind::NotFound => DataError::Missing { file },
            _ => DataError::Unreadable { file, source },
        }
    })
}

/// The content as text, or the line and offset of the first byte that is not UTF-8.
pub(crate) fn utf8<'a>(bytes: &'a [u8], file: &Path) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = bytes[..offset].split(|&byte| byte == b'\n').count();
        DataError::NotUtf8 {
            file: file.to_path_buf(),
            line,
            offset,
            byte: bytes[offset],
        }
    })
}
