//! Which rows of a training pass share a mask.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a pass over a batch is shared out to masks. All three estimate the same objective without bias; more masks
/// a pass cost no more passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum MaskGrouping {
    /// One mask for all rows, as in the paper. Written `pass`.
    #[default]
    Pass,
    /// So many masks, each for one contiguous part of the rows. Written as the number.
    Groups(usize),
    /// One mask a row. Written `example`.
    Example,
}

/// A word that names no grouping.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("mask_grouping is `{found}`: expected pass, example, or a number of groups")]
pub struct UnknownGrouping {
    /// What was written.
    pub found: String,
}

impl MaskGrouping {
    /// Masks of a pass over so many rows. No mask is drawn that no row would use.
    pub fn masks(self, rows: usize) -> usize {
        match self {
            Self::Pass => 1,
            Self::Groups(groups) => groups.min(rows),
            Self::Example => rows,
        }
    }
}

impl fmt::Display for MaskGrouping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => formatter.write_str("pass"),
            Self::Groups(groups) => write!(formatter, "{groups}"),
            Self::Example => formatter.write_str("example"),
        }
    }
}

impl FromStr for MaskGrouping {
    type Err = UnknownGrouping;

    fn from_str(text: &str) -> Result<Self, UnknownGrouping> {
        match text {
            "pass" => Ok(Self::Pass),
            "example" => Ok(Self::Example),
            _ => text.parse().map(Self::Groups).map_err(|_| UnknownGrouping {
                found: text.to_owned(),
            }),
        }
    }
}

/// The form in a file: a word or a number.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "mask_grouping: expected pass, example, or a number of groups"
)]
enum Written {
    Count(usize),
    Word(String),
}

impl TryFrom<Written> for MaskGrouping {
    type Error = UnknownGrouping;

    fn try_from(written: Written) -> Result<Self, UnknownGrouping> {
        match written {
            Written::Count(groups) => Ok(Self::Groups(groups)),
            Written::Word(word) => word.parse(),
        }
    }
}

impl From<MaskGrouping> for Written {
    fn from(grouping: MaskGrouping) -> Self {
        match grouping {
            MaskGrouping::Groups(groups) => Self::Count(groups),
            MaskGrouping::Pass | MaskGrouping::Example => Self::Word(grouping.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn words_and_numbers_are_read_and_written() {
        let forms = [
            (MaskGrouping::Pass, "\"pass\""),
            (MaskGrouping::Groups(4), "4"),
            (MaskGrouping::Example, "\"example\""),
        ];
        for (grouping, text) in forms {
            assert_eq!(serde_json::to_string(&grouping).unwrap(), text);
            assert_eq!(serde_json::from_str::<MaskGrouping>(text).unwrap(), grouping);
            assert_eq!(grouping.to_string().parse(), Ok(grouping));
        }
    }

    #[test]
    fn other_words_are_refused_with_the_choices() {
        for text in ["\"row\"", "-1", "2.5", "[1]"] {
            let message = serde_json::from_str::<MaskGrouping>(text)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("expected pass, example, or a number of groups"),
                "{message}"
            );
        }
    }

    #[test]
    fn there_are_never_more_masks_than_rows() {
        assert_eq!(MaskGrouping::Pass.masks(5), 1);
        assert_eq!(MaskGrouping::Groups(3).masks(5), 3);
        assert_eq!(MaskGrouping::Groups(8).masks(5), 5);
        assert_eq!(MaskGrouping::Example.masks(5), 5);
    }
}
