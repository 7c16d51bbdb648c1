//! `pytorch_model.bin`: tensors that `torch.save` wrote, without running the program that its pickle is.
//!
//! Both layouts are read: the ZIP archive (PyTorch 1.6 and later) and the stream of pickles before it. Of the pickle's
//! program only what a table of tensors needs is understood; nothing it names is ever called.

mod archive;
mod error;
mod pickle;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lora_core::tensors::{FileBytes, FloatType, HostTensor, Orientation, StoredRows};

use self::archive::Archive;
use self::pickle::run;
use self::value::{Storage, TensorView, Value};
use crate::error::LoadError;

pub use self::error::PytorchProblem;
pub use self::value::ElementType;

/// A file of `torch.save`: its table in memory, its tensors read when they are asked for.
#[derive(Debug)]
pub struct PytorchFile {
    path: PathBuf,
    bytes: FileBytes,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    number: ElementType,
    shape: Vec<usize>,
    /// Place in the storage of the element at every index, by axis.
    strides: Vec<usize>,
    /// First element, in the storage.
    offset: usize,
    /// Bytes of the storage, in the file.
    storage: Range<usize>,
}

impl PytorchFile {
    /// Opens a file and reads its table.
    ///
    /// # Errors
    ///
    /// [`LoadError::Read`], [`LoadError::Pytorch`].
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let bytes = FileBytes::open(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(bytes, path)
    }

    /// Takes the bytes of a file; `origin` names them in errors.
    ///
    /// # Errors
    ///
    /// As [`PytorchFile::open`].
    pub fn from_bytes(bytes: Vec<u8>, origin: &Path) -> Result<Self, LoadError> {
        Self::parse(FileBytes::held(bytes), origin)
    }

    fn parse(bytes: FileBytes, origin: &Path) -> Result<Self, LoadError> {
        let refuse = |problem| LoadError::Pytorch {
            path: origin.to_owned(),
            problem,
        };
        let entries = entries(&bytes).map_err(refuse)?;
        Ok(Self {
            path: origin.to_owned(),
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
    /// [`LoadError::Pytorch`] if its values are no floating-point numbers, [`LoadError::Read`].
    ///
    /// # Panics
    ///
    /// Panics if a tensor to be transposed is no matrix.
    pub fn read_as(&self, name: &str, orientation: Orientation) -> Result<Option<HostTensor>, LoadError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let float = entry.number.float().ok_or_else(|| LoadError::Pytorch {
            path: self.path.clone(),
            problem: PytorchProblem::ElementType {
                tensor: name.to_owned(),
                found: entry.number,
            },
        })?;
        let tensor = entry.tensor(&self.bytes, float, orientation);
        Ok(Some(tensor.map_err(|source| LoadError::Read {
            path: self.path.clone(),
            source,
        })?))
    }
}

impl Entry {
    /// The values in the order of the indices.
    fn tensor(
        &self,
        bytes: &FileBytes,
        float: FloatType,
        orientation: Orientation,
    ) -> io::Result<HostTensor> {
        if self.is_contiguous() {
            let rows = StoredRows {
                start: self.storage.start + self.offset * float.width(),
                shape: &self.shape,
                row_bytes: float.row_bytes(&self.shape),
            };
            return bytes.tensor(rows, orientation, |bytes, numbers| float.decode(bytes, numbers));
        }
        let mut stored = Vec::new();
        float.decode(&bytes.read(self.storage.clone())?, &mut stored);
        let tensor = HostTensor {
            values: self.places().into_iter().map(|place| stored[place]).collect(),
            shape: self.shape.clone(),
        };
        Ok(match orientation {
            Orientation::Stored => tensor,
            Orientation::Transposed => tensor.transposed(),
        })
    }

    /// Whether the elements lie one after the other in the order of the indices; no elements do.
    fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
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

fn entries(bytes: &FileBytes) -> Result<BTreeMap<String, Entry>, PytorchProblem> {
    let (root, storages) = if Archive::is_one(bytes)? {
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

/// Bytes of a file's beginning that hold the pickles of most.
const FIRST_PART: usize = 1 << 20;

/// Root of the pickle and place of each storage.
type Parts = (Value, HashMap<Rc<str>, Range<usize>>);

fn from_archive(bytes: &FileBytes) -> Result<Parts, PytorchProblem> {
    let archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl").ok_or(PytorchProblem::MissingEntry {
        name: "data.pkl".into(),
    })??;
    if let Some(order) = archive.entry("byteorder") {
        expect_little(&bytes.read(order?)?)?;
    }
    let mut storages = HashMap::new();
    let (root, _) = run(&bytes.read(pickle)?, &mut |storage: &Storage| {
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
fn from_stream(bytes: &FileBytes) -> Result<Parts, PytorchProblem> {
    // Nothing tells where the pickles end but they themselves: a beginning of the file is tried, and a longer one.
    let mut length = bytes.len().min(FIRST_PART);
    let Stream {
        root,
        storages,
        keys,
        mut at,
    } = loop {
        match Stream::read(&bytes.read(0..length)?) {
            Err(PytorchProblem::CutShort { .. }) if length < bytes.len() => {
                length = bytes.len().min(2 * length);
            }
            outcome => break outcome?,
        }
    };
    let mut places = HashMap::new();
    for key in keys {
        let start = at + 8;
        let mut count = [0; 8];
        let read = bytes.read_at(at, &mut count);
        read.map_err(|_| PytorchProblem::CutShort { at })?;
        let width = storages.get(&key).map_or(1, |storage| storage.number.width());
        let length = usize::try_from(u64::from_le_bytes(count)).ok();
        let length = length.and_then(|count| count.checked_mul(width));
        let end = length.and_then(|length| start.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len());
        let end = end.ok_or(PytorchProblem::CutShort { at })?;
        places.insert(key, start..end);
        at = end;
    }
    Ok((root, places))
}

/// The pickles of such a file.
struct Stream {
    root: Value,
    storages: HashMap<Rc<str>, Storage>,
    /// Storages in the order of their bytes.
    keys: Vec<Rc<str>>,
    /// Where the first storage lies.
    at: usize,
}

impl Stream {
    fn read(bytes: &[u8]) -> Result<Self, PytorchProblem> {
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
        let keys = keys.into_iter().map(|key| match key {
            Value::Text(key) => Ok(key),
            _ => Err(PytorchProblem::NoTable),
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            root,
            storages,
            at,
        })
    }
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
        // That of no elements is not checked.
        offset: if count == Some(0) { 0 } else { view.offset },
        storage,
    })
}

#[cfg(test)]
mod tests;
