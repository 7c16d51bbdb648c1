//! The errors of this crate, as those of the pipeline carry them.

use lora_pipeline::Error;

use crate::report::results::ResultsError;
use crate::sweep::claims::ClaimError;
use crate::sweep::file::SweepFileError;
use crate::sweep::result_files::ResultFilesError;
use crate::sweep::store::StoreError;
use crate::sweep::{SweepInterrupted, TrialsFailed};

macro_rules! carried {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::other(error)
            }
        })*
    };
}

carried!(
    ClaimError,
    ResultFilesError,
    ResultsError,
    SweepFileError,
    StoreError,
    SweepInterrupted,
    TrialsFailed
);
