//! What can be wrong with the bytes of a text file.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Why bytes were not read as text.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// A byte that is not UTF-8.
    #[error("`{}`, line {line}: byte 0x{byte:02X} at offset {offset} is not UTF-8; {likely}", file.display())]
    NotUtf8 {
        /// The file.
        file: PathBuf,
        /// The line that holds the byte.
        line: usize,
        /// The byte's distance from the start of the file.
        offset: usize,
        /// The byte.
        byte: u8,
        /// What the file most likely is, and how to fix it.
        likely: LikelyEncoding,
    },

    /// A byte-order mark, and bytes after it that are not valid in its encoding.
    #[error("`{}`: the file begins as {encoding}, but is not valid {encoding}; it may be cut short: save it again, as UTF-8", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The encoding that its first bytes name.
        encoding: &'static str,
    },

    /// A NUL byte in a text.
    #[error("`{}`, line {line}: a NUL byte at offset {offset}, which text does not have; the file may be damaged: remove the byte, or save the file again as UTF-8", file.display())]
    NulByte {
        /// The file.
        file: PathBuf,
        /// The line that holds the byte.
        line: usize,
        /// The byte's distance from the start of the file.
        offset: usize,
    },

    /// An archive, a workbook, a page: no text.
    #[error("`{}` is {kind}", file.display())]
    NoText {
        /// The file.
        file: PathBuf,
        /// What it is, and what to do.
        kind: &'static str,
    },
}

/// What bytes that are not UTF-8 most likely are; shown as what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LikelyEncoding {
    /// UTF-8 that ends within a character.
    CutShort,
    /// UTF-8 but for a few bytes: another encoding would spoil the rest.
    MostlyUtf8,
    /// Single letters that are not ASCII, as in Western European languages.
    Western,
    /// Whole words that are not ASCII: another script, or an encoding of several bytes a character.
    OtherScript,
}

impl fmt::Display for LikelyEncoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CutShort => "the file ends within a character, so it may be cut short: fetch or write it again",
            Self::MostlyUtf8 => {
                "most of the file is UTF-8, so fix this byte; `iconv -c -f UTF-8 -t UTF-8` leaves out all such bytes"
            }
            Self::Western => {
                "save the file as UTF-8, for most Western European files with `iconv -f WINDOWS-1252 -t UTF-8`"
            }
            Self::OtherScript => {
                "save the file as UTF-8, with `iconv -f ENCODING -t UTF-8`, where ENCODING is what it was written in \
                 (often GB18030 for Chinese, SHIFT_JIS for Japanese, EUC-KR for Korean, WINDOWS-1251 for Cyrillic)"
            }
        })
    }
}
