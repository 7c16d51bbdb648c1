//! The ZIP archive of `torch.save`: entries are stored, never compressed, so an entry is a range of the file.

use std::collections::HashMap;
use std::ops::Range;

use super::PytorchProblem;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
/// Sizes and places that do not fit stand in a field of their own.
const ELSEWHERE: u64 = 0xffff_ffff;
/// Tag of that field.
const ZIP64_FIELD: u64 = 1;

/// The entries of an archive, by name below its one folder.
pub struct Archive<'a> {
    bytes: &'a [u8],
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
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(LOCAL)
    }

    /// Reads the list of entries at the end of the file.
    pub fn open(bytes: &'a [u8]) -> Result<Self, PytorchProblem> {
        // The end record is 22 bytes and a comment of at most 65535.
        let from = bytes.len().saturating_sub(22 + 65_535);
        let end = bytes[from..].windows(4).rposition(|window| window == END);
        let end = from + end.ok_or(PytorchProblem::CutShort { at: bytes.len() })?;
        let (mut count, mut at) = (number(bytes, end + 10, 2)?, number(bytes, end + 16, 4)?);
        if count == 0xffff || at == ELSEWHERE {
            let locator = end.checked_sub(20).ok_or(PytorchProblem::CutShort { at: end })?;
            let end_64 = place(number(bytes, locator + 8, 8)?, end)?;
            if bytes.get(end_64..end_64 + 4) != Some(END_64) {
                return Err(PytorchProblem::CutShort { at: end_64 });
            }
            (count, at) = (number(bytes, end_64 + 32, 8)?, number(bytes, end_64 + 48, 8)?);
        }
        let mut at = place(at, bytes.len())?;
        let mut entries = HashMap::new();
        for _ in 0..count {
            if bytes.get(at..at + 4) != Some(CENTRAL) {
                return Err(PytorchProblem::CutShort { at });
            }
            let [name_length, extra_length, comment_length] =
                [28, 30, 32].map(|field| number(bytes, at + field, 2));
            let (name_length, extra_length) = (name_length? as usize, extra_length? as usize);
            let name_end = at + 46 + name_length;
            let name = bytes
                .get(at + 46..name_end)
                .ok_or(PytorchProblem::CutShort { at })?;
            let extra = bytes
                .get(name_end..name_end + extra_length)
                .ok_or(PytorchProblem::CutShort { at })?;
            let listed = Listed {
                method: number(bytes, at + 10, 2)?,
                size: number(bytes, at + 24, 4)?,
                local: number(bytes, at + 42, 4)?,
            };
            let packed = number(bytes, at + 20, 4)?;
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
        if self.bytes.get(local..local + 4) != Some(LOCAL) {
            return Err(PytorchProblem::CutShort { at: local });
        }
        let lengths = number(self.bytes, local + 26, 2)? + number(self.bytes, local + 28, 2)?;
        let start = local + 30 + lengths as usize;
        let end = usize::try_from(listed.size)
            .ok()
            .and_then(|size| start.checked_add(size));
        let end = end.filter(|end| *end <= self.bytes.len());
        Ok(start..end.ok_or(PytorchProblem::CutShort { at: start })?)
    }
}

impl Listed {
    /// Takes size and place from the ZIP64 field where they do not fit in their own: it holds those that are missing, in
    /// the order size, packed size, place.
    fn widened(mut self, packed: u64, extra: &[u8]) -> Result<Self, PytorchProblem> {
        let mut at = 0;
        while at + 4 <= extra.len() {
            let (tag, length) = (number(extra, at, 2)?, number(extra, at + 2, 2)? as usize);
            at += 4;
            if tag == ZIP64_FIELD {
                let mut field = at;
                let mut next = || {
                    field += 8;
                    number(extra, field - 8, 8)
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

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Result<u64, PytorchProblem> {
    let field = at.checked_add(width).and_then(|end| bytes.get(at..end));
    let field = field.ok_or(PytorchProblem::CutShort { at })?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A place that lies before `limit`.
fn place(at: u64, limit: usize) -> Result<usize, PytorchProblem> {
    let place = usize::try_from(at).ok().filter(|place| *place < limit);
    place.ok_or(PytorchProblem::CutShort { at: limit })
}
