//! The bytes of a file, and the values in it, without copies of either.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use super::host::HostTensor;

/// The bytes of a file: held in memory, or in a file that stays open and is read on demand. So a model takes hardly
/// more memory while it is loaded than its values do, whatever the size and the precision of its files.
#[derive(Debug)]
pub struct FileBytes {
    source: Source,
    length: usize,
}

#[derive(Debug)]
enum Source {
    Held(Cow<'static, [u8]>),
    /// Reading moves the place in the file, so readers take turns.
    OnDisk(Mutex<File>),
}

/// How the values of a tensor come to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// Row-major, as they lie in the file.
    Stored,
    /// The transpose of a matrix, row-major again: from PyTorch's `[d_output, d_input]` to Burn's `[d_input, d_output]`.
    Transposed,
}

/// Floats of a file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatType {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE; widens exactly.
    F16,
    /// 16 bits, the upper half of an f32; widens exactly.
    Bf16,
    /// 64 bits; rounded to the nearest f32.
    F64,
}

/// Values of either precision in which something is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloatSlice<'a> {
    /// 32 bits.
    Single(&'a [f32]),
    /// 64 bits.
    Double(&'a [f64]),
}

impl FloatSlice<'_> {
    /// The type of its values.
    pub fn float_type(self) -> FloatType {
        match self {
            Self::Single(_) => FloatType::F32,
            Self::Double(_) => FloatType::F64,
        }
    }
}

/// Where a tensor lies in a file. Its rows, which run along the last axis, follow each other without gaps.
#[derive(Clone, Copy, Debug)]
pub struct StoredRows<'a> {
    /// Place of the first byte.
    pub start: usize,
    /// Sizes of the axes.
    pub shape: &'a [usize],
    /// Bytes of a row.
    pub row_bytes: usize,
}

/// So many bytes are read at a time, if a row is not longer.
const PIECE: usize = 1 << 18;
/// So many columns of a piece are transposed together, so that their ends stay in the nearest cache.
const COLUMNS: usize = 16;

impl FileBytes {
    /// Opens a file. Its bytes are read on demand.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Ok(Self {
            source: Source::OnDisk(Mutex::new(file)),
            length,
        })
    }

    /// Bytes in memory, such as those that a program carries.
    pub fn held(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            length: bytes.len(),
            source: Source::Held(bytes),
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Fills a buffer with the bytes from a place on.
    ///
    /// # Errors
    ///
    /// The error of the operating system; [`io::ErrorKind::UnexpectedEof`] if there are fewer.
    pub fn read_at(&self, place: usize, buffer: &mut [u8]) -> io::Result<()> {
        match &self.source {
            Source::Held(bytes) => {
                let end = place.checked_add(buffer.len());
                let found = end.and_then(|end| bytes.get(place..end));
                buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Source::OnDisk(file) => {
                // A reader that panicked left nothing behind but its place, which is set anew.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(place as u64))?;
                file.read_exact(buffer)
            }
        }
    }

    /// A copy of some bytes.
    ///
    /// # Errors
    ///
    /// As [`FileBytes::read_at`]; a range beyond the end is refused before memory is taken for it.
    pub fn read(&self, range: Range<usize>) -> io::Result<Vec<u8>> {
        if range.end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; range.len()];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// All bytes in order. Small reads want an [`io::BufReader`] around it.
    pub fn reader(&self) -> impl Read + '_ {
        Reader {
            bytes: self,
            place: 0,
        }
    }

    /// A tensor, each number read once and written where it is to be. `decode` appends the values of whole rows.
    ///
    /// # Errors
    ///
    /// As [`FileBytes::read_at`].
    ///
    /// # Panics
    ///
    /// Panics if a tensor to be transposed is no matrix, or `decode` does not append the values of the rows it is given.
    pub fn tensor(
        &self,
        rows: StoredRows<'_>,
        orientation: Orientation,
        decode: impl Fn(&[u8], &mut Vec<f32>),
    ) -> io::Result<HostTensor> {
        // A tensor without numbers may claim axes of any size.
        let is_empty = rows.shape.contains(&0);
        let count: usize = if is_empty { 0 } else { rows.shape.iter().product() };
        let width = rows.shape.last().copied().unwrap_or(1);
        let height = count.checked_div(width).unwrap_or(0);
        let at_once = (PIECE / rows.row_bytes.max(1)).max(1);
        let mut bytes = Vec::new();
        let mut read = |piece: &Range<usize>, numbers: &mut Vec<f32>| {
            bytes.resize(piece.len() * rows.row_bytes, 0);
            self.read_at(rows.start + piece.start * rows.row_bytes, &mut bytes)?;
            let expected = numbers.len() + piece.len() * width;
            decode(&bytes, numbers);
            assert_eq!(numbers.len(), expected, "the numbers of whole rows are appended");
            io::Result::Ok(())
        };
        let pieces = (0..height)
            .step_by(at_once)
            .map(|first| first..height.min(first + at_once));
        match orientation {
            Orientation::Stored => {
                let mut values = Vec::with_capacity(count);
                for piece in pieces {
                    read(&piece, &mut values)?;
                }
                Ok(HostTensor {
                    shape: rows.shape.to_vec(),
                    values,
                })
            }
            Orientation::Transposed => {
                let &[all_rows, _] = rows.shape else {
                    panic!("a tensor of shape {:?} is no matrix", rows.shape)
                };
                let mut values = vec![0.0; count];
                let mut numbers = Vec::new();
                for piece in pieces {
                    numbers.clear();
                    read(&piece, &mut numbers)?;
                    transpose_into(&mut values, &numbers, &piece, [height, width]);
                }
                Ok(HostTensor {
                    shape: vec![width, all_rows],
                    values,
                })
            }
        }
    }
}

/// Writes some rows of a matrix `[height, width]` into its transpose.
fn transpose_into(transpose: &mut [f32], rows: &[f32], piece: &Range<usize>, [height, width]: [usize; 2]) {
    for first in (0..width).step_by(COLUMNS) {
        let columns = first..width.min(first + COLUMNS);
        for (row, numbers) in piece.clone().zip(rows.chunks_exact(width)) {
            for (column, number) in columns.clone().zip(&numbers[columns.clone()]) {
                transpose[column * height + row] = *number;
            }
        }
    }
}

impl FloatType {
    /// As a safetensors file calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F64 => "F64",
        }
    }

    /// Bytes of one number.
    pub fn width(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bytes of a row of a tensor of this shape; [`usize::MAX`] for one that no memory holds.
    pub fn row_bytes(self, shape: &[usize]) -> usize {
        shape.last().copied().unwrap_or(1).saturating_mul(self.width())
    }

    /// Appends the values in `bytes`; what is left after the last whole one is skipped.
    pub fn decode(self, bytes: &[u8], numbers: &mut Vec<f32>) {
        match self {
            Self::F32 => decode(bytes, numbers, f32::from_le_bytes),
            Self::F16 => decode(bytes, numbers, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::Bf16 => decode(bytes, numbers, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Self::F64 => decode(bytes, numbers, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}

fn decode<const WIDTH: usize>(bytes: &[u8], numbers: &mut Vec<f32>, number: impl Fn([u8; WIDTH]) -> f32) {
    let (chunks, _) = bytes.as_chunks::<WIDTH>();
    numbers.extend(chunks.iter().map(|bytes| number(*bytes)));
}

struct Reader<'a> {
    bytes: &'a FileBytes,
    place: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.bytes.len() - self.place);
        self.bytes.read_at(self.place, &mut buffer[..count])?;
        self.place += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// The number in a row and column, none like another.
    fn number(row: usize, column: usize) -> f32 {
        row as f32 * 10_000.0 + column as f32 + 0.5
    }

    fn on_disk(bytes: &[u8]) -> FileBytes {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        FileBytes::open(file.path()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_matrix_comes_as_it_is_and_transposed_whatever_its_sizes(height in 0_usize..400, width in 0_usize..400) {
            let stored: Vec<f32> = (0..height)
                .flat_map(|row| (0..width).map(move |column| number(row, column)))
                .collect();
            let mut bytes = b"head".to_vec();
            bytes.extend(stored.iter().flat_map(|number| number.to_le_bytes()));
            let rows = StoredRows { start: 4, shape: &[height, width], row_bytes: 4 * width };
            for file in [on_disk(&bytes), FileBytes::held(bytes)] {
                let tensor = |orientation| {
                    file.tensor(rows, orientation, |bytes, numbers| FloatType::F32.decode(bytes, numbers)).unwrap()
                };
                let found = tensor(Orientation::Stored);
                prop_assert_eq!(&found.values, &stored);
                let turned = tensor(Orientation::Transposed);
                prop_assert_eq!(&turned.shape, &[width, height]);
                for column in 0..width {
                    for row in 0..height {
                        prop_assert_eq!(turned.values[column * height + row], number(row, column));
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_beyond_the_end_are_refused_before_memory_is_taken() {
        for file in [on_disk(b"abcde"), FileBytes::held(b"abcde".to_vec())] {
            assert_eq!(file.read(1..4).unwrap(), b"bcd");
            for range in [3..6, 0..usize::MAX] {
                let error = file.read(range).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
            let mut all = Vec::new();
            file.reader().read_to_end(&mut all).unwrap();
            assert_eq!(all, b"abcde");
        }
    }
}
