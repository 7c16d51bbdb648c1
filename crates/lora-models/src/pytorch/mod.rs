//! `pytorch_model.bin`: tensors that `torch.save` wrote, without running the program that its pickle is.
//!
//! Both layouts are read: the ZIP archive (PyTorch 1.6 and later) and the stream of pickles before it. Of the pickle's
//! program only what a table of tensors needs is understood; nothing it names is ever called.

mod archive;
mod error;
mod pickle;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use half::{bf16, f16};
use lora_core::HostTensor;

use self::archive::Archive;
use self::pickle::run;
use self::value::{Storage, TensorView, Value};
use crate::error::LoadError;

pub use self::error::PytorchProblem;
pub use self::value::Number;

/// A file of `torch.save` in memory.
#[derive(Debug)]
pub struct PytorchFile {
    path: PathBuf,
    bytes: Vec<u8>,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    number: Number,
    shape: Vec<usize>,
    /// Place in the storage of the element at every index, by axis.
    strides: Vec<usize>,
    /// First element, in the storage.
    offset: usize,
    /// Bytes of the storage, in the file.
    storage: Range<usize>,
}

impl PytorchFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`LoadError::Read`], [`LoadError::Pytorch`].
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        let refuse = |problem| LoadError::Pytorch {
            path: path.to_owned(),
            problem,
        };
        let entries = entries(&bytes).map_err(refuse)?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            entries,
        })
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| &entry.shape[..])
    }

    /// A tensor as f32, row-major; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`LoadError::Pytorch`] if its numbers are no floating-point numbers.
    pub fn read(&self, name: &str) -> Result<Option<HostTensor>, LoadError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let values = entry.values(&self.bytes[entry.storage.clone()]);
        let values = values.ok_or_else(|| LoadError::Pytorch {
            path: self.path.clone(),
            problem: PytorchProblem::Number {
                tensor: name.to_owned(),
                found: entry.number,
            },
        })?;
        let shape = entry.shape.clone();
        Ok(Some(HostTensor { shape, values }))
    }
}

impl Entry {
    /// The numbers in the order of the indices; `None` for whole numbers and truth values.
    fn values(&self, storage: &[u8]) -> Option<Vec<f32>> {
        fn all<const WIDTH: usize>(
            entry: &Entry,
            storage: &[u8],
            number: impl Fn([u8; WIDTH]) -> f32,
        ) -> Vec<f32> {
            let (elements, _) = storage.as_chunks::<WIDTH>();
            let count: usize = entry.shape.iter().product();
            if count == 0 {
                return Vec::new();
            }
            if entry.is_contiguous() {
                let elements = &elements[entry.offset..][..count];
                return elements.iter().map(|bytes| number(*bytes)).collect();
            }
            let places = entry.places().into_iter();
            places.map(|place| number(elements[place])).take(count).collect()
        }
        Some(match self.number {
            Number::F32 => all(self, storage, f32::from_le_bytes),
            Number::F16 => all(self, storage, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Number::BF16 => all(self, storage, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Number::F64 => all(self, storage, |bytes| f64::from_le_bytes(bytes) as f32),
            Number::Other { .. } => return None,
        })
    }

    /// Whether the elements lie one after the other in the order of the indices.
    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        let mut axes = self.shape.iter().zip(&self.strides).rev();
        axes.all(|(&size, &stride)| {
            let fits = size <= 1 || stride == step;
            step *= size;
            fits
        })
    }

    /// The place of every element in the storage, row-major by index.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![self.offset];
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            places = places
                .into_iter()
                .flat_map(|start| (0..size).map(move |index| start + index * stride))
                .collect();
        }
        places
    }
}

fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, PytorchProblem> {
    let (root, storages) = if Archive::is_one(bytes) {
        from_archive(bytes)?
    } else {
        from_stream(bytes)?
    };
    let Value::Dict(items) = root else {
        return Err(PytorchProblem::NoTable);
    };
    let tensors = items.into_iter().filter_map(|(name, value)| match (name, value) {
        (Value::Text(name), Value::Tensor(view)) => Some((name, view)),
        _ => None,
    });
    tensors
        .map(|(name, view)| Ok((name.to_string(), entry(&name, &view, &storages)?)))
        .collect()
}

/// Root of the pickle and place of each storage.
type Parts = (Value, HashMap<Rc<str>, Range<usize>>);

fn from_archive(bytes: &[u8]) -> Result<Parts, PytorchProblem> {
    let archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl").ok_or(PytorchProblem::MissingEntry {
        name: "data.pkl".into(),
    })??;
    if let Some(order) = archive.entry("byteorder") {
        expect_little(&bytes[order?])?;
    }
    let mut storages = HashMap::new();
    let (root, _) = run(&bytes[pickle], &mut |storage: &Storage| {
        storages.insert(storage.key.clone(), storage.clone());
    })?;
    let mut places = HashMap::new();
    for key in storages.into_keys() {
        let name = format!("data/{key}");
        let range = archive
            .entry(&name)
            .ok_or(PytorchProblem::MissingEntry { name })??;
        places.insert(key, range);
    }
    Ok((root, places))
}

fn expect_little(order: &[u8]) -> Result<(), PytorchProblem> {
    match order {
        b"little" => Ok(()),
        _ => Err(PytorchProblem::BigEndian),
    }
}

/// Before PyTorch 1.6: magic number, version, system, the table, the storages' keys, then each storage as an i64 count of
/// elements and its bytes.
fn from_stream(bytes: &[u8]) -> Result<Parts, PytorchProblem> {
    let mut at = 0;
    let mut storages: HashMap<Rc<str>, Storage> = HashMap::new();
    let mut next = |at: &mut usize| -> Result<Value, PytorchProblem> {
        let (value, length) = run(&bytes[*at..], &mut |storage: &Storage| {
            storages.insert(storage.key.clone(), storage.clone());
        })?;
        *at += length;
        Ok(value)
    };
    let _magic = next(&mut at)?;
    if !matches!(next(&mut at)?, Value::Int(1001)) {
        return Err(PytorchProblem::NoTable);
    }
    let _system = next(&mut at)?;
    let root = next(&mut at)?;
    let Value::List(keys) = next(&mut at)? else {
        return Err(PytorchProblem::NoTable);
    };
    let mut places = HashMap::new();
    for key in keys {
        let Value::Text(key) = key else {
            return Err(PytorchProblem::NoTable);
        };
        let start = at + 8;
        let count = bytes.get(at..start).and_then(|bytes| bytes.try_into().ok());
        let count = count
            .map(u64::from_le_bytes)
            .ok_or(PytorchProblem::CutShort { at })?;
        let width = storages.get(&key).map_or(1, |storage| storage.number.width());
        let length = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(width));
        let end = length.and_then(|length| start.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len());
        let end = end.ok_or(PytorchProblem::CutShort { at })?;
        places.insert(key, start..end);
        at = end;
    }
    Ok((root, places))
}

fn entry(
    name: &str,
    view: &TensorView,
    storages: &HashMap<Rc<str>, Range<usize>>,
) -> Result<Entry, PytorchProblem> {
    let outside = || PytorchProblem::Outside {
        tensor: name.to_owned(),
    };
    let storage = storages.get(&view.storage.key).ok_or_else(outside)?.clone();
    let elements = storage.len() / view.storage.number.width();
    // The place of the last element, and how many there are: a stride of 0 can claim more than the storage holds.
    let mut last = Some(view.offset);
    let mut count = Some(1_usize);
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        let step = size.saturating_sub(1).checked_mul(stride);
        last = last.zip(step).and_then(|(last, step)| last.checked_add(step));
        count = count.and_then(|count| count.checked_mul(size));
    }
    let fits = count.is_some_and(|count| count <= elements) && last.is_some_and(|last| last < elements);
    if view.shape.len() != view.strides.len() || (!fits && count != Some(0)) {
        return Err(outside());
    }
    Ok(Entry {
        number: view.storage.number,
        shape: view.shape.clone(),
        strides: view.strides.clone(),
        offset: view.offset,
        storage,
    })
}

#[cfg(test)]
mod tests;
