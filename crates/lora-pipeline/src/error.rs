//! What can go wrong between a text and a prediction.

use std::error::Error as StdError;
use std::fmt::Display;
use std::path::PathBuf;

use lora_core::atomic::WriteError;
use lora_core::ensemble::TooManyMembers;
use lora_core::peft::AdapterError;
use lora_core::{ConfigError, MergeError};
use lora_data::{DataError, LabelNamesError, TaskError, TokenizerError};
use lora_eval::EvalError;
use lora_eval::laplace::LaplaceError;
use lora_models::LoadError;
use lora_models::generation::ChatError;
use lora_models::gguf::GgufError;
use lora_train::swag::SwagError;
use lora_train::variational::VariationalError;
use lora_train::{TrainConfigError, TrainError};
use thiserror::Error;

use crate::device::DeviceError;
use crate::files::output::OutputError;
use crate::files::output_file::OutputFileError;
use crate::train::verdict::WorseThanGuessing;
use crate::train::{CheckpointError, TooLarge};

/// A result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A run that cannot be made, or failed on the way.
#[derive(Debug, Error)]
pub enum Error {
    /// An input that cannot be used. Says what was found, where, what is expected, and how to fix it.
    #[error("{0}")]
    Input(String),
    /// An error with the place where it came up: a file, a line, a key.
    #[error("{place}")]
    At {
        /// The place.
        place: String,
        /// What is wrong there.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A training that was cancelled.
    #[error("interrupted at step {step}; {}", kept(folder.as_ref(), go_on.as_ref()))]
    Interrupted {
        /// Optimizer steps done.
        step: usize,
        /// The output folder, if a checkpoint is in it.
        folder: Option<PathBuf>,
        /// The command that goes on, if there is a checkpoint to resume from.
        go_on: Option<String>,
    },
    /// Rows or files of data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model that cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A training that the machine has no memory for.
    #[error(transparent)]
    Memory(#[from] TooLarge),
    /// Settings of adapters.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An adapter folder.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// An adapter that cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A training that ended far worse than guessing.
    #[error(transparent)]
    WorseThanGuessing(#[from] WorseThanGuessing),
    /// `MethodOutputs` that cannot be scored.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A Laplace approximation.
    #[error(transparent)]
    Laplace(#[from] LaplaceError),
    /// SWAG.
    #[error(transparent)]
    Swag(#[from] SwagError),
    /// A template of conversations.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A checkpoint that a training cannot go on from.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An output folder.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An output file.
    #[error(transparent)]
    OutputFile(#[from] OutputFileError),
    /// A file that the disk did not take.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// JSON that cannot be read or made.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// What belongs to none of these, such as an error of a crate that builds on this one.
    #[error(transparent)]
    Other(Box<dyn StdError + Send + Sync>),
}

macro_rules! through {
    ($($error:ty => $library:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                <$library>::from(error).into()
            }
        })*
    };
}

through!(
    LabelNamesError => DataError,
    TaskError => DataError,
    TokenizerError => DataError,
    GgufError => LoadError,
    TrainConfigError => TrainError,
    VariationalError => TrainError
);

macro_rules! others {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::other(error)
            }
        })*
    };
}

others!(
    TooManyMembers,
    std::io::Error,
    std::num::TryFromIntError,
    std::string::FromUtf8Error,
    csv::Error,
    serde_saphyr::SerializeError,
    csv::IntoInnerError<csv::Writer<Vec<u8>>>
);

fn kept(folder: Option<&PathBuf>, go_on: Option<&String>) -> String {
    let adapter = folder.map(|folder| {
        format!(
            "{0} holds the best adapter so far, and {0}/last that of this step",
            folder.display()
        )
    });
    let go_on = go_on.map(|command| format!("to go on: {command}"));
    match (adapter, go_on) {
        (Some(adapter), Some(go_on)) => format!("{adapter}; {go_on}"),
        (Some(said), None) | (None, Some(said)) => said,
        (None, None) => "there was no evaluation yet, so nothing was written".to_owned(),
    }
}

impl Error {
    /// An input that cannot be used.
    pub fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// An error of another crate.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The error with the place before it where it came up.
    #[must_use]
    pub fn at(self, place: impl Display) -> Self {
        Self::At {
            place: place.to_string(),
            source: Box::new(self),
        }
    }

    /// The library's error that this one hands on, as it is; else the error itself.
    pub fn inner(&self) -> &(dyn StdError + 'static) {
        match self {
            Self::Input(_) | Self::At { .. } | Self::Interrupted { .. } => self,
            Self::Data(error) => error,
            Self::Load(error) => error,
            Self::Memory(error) => error,
            Self::Config(error) => error,
            Self::Adapter(error) => error,
            Self::Merge(error) => error,
            Self::Train(error) => error,
            Self::WorseThanGuessing(error) => error,
            Self::Eval(error) => error,
            Self::Laplace(error) => error,
            Self::Swag(error) => error,
            Self::Chat(error) => error,
            Self::Device(error) => error,
            Self::Checkpoint(error) => error,
            Self::Output(error) => error,
            Self::OutputFile(error) => error,
            Self::Write(error) => error,
            Self::Json(error) => error,
            Self::Other(error) => &**error,
        }
    }

    /// The error and its causes as one line.
    pub fn sentence(&self) -> String {
        sentence(self)
    }
}

/// An error and its causes, the errors of libraries as what they are.
pub fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    chain(error).map(|error| error.downcast_ref().map_or(error, Error::inner))
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error and its causes as one line. A cause that the sentence before already quotes is not repeated.
pub fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut sentence = String::new();
    for cause in chain(error) {
        let text = one_line(&cause.to_string());
        if sentence.is_empty() {
            sentence = text;
        } else if !sentence.contains(&text) {
            sentence = format!("{sentence}: {text}");
        }
    }
    sentence
}

/// A text with each run of white space as one space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The place of an error, or what a missing value means.
pub trait Context<T> {
    /// With this place before the error.
    ///
    /// # Errors
    ///
    /// The error, if there was one.
    fn context(self, place: impl Display) -> Result<T>;

    /// With the place that `place` gives before the error.
    ///
    /// # Errors
    ///
    /// The error, if there was one.
    fn with_context<D: Display>(self, place: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, place: impl Display) -> Result<T> {
        self.map_err(|error| error.into().at(place))
    }

    fn with_context<D: Display>(self, place: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().at(place()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, message: impl Display) -> Result<T> {
        self.ok_or_else(|| Error::input(message))
    }

    fn with_context<D: Display>(self, message: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| Error::input(message()))
    }
}

/// Returns an [`Error::Input`] with a formatted message.
#[macro_export]
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::Error::Input(format!($($message)*)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_and_none_is_repeated() {
        let error = Error::input("no space left").at("cannot write `a`: no space left");
        assert_eq!(error.sentence(), "cannot write `a`: no space left");
        let error = Error::input("line 3\n  is odd").at("`run.yaml`");
        assert_eq!(error.sentence(), "`run.yaml`: line 3 is odd");
    }

    #[test]
    fn an_error_of_a_library_is_found_among_the_causes() {
        let diverged = TrainError::Diverged {
            step: 3,
            loss: f64::NAN,
            grad_norm: f64::NAN,
            learning_rate: 1.0,
        };
        let error = Error::from(diverged).at("training");
        assert!(causes(&error).any(<dyn StdError>::is::<TrainError>));
    }
}
