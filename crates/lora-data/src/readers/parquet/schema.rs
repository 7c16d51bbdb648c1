//! The schema of a Parquet file before the library reads it: the library takes memory for as many children as a group says to have
//! (parquet 60.1, `schema_from_array_helper`).
//!
//! Metadata are a structure in Thrift's compact protocol (Thrift, "Thrift Compact protocol encoding"; Parquet, `parquet.thrift`). Whatever
//! cannot be followed here is left to the library, which says what is wrong.

use std::io::{self, Read, Seek, SeekFrom};

use parquet::errors::ParquetError;

/// At the end of a file: four bytes for the length of the metadata, and the signature.
const FOOTER: usize = 8;
const SIGNATURE: &[u8] = b"PAR1";
/// Structures in structures; those of Parquet are fewer.
const DEEPEST: usize = 32;
/// `FileMetaData.schema`.
const SCHEMA: i64 = 2;
/// `SchemaElement.num_children`.
const CHILDREN: i64 = 5;

/// Refuses a schema in which a group has more children than the schema has elements.
///
/// # Errors
/// [`ParquetError`], also when the file cannot be read.
pub(super) fn check(file: &mut (impl Read + Seek)) -> Result<(), ParquetError> {
    let metadata = metadata(file)?;
    let (elements, most) = elements(&metadata).unwrap_or_default();
    if most > elements {
        let message =
            format!("a group of its schema has {most} children, and all of the schema {elements} elements");
        return Err(ParquetError::General(message));
    }
    Ok(())
}

/// The bytes before the footer, as many as it tells; none of a file that has no such end.
fn metadata(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let end = file.seek(SeekFrom::End(0))?;
    let Some(footer) = end.checked_sub(FOOTER as u64) else {
        return Ok(Vec::new());
    };
    let mut bytes = [0; FOOTER];
    file.seek(SeekFrom::Start(footer))?;
    file.read_exact(&mut bytes)?;
    let [a, b, c, d, ..] = bytes;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let start = footer.checked_sub(length).filter(|_| bytes.ends_with(SIGNATURE));
    let mut metadata = Vec::new();
    if let Some(start) = start {
        file.seek(SeekFrom::Start(start))?;
        file.take(length).read_to_end(&mut metadata)?;
    }
    Ok(metadata)
}

/// How many elements the schema has, and the most children that one of them claims.
fn elements(metadata: &[u8]) -> Option<(i64, i64)> {
    let mut input = Compact(metadata);
    let (mut count, mut most) = (0, 0);
    let mut id = 0;
    loop {
        let kind = input.field(&mut id)?;
        if id == SCHEMA && kind == Kind::List {
            break;
        }
        input.skip(kind, 0)?;
    }
    let (length, _) = input.list()?;
    for _ in 0..length {
        let mut id = 0;
        while let kind = input.field(&mut id)?
            && kind != Kind::Stop
        {
            if id == CHILDREN && kind == Kind::Integer {
                most = most.max(input.integer()?);
            } else {
                input.skip(kind, 0)?;
            }
        }
        count += 1;
    }
    Some((count, most))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stop,
    Truth,
    Byte,
    Integer,
    Double,
    Bytes,
    List,
    Map,
    Structure,
    Uuid,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        Some(match code & 0xf {
            0 => Self::Stop,
            1 | 2 => Self::Truth,
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Bytes,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Structure,
            13 => Self::Uuid,
            _ => return None,
        })
    }
}

/// What is left of a message; each step is none where it ends too early.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn take(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// The kind of the next field; `id` is that of the one before, and becomes its own.
    fn field(&mut self, id: &mut i64) -> Option<Kind> {
        let head = self.byte()?;
        let kind = Kind::of(head)?;
        if kind != Kind::Stop {
            *id = match head >> 4 {
                0 => self.integer()?,
                step => id.checked_add(i64::from(step))?,
            };
        }
        Some(kind)
    }

    /// Number and kind of a list's elements.
    fn list(&mut self) -> Option<(u64, Kind)> {
        let head = self.byte()?;
        let length = match head >> 4 {
            0xf => self.unsigned()?,
            length => u64::from(length),
        };
        Some((length, Kind::of(head)?))
    }

    /// An element of a list or a map; there, a truth has a byte of its own.
    fn skip_element(&mut self, kind: Kind, depth: usize) -> Option<()> {
        match kind {
            Kind::Truth => self.take(1),
            _ => self.skip(kind, depth),
        }
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            Kind::Stop => None,
            Kind::Truth => Some(()),
            Kind::Byte => self.take(1),
            Kind::Integer => self.unsigned().map(drop),
            Kind::Double => self.take(8),
            Kind::Bytes => {
                let length = self.unsigned()?;
                self.take(length)
            }
            Kind::List => {
                let (length, kind) = self.list()?;
                (0..length).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            Kind::Map => {
                let length = self.unsigned()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds)?);
                (0..length).try_for_each(|_| {
                    self.skip_element(key, depth + 1)?;
                    self.skip_element(value, depth + 1)
                })
            }
            Kind::Structure => {
                let mut id = 0;
                while let kind = self.field(&mut id)?
                    && kind != Kind::Stop
                {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            Kind::Uuid => self.take(16),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file of nothing but metadata: version 1, and a schema of a group with one column.
    fn file(children: &[u8]) -> Cursor<Vec<u8>> {
        let group = [b"\x48\x06schema\x15", children, b"\x00"].concat();
        let column = b"\x15\x0c\x25\x02\x18\x04text\x00";
        let metadata = [b"\x15\x02\x19\x2c", &group[..], column, b"\x00"].concat();
        let length = u32::try_from(metadata.len()).unwrap().to_le_bytes();
        Cursor::new([b"PAR1", &metadata[..], &length, b"PAR1"].concat())
    }

    #[test]
    fn a_group_of_a_schema_has_no_more_children_than_the_schema_elements() {
        // One child and 2^31 − 1, in zigzag and seven bits a byte.
        check(&mut file(b"\x02")).unwrap();
        let refusal = check(&mut file(b"\xfe\xff\xff\xff\x0f")).unwrap_err().to_string();
        assert!(
            refusal.contains("has 2147483647 children, and all of the schema 2 elements"),
            "{refusal}"
        );
    }

    #[test]
    fn a_file_that_ends_anywhere_is_left_to_the_library() {
        let whole = file(b"\x02").into_inner();
        for end in 0..whole.len() {
            check(&mut Cursor::new(&whole[..end])).unwrap();
        }
        let metadata = &whole[4..whole.len() - 8];
        assert_eq!(elements(metadata), Some((2, 1)));
        assert!((0..metadata.len() - 1).all(|end| elements(&metadata[..end]).is_none()));
    }
}
