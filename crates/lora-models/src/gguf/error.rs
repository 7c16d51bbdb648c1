//! Why a GGUF file could not be used.

use std::path::PathBuf;

use thiserror::Error;

/// A GGUF file that cannot be used.
#[derive(Debug, Error)]
pub enum GgufError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file does not begin as a GGUF file does.
    #[error("{} is no GGUF file: it begins with {found:02x?}, expected {:02x?} (`GGUF`)", path.display(), b"GGUF")]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A version of the format that is not supported.
    #[error("{} has GGUF version {found}; supported: 2, 3 (little-endian); convert it again", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file ends, or holds a nonsense value, where more was promised.
    #[error("{} is corrupt at byte {offset} ({reading}); it may be cut short: fetch it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
        /// What was to be read there.
        reading: &'static str,
    },
    /// A tensor in a form that is not supported.
    #[error("{}: tensor `{name}` has type {found}; supported: {}", path.display(), super::TensorType::NAMES)]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The number of its type.
        found: u32,
    },
    /// A setting that the model needs.
    #[error("{} lacks the setting `{key}`, or it is not {expected}; the file may be a vocabulary or an adapter alone", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that is not supported.
    #[error("{}: {key} is `{found}`; supported: {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: String,
        /// Its value.
        found: String,
        /// Those that are.
        supported: &'static str,
    },
}
