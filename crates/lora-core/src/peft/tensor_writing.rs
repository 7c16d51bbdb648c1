//! Files of tensors, written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::atomic::{WriteError, write_file_with};
use crate::tensors::{FloatSlice, FloatType, HostTensor};

/// Values that are turned into bytes at once.
const CHUNK: usize = 16 * 1024;

/// Writes weights, which are f32 and finite, as PyTorch's users do: sorted, with the metadata that Transformers looks for.
///
/// # Errors
///
/// [`WriteError`]; its source is of kind `InvalidData` for a value that is not finite.
///
/// # Panics
///
/// Panics if two tensors have the same name.
pub fn write_tensors(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, HostTensor)>,
) -> Result<(), WriteError> {
    let mut by_name = BTreeMap::new();
    for (name, tensor) in tensors {
        let before = by_name.insert(name, tensor);
        assert!(before.is_none(), "every tensor has its own name");
    }
    let shape = |(name, tensor): (&String, &HostTensor)| (name.clone(), tensor.shape.clone());
    let shapes = by_name.iter().map(shape).collect();
    stream_tensors(path, &shapes, |write| {
        for (name, tensor) in &by_name {
            write(name, tensor);
        }
    })
}

/// Writes the same file of tensors that are made one after the other, so that they need not be in memory together. `visit` hands
/// out each tensor of `shapes`, in any order, whole or in pieces that follow each other along the first axis.
///
/// # Errors
///
/// As [`write_tensors`].
///
/// # Panics
///
/// Panics if `visit` hands out a tensor that `shapes` does not have so, or not every tensor once and whole.
pub fn stream_tensors(
    path: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    visit: impl FnOnce(&mut dyn FnMut(&str, &HostTensor)),
) -> Result<(), WriteError> {
    let of_singles = |(name, shape): (&String, &Vec<usize>)| (name.clone(), (FloatType::F32, shape.clone()));
    let (header, offsets) = header(&shapes.iter().map(of_singles).collect());
    write_file_with(path, |file| {
        file.write_all(&header)?;
        // Where the next piece of each tensor goes, and how many rows are still to come.
        let place = |(name, offset): (String, usize)| {
            let rows = shapes[&name].first().copied().unwrap_or(1);
            (name, (offset, rows))
        };
        let mut left: BTreeMap<String, (usize, usize)> = offsets.into_iter().map(place).collect();
        let mut outcome = Ok(());
        visit(&mut |name, piece| {
            let (rows, of_row) = parts(&piece.shape);
            let (offset, mut missing) = left.remove(name).expect("a tensor of the shapes, and each once");
            let is_promised = parts(&shapes[name]).1 == of_row && rows <= missing;
            assert!(is_promised, "a tensor has the shape that was promised");
            missing -= rows;
            if missing > 0 {
                let written = FloatType::F32.width() * piece.values.len();
                left.insert(name.to_owned(), (offset + written, missing));
            }
            if outcome.is_ok() {
                outcome = match piece.not_finite() {
                    Some(found) => Err(no_weight(name, found)),
                    None => write_values(file, header.len() + offset, FloatSlice::Single(&piece.values)),
                };
            }
        });
        assert!(left.is_empty(), "every tensor of the shapes is written");
        outcome
    })
}

/// Writes tensors of either precision: names with shapes and values.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_floats(
    path: &Path,
    tensors: &BTreeMap<String, (Vec<usize>, FloatSlice<'_>)>,
) -> Result<(), WriteError> {
    let kinds = tensors.iter();
    let kinds = kinds.map(|(name, (shape, values))| (name.clone(), (values.float_type(), shape.clone())));
    let (header, offsets) = header(&kinds.collect());
    write_file_with(path, |file| {
        file.write_all(&header)?;
        let mut values = tensors.iter();
        values.try_for_each(|(name, (_, values))| write_values(file, header.len() + offsets[name], *values))
    })
}

/// That a value is no weight, for files of any format.
pub fn no_weight(tensor: &str, found: f32) -> io::Error {
    let reason = format!(
        "`{tensor}` would hold {found}: the weights that it is made of are damaged, too large, or of a training that diverged"
    );
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The number of rows along the first axis, and the shape of one.
fn parts(shape: &[usize]) -> (usize, &[usize]) {
    shape
        .split_first()
        .map_or((1, shape), |(rows, of_row)| (*rows, of_row))
}

/// The length, then names, types, shapes and places, padded to eight bytes; and where each tensor begins behind it.
fn header(tensors: &BTreeMap<String, (FloatType, Vec<usize>)>) -> (Vec<u8>, BTreeMap<String, usize>) {
    let mut entries = Map::new();
    let mut offsets = BTreeMap::new();
    let mut end = 0;
    for (name, (float, shape)) in tensors {
        let start = end;
        end += float.width() * shape.iter().product::<usize>();
        entries.insert(
            name.clone(),
            json!({ "dtype": float.name(), "shape": shape, "data_offsets": [start, end] }),
        );
        offsets.insert(name.clone(), start);
    }
    entries.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let length = text.len() as u64;
    ([&length.to_le_bytes()[..], &text].concat(), offsets)
}

fn write_values(file: &mut File, offset: usize, values: FloatSlice<'_>) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset as u64))?;
    match values {
        FloatSlice::Single(values) => write_chunks(file, values, f32::to_le_bytes),
        FloatSlice::Double(values) => write_chunks(file, values, f64::to_le_bytes),
    }
}

fn write_chunks<T: Copy, const WIDTH: usize>(
    file: &mut File,
    values: &[T],
    bytes_of: impl Fn(T) -> [u8; WIDTH],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(WIDTH * CHUNK);
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| bytes_of(*value)));
        file.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    fn tensor(shape: &[usize], first: f32) -> HostTensor {
        let count: usize = shape.iter().product();
        HostTensor {
            shape: shape.to_vec(),
            values: (0..count).map(|index| first + index as f32).collect(),
        }
    }

    #[test]
    fn tensors_in_any_order_are_those_that_the_reader_of_safetensors_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        // The second one is longer than a chunk; an empty one has no bytes.
        let tensors = [
            ("b", tensor(&[2, 3], 1.0)),
            ("a \"quoted\"", tensor(&[CHUNK + 1], 0.5)),
            ("none", tensor(&[0, 4], 0.0)),
        ];
        let shapes = tensors
            .iter()
            .map(|(name, tensor)| ((*name).to_owned(), tensor.shape.clone()));
        stream_tensors(&path, &shapes.clone().collect(), |write| {
            for (name, tensor) in &tensors {
                write(name, tensor);
            }
        })
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 3);
        for (name, tensor) in &tensors {
            let view = read.tensor(name).unwrap();
            assert_eq!(view.shape(), tensor.shape);
            let values: Vec<u8> = tensor
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            assert_eq!(view.data(), values);
        }
        // In pieces, those of two tensors in turns.
        stream_tensors(&path, &shapes.collect(), |write| {
            write("b", &tensor(&[1, 3], 1.0));
            write("none", &tensors[2].1);
            write("a \"quoted\"", &tensor(&[CHUNK], 0.5));
            write("b", &tensor(&[1, 3], 4.0));
            write("a \"quoted\"", &tensor(&[1], 0.5 + CHUNK as f32));
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        write_tensors(&path, tensors.map(|(name, tensor)| (name.to_owned(), tensor))).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn doubles_stand_beside_singles_with_all_of_their_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        // Neither is a number of 32 bits.
        let (doubles, singles) = ([0.1, 1e-300], [0.5, -2.0, 4.0]);
        let tensors = BTreeMap::from([
            ("doubles".to_owned(), (vec![1, 2], FloatSlice::Double(&doubles))),
            ("singles".to_owned(), (vec![3], FloatSlice::Single(&singles))),
        ]);
        write_floats(&path, &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let view = read.tensor("doubles").unwrap();
        assert_eq!(
            (view.dtype(), view.shape()),
            (safetensors::Dtype::F64, &[1, 2][..])
        );
        assert_eq!(view.data(), doubles.map(f64::to_le_bytes).concat());
        let view = read.tensor("singles").unwrap();
        assert_eq!((view.dtype(), view.shape()), (safetensors::Dtype::F32, &[3][..]));
        assert_eq!(view.data(), singles.map(f32::to_le_bytes).concat());
        let file = crate::tensors::TensorFile::open(&path).unwrap();
        assert_eq!(file.read_doubles("doubles").unwrap().unwrap(), doubles);
        assert_eq!(file.read_doubles("singles").unwrap(), None);
    }

    #[test]
    #[should_panic(expected = "every tensor of the shapes is written")]
    fn a_tensor_that_is_forgotten_is_a_bug() {
        let folder = tempfile::tempdir().unwrap();
        let shapes = BTreeMap::from([("a".to_owned(), vec![2])]);
        let _ = stream_tensors(&folder.path().join("x.safetensors"), &shapes, |_| {});
    }
}
