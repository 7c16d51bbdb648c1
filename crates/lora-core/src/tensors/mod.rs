//! Tensors on the host, and the files that hold them.

mod bytes;
mod file;
mod host;

pub use bytes::{FileBytes, FloatSlice, FloatType, Orientation, StoredRows};
pub use file::{Integers, TensorFile, TensorFileError};
pub use host::HostTensor;
