//! Settings and tensors of a GGUF file. Nothing that the file says about sizes is believed before it is checked.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use lora_core::tensors::{FileBytes, HostTensor, Orientation, StoredRows};

use super::error::GgufError;
use super::quantization::TensorType;

/// A GGUF file: its settings in memory, its tensors read when they are asked for.
#[derive(Debug)]
pub struct Gguf {
    origin: PathBuf,
    bytes: FileBytes,
    settings: BTreeMap<String, Setting>,
    tensors: BTreeMap<String, Entry>,
}

/// A setting of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A whole number of any size.
    Integer(i64),
    /// A float of either size.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// Several of one kind.
    List(Vec<Self>),
}

#[derive(Clone, Debug)]
struct Entry {
    /// Slowest axis first, as everywhere else here.
    shape: Vec<usize>,
    kind: TensorType,
    /// Place of its first byte.
    start: usize,
}

impl Gguf {
    /// Opens a file and reads its settings.
    ///
    /// # Errors
    ///
    /// [`GgufError`] if it cannot be read, is corrupt, or holds a tensor of a type that is not supported.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let bytes = FileBytes::open(path).map_err(|source| GgufError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(bytes, path)
    }

    /// Takes the bytes of a file; `origin` names them in errors.
    ///
    /// # Errors
    ///
    /// As [`Gguf::open`].
    pub fn from_bytes(bytes: Vec<u8>, origin: &Path) -> Result<Self, GgufError> {
        Self::parse(FileBytes::held(bytes), origin)
    }

    fn parse(bytes: FileBytes, origin: &Path) -> Result<Self, GgufError> {
        let mut reader = BufReader::new(bytes.reader());
        let mut cursor = Cursor {
            reader: &mut reader,
            at: 0,
            length: bytes.len(),
            origin,
        };
        let magic = cursor.take(bytes.len().min(4), "the first bytes")?;
        if magic != b"GGUF" {
            return Err(GgufError::Magic {
                path: origin.to_owned(),
                found: magic,
            });
        }
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version {
                path: origin.to_owned(),
                found: version,
            });
        }
        let tensor_count = cursor.count("the number of tensors")?;
        let setting_count = cursor.count("the number of settings")?;
        let mut settings = BTreeMap::new();
        for _ in 0..setting_count {
            let key = cursor.text("the name of a setting")?;
            let kind = cursor.u32("the type of a setting")?;
            settings.insert(key, cursor.setting(kind, 0)?);
        }
        let tensors = cursor.tensors(tensor_count, &settings)?;
        drop(reader);
        Ok(Self {
            origin: origin.to_owned(),
            bytes,
            settings,
            tensors,
        })
    }

    /// Where the bytes came from.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// A setting, such as `general.architecture`.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, slowest axis first; `None` if there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| &entry.shape[..])
    }

    /// A tensor as f32, dequantized; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`GgufError::Read`].
    ///
    /// # Panics
    ///
    /// Panics if a tensor to be transposed is no matrix.
    pub fn read(&self, name: &str, orientation: Orientation) -> Result<Option<HostTensor>, GgufError> {
        let Some(Entry { shape, kind, start }) = self.tensors.get(name) else {
            return Ok(None);
        };
        let row = shape.last().copied().unwrap_or(1);
        let rows = StoredRows {
            start: *start,
            shape,
            row_bytes: (row / kind.block_len()).saturating_mul(kind.block_bytes()),
        };
        let decode = |bytes: &[u8], numbers: &mut Vec<f32>| kind.dequantize(bytes, numbers);
        let tensor = self.bytes.tensor(rows, orientation, decode);
        Ok(Some(tensor.map_err(|source| GgufError::Read {
            path: self.origin.clone(),
            source,
        })?))
    }
}

impl Setting {
    /// The whole number, where it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, where it is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The items, where it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }
}

/// The header, read from its beginning on.
struct Cursor<'a> {
    reader: &'a mut dyn Read,
    at: usize,
    /// Bytes of the whole file.
    length: usize,
    origin: &'a Path,
}

impl Cursor<'_> {
    fn corrupt(&self, reading: &'static str) -> GgufError {
        GgufError::Corrupt {
            path: self.origin.to_owned(),
            offset: self.at,
            reading,
        }
    }

    fn fill(&mut self, buffer: &mut [u8], reading: &'static str) -> Result<(), GgufError> {
        let end = self.at + buffer.len();
        if end > self.length {
            return Err(self.corrupt(reading));
        }
        let read = self.reader.read_exact(buffer);
        read.map_err(|source| GgufError::Read {
            path: self.origin.to_owned(),
            source,
        })?;
        self.at = end;
        Ok(())
    }

    /// `count` is at most what is left.
    fn take(&mut self, count: usize, reading: &'static str) -> Result<Vec<u8>, GgufError> {
        let mut taken = vec![0; count];
        self.fill(&mut taken, reading)?;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, reading: &'static str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        self.fill(&mut array, reading)?;
        Ok(array)
    }

    fn u32(&mut self, reading: &'static str) -> Result<u32, GgufError> {
        self.array(reading).map(u32::from_le_bytes)
    }

    /// A number of things, of which each takes at least a byte of what is left.
    fn count(&mut self, reading: &'static str) -> Result<usize, GgufError> {
        let count = u64::from_le_bytes(self.array(reading)?);
        let left = self.length - self.at;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= left)
            .ok_or_else(|| self.corrupt(reading))
    }

    fn text(&mut self, reading: &'static str) -> Result<String, GgufError> {
        let length = self.count(reading)?;
        let bytes = self.take(length, reading)?;
        String::from_utf8(bytes).map_err(|_| self.corrupt(reading))
    }

    fn setting(&mut self, kind: u32, depth: usize) -> Result<Setting, GgufError> {
        const VALUE: &str = "the value of a setting";
        const DEEPEST: usize = 4;
        Ok(match kind {
            0 => Setting::Integer(u8::from_le_bytes(self.array(VALUE)?).into()),
            1 => Setting::Integer(i8::from_le_bytes(self.array(VALUE)?).into()),
            2 => Setting::Integer(u16::from_le_bytes(self.array(VALUE)?).into()),
            3 => Setting::Integer(i16::from_le_bytes(self.array(VALUE)?).into()),
            4 => Setting::Integer(u32::from_le_bytes(self.array(VALUE)?).into()),
            5 => Setting::Integer(i32::from_le_bytes(self.array(VALUE)?).into()),
            6 => Setting::Float(f32::from_le_bytes(self.array(VALUE)?).into()),
            7 => Setting::Bool(self.array::<1>(VALUE)? != [0]),
            8 => Setting::Text(self.text(VALUE)?),
            9 if depth < DEEPEST => {
                let kind = self.u32("the type of a list")?;
                let count = self.count("the length of a list")?;
                let items = (0..count).map(|_| self.setting(kind, depth + 1));
                Setting::List(items.collect::<Result<_, _>>()?)
            }
            10 | 11 => Setting::Integer(i64::from_le_bytes(self.array(VALUE)?)),
            12 => Setting::Float(f64::from_le_bytes(self.array(VALUE)?)),
            _ => return Err(self.corrupt("the type of a setting")),
        })
    }

    fn tensors(
        &mut self,
        count: usize,
        settings: &BTreeMap<String, Setting>,
    ) -> Result<BTreeMap<String, Entry>, GgufError> {
        let mut found = Vec::new();
        for _ in 0..count {
            let name = self.text("the name of a tensor")?;
            let axes = self.u32("the number of axes")?;
            if axes > 4 {
                return Err(self.corrupt("the number of axes"));
            }
            let mut shape = (0..axes)
                .map(|_| {
                    let size = u64::from_le_bytes(self.array("the size of an axis")?);
                    usize::try_from(size).map_err(|_| self.corrupt("the size of an axis"))
                })
                .collect::<Result<Vec<_>, _>>()?;
            shape.reverse();
            let code = self.u32("the type of a tensor")?;
            let kind = TensorType::of_code(code).ok_or_else(|| GgufError::Type {
                path: self.origin.to_owned(),
                name: name.clone(),
                found: code,
            })?;
            let offset = u64::from_le_bytes(self.array("the offset of a tensor")?);
            found.push((name, shape, kind, offset));
        }
        let alignment = settings.get("general.alignment").and_then(Setting::as_integer);
        let alignment = alignment.map_or(32, |alignment| usize::try_from(alignment).unwrap_or(0));
        let start = self.at.checked_next_multiple_of(alignment);
        let start = start.ok_or_else(|| self.corrupt("the alignment"))?;
        let mut tensors = BTreeMap::new();
        for (name, shape, kind, offset) in found {
            let start = self.start(start, offset, &shape, kind);
            let start = start.ok_or_else(|| self.corrupt("the place of a tensor"))?;
            if tensors.insert(name, Entry { shape, kind, start }).is_some() {
                return Err(self.corrupt("a tensor name that stands twice"));
            }
        }
        Ok(tensors)
    }

    /// Place of the first byte of a tensor; none if it does not consist of whole blocks, or does not lie within the file.
    fn start(&self, start: usize, offset: u64, shape: &[usize], kind: TensorType) -> Option<usize> {
        let count = shape
            .iter()
            .try_fold(1_usize, |count, size| count.checked_mul(*size))?;
        let row = shape.last().copied().unwrap_or(1);
        let whole = row.is_multiple_of(kind.block_len());
        let bytes = (count / kind.block_len()).checked_mul(kind.block_bytes())?;
        let first = start.checked_add(usize::try_from(offset).ok()?)?;
        let end = first.checked_add(bytes)?;
        (whole && end <= self.length).then_some(first)
    }
}
