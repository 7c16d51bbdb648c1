//! What can be wrong with the names of classes.

use std::path::PathBuf;

use thiserror::Error;

use super::words::quoted;

/// Why names were refused as the names of classes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelNamesError {
    /// Fewer than two classes.
    #[error(
        "a classifier needs at least two label names, found {}; add the missing names",
        quoted(names)
    )]
    TooFewLabels {
        /// The names given.
        names: Vec<String>,
    },

    /// A name that stands twice.
    #[error(
        "label name `{label}` stands a second time at position {index}; each class needs a name of its own"
    )]
    RepeatedLabel {
        /// The name.
        label: String,
        /// The position of the second, from 0.
        index: usize,
    },

    /// A name of white space only.
    #[error("the label name at position {index} is empty; give the class a name")]
    EmptyLabelName {
        /// The position, from 0.
        index: usize,
    },

    /// Two labels of a file that are one number or one truth.
    #[error("`{}`: the labels `{first}` and `{second}` mean the same, and would be two classes; write them alike", file.display())]
    Alike {
        /// The file.
        file: PathBuf,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },

    /// `id2label` is not numbered 0, 1, 2…
    #[error("`{}`: id2label lacks the id \"{missing}\" (further ids: {}); number the classes 0, 1, 2 and so on", file.display(), quoted(found))]
    Id2Label {
        /// The `config.json`.
        file: PathBuf,
        /// The lowest id that is missing.
        missing: usize,
        /// The ids that are left over.
        found: Vec<String>,
    },
}
