//! From a path to bytes.

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
