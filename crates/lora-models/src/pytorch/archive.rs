//! The ZIP archive of `torch.save`: entries are stored, never compressed, so an entry is a range of the file.

use std::collections::HashMap;
use std::ops::Range;

use lora_core::tensors::FileBytes;

use super::PytorchProblem;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
/// Sizes and places that do not fit stand in a field of their own.
const ELSEWHERE: u64 = 0xffff_ffff;
/// Tag of that field.
const ZIP64_FIELD: u64 = 1;

/// The longest end record: 22 bytes and a comment, and before it the place of the one for large files.
const LONGEST_END: usize = 20 + 22 + 65_535;

/// The entries of an archive, by name below its one folder.
pub struct Archive<'a> {
    bytes: &'a FileBytes,
    entries: HashMap<String, Listed>,
}

#[derive(Clone, Copy)]
struct Listed {
    method: u64,
    size: u64,
    local: u64,
}

impl<'a> Archive<'a> {
    /// Whether the bytes begin as an archive.
    pub fn is_one(bytes: &FileBytes) -> Result<bool, PytorchProblem> {
        Ok(bytes.read(0..bytes.len().min(LOCAL.len()))? == LOCAL)
    }

    /// Reads the list of entries at the end of the file.
    pub fn open(bytes: &'a FileBytes) -> Result<Self, PytorchProblem> {
        let tail = Part::read(bytes, bytes.len().saturating_sub(LONGEST_END), bytes.len())?;
        let end = tail.bytes.windows(END.len()).rposition(|window| window == END);
        let end = tail.start + end.ok_or(PytorchProblem::CutShort { at: bytes.len() })?;
        let (mut count, mut at) = (tail.number(end + 10, 2)?, tail.number(end + 16, 4)?);
        if count == 0xffff || at == ELSEWHERE {
            let locator = end.checked_sub(20).ok_or(PytorchProblem::CutShort { at: end })?;
            let end_64 = place(tail.number(locator + 8, 8)?, end)?;
            let record = Part::read(bytes, end_64, end_64 + 56)?;
            record.expect(end_64, END_64)?;
            (count, at) = (record.number(end_64 + 32, 8)?, record.number(end_64 + 48, 8)?);
        }
        let mut at = place(at, bytes.len())?;
        let list = Part::read(bytes, at, end.max(at))?;
        let mut entries = HashMap::new();
        for _ in 0..count {
            list.expect(at, CENTRAL)?;
            let [name_length, extra_length, comment_length] =
                [28, 30, 32].map(|field| list.number(at + field, 2));
            let (name_length, extra_length) = (name_length? as usize, extra_length? as usize);
            let name_end = at + 46 + name_length;
            let name = list.slice(at + 46, name_length)?;
            let extra = list.slice(name_end, extra_length)?;
            let listed = Listed {
                method: list.number(at + 10, 2)?,
                size: list.number(at + 24, 4)?,
                local: list.number(at + 42, 4)?,
            };
            let packed = list.number(at + 20, 4)?;
            let name = String::from_utf8_lossy(name);
            let below = name.split_once('/').map_or(&*name, |(_, below)| below);
            entries.insert(below.to_owned(), listed.widened(packed, extra)?);
            at = name_end + extra_length + comment_length? as usize;
        }
        Ok(Self { bytes, entries })
    }

    /// Where the bytes of an entry are; `None` if there is none of that name.
    pub fn entry(&self, name: &str) -> Option<Result<Range<usize>, PytorchProblem>> {
        let listed = self.entries.get(name)?;
        Some(self.range(name, *listed))
    }

    fn range(&self, name: &str, listed: Listed) -> Result<Range<usize>, PytorchProblem> {
        if listed.method != 0 {
            return Err(PytorchProblem::Compressed {
                name: name.to_owned(),
            });
        }
        let local = place(listed.local, self.bytes.len())?;
        let head = Part::read(self.bytes, local, local + 30)?;
        head.expect(local, LOCAL)?;
        let lengths = head.number(local + 26, 2)? + head.number(local + 28, 2)?;
        let start = local + 30 + lengths as usize;
        let end = usize::try_from(listed.size)
            .ok()
            .and_then(|size| start.checked_add(size));
        let end = end.filter(|end| *end <= self.bytes.len());
        Ok(start..end.ok_or(PytorchProblem::CutShort { at: start })?)
    }
}

/// Some bytes of the file, by their places in it.
struct Part {
    start: usize,
    bytes: Vec<u8>,
}

impl Part {
    fn read(file: &FileBytes, start: usize, end: usize) -> Result<Self, PytorchProblem> {
        if end > file.len() {
            return Err(PytorchProblem::CutShort { at: start });
        }
        let bytes = file.read(start..end)?;
        Ok(Self { start, bytes })
    }

    fn slice(&self, at: usize, length: usize) -> Result<&[u8], PytorchProblem> {
        let cut = || PytorchProblem::CutShort { at };
        let first = at.checked_sub(self.start).ok_or_else(cut)?;
        let slice = first
            .checked_add(length)
            .and_then(|end| self.bytes.get(first..end));
        slice.ok_or_else(cut)
    }

    fn number(&self, at: usize, width: usize) -> Result<u64, PytorchProblem> {
        self.slice(at, width).map(little_endian)
    }

    fn expect(&self, at: usize, signature: &[u8]) -> Result<(), PytorchProblem> {
        if self.slice(at, signature.len())? == signature {
            return Ok(());
        }
        Err(PytorchProblem::CutShort { at })
    }
}

impl Listed {
    /// Takes size and place from the ZIP64 field where they do not fit in their own: it holds those that are missing, in
    /// the order size, packed size, place.
    fn widened(mut self, packed: u64, extra: &[u8]) -> Result<Self, PytorchProblem> {
        let extra = Part {
            start: 0,
            bytes: extra.to_vec(),
        };
        let mut at = 0;
        while at + 4 <= extra.bytes.len() {
            let (tag, length) = (extra.number(at, 2)?, extra.number(at + 2, 2)? as usize);
            at += 4;
            if tag == ZIP64_FIELD {
                let mut field = at;
                let mut next = || {
                    field += 8;
                    extra.number(field - 8, 8)
                };
                if self.size == ELSEWHERE {
                    self.size = next()?;
                }
                if packed == ELSEWHERE {
                    next()?;
                }
                if self.local == ELSEWHERE {
                    self.local = next()?;
                }
            }
            at += length;
        }
        Ok(self)
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A place that lies before `limit`.
fn place(at: u64, limit: usize) -> Result<usize, PytorchProblem> {
    let place = usize::try_from(at).ok().filter(|place| *place < limit);
    place.ok_or(PytorchProblem::CutShort { at: limit })
}
