//! Why a file of `torch.save` cannot be read.

use std::io;

use thiserror::Error;

use super::ElementType;

/// What is wrong with a file of `torch.save`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PytorchProblem {
    /// The system cannot read the file.
    #[error("cannot be read: {kind}")]
    Unreadable {
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The file ends early, or a length in it is wrong.
    #[error("cut short or damaged at byte {at}; fetch it again")]
    CutShort {
        /// Where, in the part that was read.
        at: usize,
    },
    /// An archive without an entry it needs.
    #[error("the archive lacks `{name}`; expected what torch.save writes")]
    MissingEntry {
        /// Below the archive's folder.
        name: String,
    },
    /// An entry that is compressed, which `torch.save` never does.
    #[error("`{name}` is compressed; expected what torch.save writes, which is not")]
    Compressed {
        /// Below the archive's folder.
        name: String,
    },
    /// An instruction that no table of tensors needs.
    #[error("the pickle holds the instruction {code:#04x} at byte {at}; expected a state_dict alone")]
    Instruction {
        /// Its code.
        code: u8,
        /// Where.
        at: usize,
    },
    /// Values inside of values, deeper than any table of tensors.
    #[error("the pickle nests values more than {most} deep at byte {at}; expected a state_dict alone")]
    Nested {
        /// What is read at most.
        most: usize,
        /// Where.
        at: usize,
    },
    /// The file holds something else than tensors by name.
    #[error("the file holds no table of tensors; save model.state_dict()")]
    NoTable,
    /// A tensor that reaches outside its values.
    #[error("tensor `{tensor}` reaches outside its storage; the file is damaged")]
    Outside {
        /// Its name.
        tensor: String,
    },
    /// A tensor whose values are no weights.
    #[error("tensor `{tensor}` holds {found:?}; expected F32, F16, BF16 or F64")]
    ElementType {
        /// Its name.
        tensor: String,
        /// What it holds.
        found: ElementType,
    },
    /// Values in the other order of bytes.
    #[error("the file was written on a big-endian machine; save it again on a little-endian one")]
    BigEndian,
}

impl From<io::Error> for PytorchProblem {
    fn from(error: io::Error) -> Self {
        Self::Unreadable { kind: error.kind() }
    }
}
