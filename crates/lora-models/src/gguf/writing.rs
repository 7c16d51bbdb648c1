//! A GGUF file as it is written: settings, the list of tensors, then their values one after the other.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use lora_core::atomic::{WriteError, write_file_with};
use lora_core::peft::no_weight;

use super::encoding::GgufDtype;

/// Bytes to a multiple of which tensors are moved.
const ALIGNMENT: usize = 32;
const VERSION: u32 = 3;

/// Codes of settings' kinds.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// What stands before the values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GgufHeader {
    settings: Vec<Vec<u8>>,
    tensors: Vec<TensorEntry>,
}

#[derive(Clone, Debug, PartialEq)]
struct TensorEntry {
    name: String,
    /// Slowest axis first.
    shape: Vec<usize>,
    dtype: GgufDtype,
}

impl TensorEntry {
    fn bytes(&self) -> usize {
        self.dtype.bytes(self.shape.iter().product())
    }
}

impl GgufHeader {
    pub fn text(&mut self, key: &str, value: &str) {
        self.setting(key, TEXT, &text(value));
    }

    pub fn integer(&mut self, key: &str, value: usize) {
        self.setting(key, U32, &(value as u32).to_le_bytes());
    }

    pub fn float(&mut self, key: &str, value: f32) {
        self.setting(key, F32, &value.to_le_bytes());
    }

    pub fn truth(&mut self, key: &str, value: bool) {
        self.setting(key, BOOL, &[value.into()]);
    }

    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.list(
            key,
            TEXT,
            values.len(),
            values.iter().flat_map(|value| text(value)),
        );
    }

    pub fn integers(&mut self, key: &str, values: &[i32]) {
        self.list(
            key,
            I32,
            values.len(),
            values.iter().flat_map(|value| value.to_le_bytes()),
        );
    }

    /// The next tensor.
    pub fn tensor(&mut self, name: String, shape: Vec<usize>, dtype: GgufDtype) {
        self.tensors.push(TensorEntry { name, shape, dtype });
    }

    fn list(&mut self, key: &str, kind: u32, count: usize, items: impl Iterator<Item = u8>) {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        self.setting(key, LIST, &head.into_iter().chain(items).collect::<Vec<u8>>());
    }

    fn setting(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.settings
            .push([&text(key), &kind.to_le_bytes()[..], value].concat());
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [
            &b"GGUF"[..],
            &VERSION.to_le_bytes(),
            &(self.tensors.len() as u64).to_le_bytes(),
            &(self.settings.len() as u64).to_le_bytes(),
        ]
        .concat();
        bytes.extend(self.settings.concat());
        let mut offset = 0_usize;
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            // The fastest axis comes first.
            for size in tensor.shape.iter().rev() {
                bytes.extend((*size as u64).to_le_bytes());
            }
            bytes.extend(tensor.dtype.code().to_le_bytes());
            bytes.extend((offset as u64).to_le_bytes());
            offset += tensor.bytes().next_multiple_of(ALIGNMENT);
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    /// Writes the file, whole or not at all. `visit` hands out the values of all tensors in the order of the header, each whole or in pieces
    /// of whole rows.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; its source is of kind `InvalidData` for a value that the tensor's type cannot hold.
    ///
    /// # Panics
    ///
    /// Panics if `visit` hands out more or fewer values than the header has.
    pub fn write(&self, path: &Path, visit: impl FnOnce(&mut dyn FnMut(&[f32]))) -> Result<(), WriteError> {
        write_file_with(path, |file| {
            let mut writer = TensorWriter {
                file: BufWriter::new(file),
                tensors: &self.tensors,
                written: 0,
                encoded: Vec::new(),
            };
            let mut outcome = writer.file.write_all(&self.to_bytes());
            visit(&mut |values| {
                if outcome.is_ok() {
                    outcome = writer.put(values);
                }
            });
            outcome?;
            assert!(writer.tensors.is_empty(), "every tensor of the header is written");
            writer.file.flush()
        })
    }
}

struct TensorWriter<'a> {
    file: BufWriter<&'a mut File>,
    /// Those that are not whole yet.
    tensors: &'a [TensorEntry],
    /// Bytes of the first of them.
    written: usize,
    encoded: Vec<u8>,
}

impl TensorWriter<'_> {
    fn put(&mut self, values: &[f32]) -> io::Result<()> {
        let (first, rest) = self
            .tensors
            .split_first()
            .expect("as many tensors as the header has");
        self.encoded.clear();
        first.dtype.encode(values, &mut self.encoded).map_err(|value| {
            if !value.is_finite() {
                return no_weight(&first.name, value);
            }
            let reason = format!(
                "{} holds {value}, which {:?} cannot hold; choose f32",
                first.name, first.dtype
            );
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        self.file.write_all(&self.encoded)?;
        self.written += self.encoded.len();
        assert!(
            self.written <= first.bytes(),
            "a tensor has the shape that was promised"
        );
        if self.written == first.bytes() {
            let padding = self.written.next_multiple_of(ALIGNMENT) - self.written;
            self.file.write_all(&vec![0; padding])?;
            (self.tensors, self.written) = (rest, 0);
        }
        Ok(())
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
