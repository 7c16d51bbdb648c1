//! What can be wrong with the columns that were asked for.

use std::path::PathBuf;

use thiserror::Error;

use super::words::{did_you_mean, first_row_is_data, for_default_name, given_column, label_columns, listed};

/// Why no column was taken. Indices start at 0, as in Python and pandas.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// The named column is not in the file.
    #[error("`{}`: there is no {role} column `{wanted}`{}{}", file.display(), did_you_mean(nearest.as_ref()), listed(found))]
    MissingColumn {
        /// The file.
        file: PathBuf,
        /// What the column is for: text, second text or label.
        role: &'static str,
        /// The name asked for.
        wanted: String,
        /// The columns of the file.
        found: Vec<String>,
        /// The column it may have meant.
        nearest: Option<String>,
    },

    /// No column was named, and none has a default name.
    #[error("`{}`: no {role} column has a default name: name the {role} column{}{}{}{}", file.display(), first_row_is_data(*header), for_default_name(slip.as_deref()), label_columns(of_truths), listed(found))]
    NoDefaultColumn {
        /// The file.
        file: PathBuf,
        /// What the column is for: text or label.
        role: &'static str,
        /// The columns of the file.
        found: Vec<String>,
        /// Whether the first row was taken as a header, which it may not be.
        header: bool,
        /// The column whose name is nearly a default one, and that name.
        slip: Option<Box<(String, String)>>,
        /// Columns that hold 0 and 1 alone, for a label: any number of labels may have been meant.
        of_truths: Vec<String>,
    },

    /// The index is beyond the last column.
    #[error("`{}`: there is no {role} column {index}; the {columns} columns have the indices 0 to {}", file.display(), columns - 1)]
    ColumnOutOfRange {
        /// The file.
        file: PathBuf,
        /// What the column is for.
        role: &'static str,
        /// The index asked for.
        index: usize,
        /// How many columns there are.
        columns: usize,
    },

    /// Without a header, or with JSON lists as rows, columns have no names.
    #[error("`{}`: the columns have no names (no header, or rows that are JSON lists), so the {role} column must be given by index, from 0; {}", file.display(), given_column(wanted.as_ref()))]
    NeedsIndex {
        /// The file.
        file: PathBuf,
        /// What the column is for.
        role: &'static str,
        /// The name that was given, if one was.
        wanted: Option<String>,
    },

    /// Two columns have the name that was asked for.
    #[error("`{}`: two columns are named `{column}`; rename one, or give the column by index", file.display())]
    RepeatedColumn {
        /// The file.
        file: PathBuf,
        /// The name.
        column: String,
    },
}

impl ColumnError {
    /// The end of the message, where it lists the columns of the file; else empty. What a program adds about its flags goes before it.
    pub fn list(&self) -> String {
        match self {
            Self::MissingColumn { found, .. } | Self::NoDefaultColumn { found, .. } => listed(found),
            _ => String::new(),
        }
    }
}
