//! The formats, and how a name tells them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, EncodingError};
use crate::suggest::nearest;

/// The form of a data file. Text is UTF-8, UTF-16 or UTF-32 ([`decode_text`](crate::decode_text)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated, quoted as in RFC 4180: a field in double quotes may hold commas, line ends and doubled quotes. Where
    /// the first row has no comma outside quotes, but semicolons, tabs or bars, these separate, as in files of a European
    /// Excel; a first line such as `sep=;` names a separator too.
    Csv,
    /// Tab-separated without any quoting: a tab always separates, a line end always ends the row, and a quote is a
    /// character like any other. This is how GLUE is distributed, and what `.tsv` means unless another format is given.
    Tsv,
    /// Tab-separated with the quoting of CSV, as spreadsheets and pandas write it. Never told from a name: ask for it.
    #[serde(rename = "tsv-quoted")]
    QuotedTsv,
    /// One JSON object a line; a list of objects is taken too.
    Jsonl,
    /// A JSON list of objects, or an object with such a list under one of its keys; an object a line is taken too. The
    /// rows may also be lists, with their columns given by index.
    Json,
    /// Apache Parquet, as the Hugging Face hub keeps data sets; uncompressed or compressed with Snappy. Classes that the hub
    /// stores as numbers get their names back. Read only where the crate is built with its feature `parquet`.
    Parquet,
}

impl Format {
    const ALL: [Self; 6] = [
        Self::Csv,
        Self::Tsv,
        Self::QuotedTsv,
        Self::Jsonl,
        Self::Json,
        Self::Parquet,
    ];

    /// The format that the name's ending tells: `.csv`; `.tsv`, `.tab`; `.jsonl`, `.ndjson`; `.json`; `.parquet`, in either case.
    ///
    /// # Errors
    /// [`DataError::UnknownExtension`]; [`EncodingError::NoText`] for workbooks and compressed files.
    pub fn of_path(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let no_text = |kind| {
            let file = path.to_path_buf();
            Err(EncodingError::NoText { file, kind }.into())
        };
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("tsv" | "tab") => Ok(Self::Tsv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            Some("xlsx" | "xlsm" | "xls") => {
                no_text("an Excel workbook, which is not read; save the sheet as CSV")
            }
            Some("ods") => no_text("a spreadsheet, which is not read; save it as CSV"),
            Some("gz" | "bz2" | "xz" | "zst" | "zip") => {
                no_text("a compressed file, which is not read; unpack it first")
            }
            _ => Err(DataError::UnknownExtension {
                file: path.to_path_buf(),
            }),
        }
    }

    /// The name that [`Format::from_str`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::QuotedTsv => "tsv-quoted",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = DataError;

    fn from_str(given: &str) -> Result<Self, DataError> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == given)
            .ok_or_else(|| DataError::UnknownFormat {
                given: given.to_owned(),
                nearest: nearest(given, Self::ALL.iter().map(|format| format.name())),
            })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_from_the_ending_in_either_case() {
        assert_eq!(Format::of_path("a/b.CSV").unwrap(), Format::Csv);
        assert_eq!(Format::of_path("train.v2.tsv").unwrap(), Format::Tsv);
        assert_eq!(Format::of_path("x.ndjson").unwrap(), Format::Jsonl);
        for path in ["x.txt", "x", ".json"] {
            assert!(
                matches!(Format::of_path(path), Err(DataError::UnknownExtension { .. })),
                "{path}"
            );
        }
        for (path, message) in [
            (
                "x.XLSX",
                "`x.XLSX` is an Excel workbook, which is not read; save the sheet as CSV",
            ),
            (
                "x.xls",
                "`x.xls` is an Excel workbook, which is not read; save the sheet as CSV",
            ),
            (
                "x.ods",
                "`x.ods` is a spreadsheet, which is not read; save it as CSV",
            ),
            (
                "x.csv.gz",
                "`x.csv.gz` is a compressed file, which is not read; unpack it first",
            ),
            (
                "x.parquet.zip",
                "`x.parquet.zip` is a compressed file, which is not read; unpack it first",
            ),
        ] {
            assert_eq!(Format::of_path(path).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_name_of_a_format_reads_and_serializes_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
        }
        assert!(
            "jsonnl"
                .parse::<Format>()
                .unwrap_err()
                .to_string()
                .contains("did you mean `jsonl`?")
        );
    }
}
