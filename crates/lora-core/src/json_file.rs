//! JSON files of adapter folders.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::peft::AdapterError;

/// Reads a file, whole.
///
/// # Errors
///
/// [`AdapterError::Read`] if it cannot be read.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, AdapterError> {
    fs::read(path).map_err(|source| AdapterError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads a file of JSON.
///
/// # Errors
///
/// [`AdapterError::Read`] if it cannot be read, [`AdapterError::Json`] if it has other keys or values.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, AdapterError> {
    serde_json::from_slice(&read_bytes(path)?).map_err(|reason| AdapterError::Json {
        path: path.to_owned(),
        reason,
    })
}
