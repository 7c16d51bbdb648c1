//! Tensor files: safetensors read to f32 on the host.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

/// A safetensors file in memory.
#[derive(Debug)]
pub struct TensorFile {
    origin: PathBuf,
    bytes: Cow<'static, [u8]>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// A tensor on the host, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
}

/// A tensor file that cannot be used.
#[derive(Debug, Error)]
pub enum TensorFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no safetensors file, or is cut short.
    #[error("{} is not a valid safetensors file ({reason}); it may be cut short: fetch or write it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the parser says.
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

impl HostTensor {
    /// The numbers of a tensor, as f32.
    ///
    /// # Panics
    ///
    /// Never: every float converts to f32.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let data = tensor.into_data().convert::<f32>();
        Self {
            shape: data.shape().to_vec(),
            values: data.try_into_vec().expect("the data was converted to f32"),
        }
    }

    /// The same numbers on a device.
    ///
    /// # Panics
    ///
    /// Panics if the tensor has another number of axes.
    pub fn on<const D: usize>(self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values, self.shape), device)
    }

    /// The transpose of a matrix, row-major again: between PyTorch's `[d_output, d_input]` and Burn's
    /// `[d_input, d_output]`. A strided view would do, but sums in another order, so that a saved adapter
    /// would not come back with the same bits.
    ///
    /// # Panics
    ///
    /// Panics if the tensor is no matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let &[rows, columns] = &self.shape[..] else {
            panic!("a tensor of shape {:?} is no matrix", self.shape)
        };
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..columns {
            values.extend((0..rows).map(|row| self.values[row * columns + column]));
        }
        Self {
            shape: vec![columns, rows],
            values,
        }
    }
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Read`], [`TensorFileError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = fs::read(path).map_err(|source| TensorFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(bytes, path)
    }

    /// Takes the bytes of a file; `origin` names them in errors.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Corrupt`].
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, origin: &Path) -> Result<Self, TensorFileError> {
        let bytes = bytes.into();
        let start = bytes.as_ptr() as usize;
        let parsed = SafeTensors::deserialize(&bytes).map_err(|reason| TensorFileError::Corrupt {
            path: origin.to_owned(),
            reason,
        })?;
        let entries = parsed
            .iter()
            .map(|(name, view)| {
                let offset = view.data().as_ptr() as usize - start;
                let range = offset..offset + view.data().len();
                (
                    name.to_owned(),
                    Entry {
                        dtype: view.dtype(),
                        shape: view.shape().to_vec(),
                        range,
                    },
                )
            })
            .collect();
        Ok(Self {
            origin: origin.to_owned(),
            bytes,
            entries,
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

    /// A tensor as f32; `None` if there is none of that name. F16 and BF16 widen exactly, F64 rounds.
    ///
    /// # Errors
    ///
    /// [`TensorFileError::Type`].
    pub fn read(&self, name: &str) -> Result<Option<HostTensor>, TensorFileError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let data = &self.bytes[entry.range.clone()];
        let values = match entry.dtype {
            Dtype::F32 => numbers(data, f32::from_le_bytes),
            Dtype::F16 => numbers(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => numbers(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
            dtype => {
                return Err(TensorFileError::Type {
                    path: self.origin.clone(),
                    name: name.to_owned(),
                    dtype,
                });
            }
        };
        Ok(Some(HostTensor {
            shape: entry.shape.clone(),
            values,
        }))
    }

    /// A tensor of whole numbers, such as token ids in a reference case; `None` if there is no I64 tensor of that name.
    pub fn read_integers(&self, name: &str) -> Option<(Vec<usize>, Vec<i64>)> {
        let entry = self.entries.get(name).filter(|entry| entry.dtype == Dtype::I64)?;
        Some((
            entry.shape.clone(),
            numbers(&self.bytes[entry.range.clone()], i64::from_le_bytes),
        ))
    }
}

fn numbers<const WIDTH: usize, T>(data: &[u8], number: impl Fn([u8; WIDTH]) -> T) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<WIDTH>();
    chunks.iter().map(|bytes| number(*bytes)).collect()
}
