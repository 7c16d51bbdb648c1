//! Tensor files: safetensors read to f32 on the host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use super::bytes::{FileBytes, FloatType, Orientation, StoredRows};
use super::host::HostTensor;

/// A safetensors file: its header in memory, its tensors read on demand.
#[derive(Debug)]
pub struct TensorFile {
    origin: PathBuf,
    bytes: FileBytes,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// Shape and values of a tensor of whole numbers, row-major.
pub type Integers = (Vec<usize>, Vec<i64>);

/// A tensor file that cannot be used.
#[derive(Debug, Error)]
pub enum TensorFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is no safetensors file, or is cut short.
    #[error("{} is not a valid safetensors file ({reason}); it may be cut short: fetch or write it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        reason: safetensors::SafeTensorError,
    },
    /// A tensor of a type that holds no weights.
    #[error("{}: tensor `{name}` has type {dtype:?}; expected F32, F16, BF16 or F64", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
}

impl TensorFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Read`], [`TensorFileError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = FileBytes::open(path).map_err(|source| TensorFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(bytes, path)
    }

    /// Takes the bytes of a file; `origin` names them in errors.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Corrupt`].
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, origin: &Path) -> Result<Self, TensorFileError> {
        Self::parse(FileBytes::held(bytes), origin)
    }

    fn parse(bytes: FileBytes, origin: &Path) -> Result<Self, TensorFileError> {
        let (start, header) = read_header(&bytes).map_err(|reason| match reason {
            SafeTensorError::IoError(source) => TensorFileError::Read {
                path: origin.to_owned(),
                source,
            },
            reason => TensorFileError::Corrupt {
                path: origin.to_owned(),
                reason,
            },
        })?;
        let entry = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
            let (first, end) = info.data_offsets;
            let entry = Entry {
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: start + first..start + end,
            };
            (name, entry)
        };
        Ok(Self {
            origin: origin.to_owned(),
            entries: header.tensors().into_iter().map(entry).collect(),
            bytes,
        })
    }

    /// Where the bytes came from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| &entry.shape[..])
    }

    /// The longest axis of a tensor that holds numbers, so no longer than the file; 0 for none.
    pub fn longest_axis(&self) -> usize {
        let shapes = self.entries.values().map(|entry| &entry.shape);
        let of_numbers = shapes.filter(|shape| !shape.contains(&0));
        of_numbers.flatten().copied().max().unwrap_or(0)
    }

    /// A tensor as f32; `None` if there is none of that name. F16 and BF16 widen exactly, F64 rounds.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Type`], [`TensorFileError::Read`].
    pub fn read(&self, name: &str) -> Result<Option<HostTensor>, TensorFileError> {
        self.read_as(name, Orientation::Stored)
    }

    /// As [`TensorFile::read`], in either orientation.
    ///
    /// # Errors
    ///
    /// As [`TensorFile::read`].
    ///
    /// # Panics
    ///
    /// Panics if a tensor to be transposed is no matrix.
    pub fn read_as(
        &self,
        name: &str,
        orientation: Orientation,
    ) -> Result<Option<HostTensor>, TensorFileError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let float = match entry.dtype {
            Dtype::F32 => FloatType::F32,
            Dtype::F16 => FloatType::F16,
            Dtype::BF16 => FloatType::Bf16,
            Dtype::F64 => FloatType::F64,
            dtype => {
                return Err(TensorFileError::Type {
                    path: self.origin.clone(),
                    name: name.to_owned(),
                    dtype,
                });
            }
        };
        let rows = StoredRows {
            start: entry.range.start,
            shape: &entry.shape,
            row_bytes: float.row_bytes(&entry.shape),
        };
        let decode = |bytes: &[u8], numbers: &mut Vec<f32>| float.decode(bytes, numbers);
        let tensor = self.bytes.tensor(rows, orientation, decode);
        Ok(Some(tensor.map_err(|source| self.unreadable(source))?))
    }

    /// The values of a tensor of 64-bit floats; `None` if there is no F64 tensor of that name.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Read`].
    pub fn read_doubles(&self, name: &str) -> Result<Option<Vec<f64>>, TensorFileError> {
        self.read_exactly(name, Dtype::F64, f64::from_le_bytes)
    }

    /// A tensor of whole numbers, such as token ids in a reference case; `None` if there is no I64 tensor of that name.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Read`].
    pub fn read_integers(&self, name: &str) -> Result<Option<Integers>, TensorFileError> {
        let numbers = self.read_exactly(name, Dtype::I64, i64::from_le_bytes)?;
        Ok(numbers.map(|numbers| (self.entries[name].shape.clone(), numbers)))
    }

    /// The values of a tensor as they are; `None` if there is none of that name and type.
    fn read_exactly<T, const WIDTH: usize>(
        &self,
        name: &str,
        dtype: Dtype,
        value: impl Fn([u8; WIDTH]) -> T,
    ) -> Result<Option<Vec<T>>, TensorFileError> {
        let Some(entry) = self.entries.get(name).filter(|entry| entry.dtype == dtype) else {
            return Ok(None);
        };
        let bytes = self.bytes.read(entry.range.clone());
        let bytes = bytes.map_err(|source| self.unreadable(source))?;
        let (chunks, _) = bytes.as_chunks();
        Ok(Some(chunks.iter().map(|bytes| value(*bytes)).collect()))
    }

    fn unreadable(&self, source: io::Error) -> TensorFileError {
        TensorFileError::Read {
            path: self.origin.clone(),
            source,
        }
    }
}

/// The header, and where the tensors begin. It was checked against itself and against the length of the file.
fn read_header(bytes: &FileBytes) -> Result<(usize, Metadata), SafeTensorError> {
    /// As in the safetensors crate, whose own function for this wants the whole file in memory.
    const LONGEST: usize = 100_000_000;
    let mut length = [0; 8];
    if bytes.len() < length.len() {
        return Err(SafeTensorError::HeaderTooSmall);
    }
    bytes.read_at(0, &mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    let start = 8 + length;
    if start > bytes.len() {
        return Err(SafeTensorError::InvalidHeaderLength);
    }
    let header = bytes.read(8..start)?;
    let header: Metadata =
        serde_json::from_slice(&header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    if header.data_len().checked_add(start) != Some(bytes.len()) {
        return Err(SafeTensorError::MetadataIncompleteBuffer);
    }
    Ok((start, header))
}
