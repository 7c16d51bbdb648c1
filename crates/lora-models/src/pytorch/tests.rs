//! Files that lie are refused with the reason, and none makes the reader panic.

use lora_core::tensors::{FileBytes, FloatType, Orientation};
use proptest::prelude::*;

use super::{PytorchProblem, entries};

/// An archive with these stored entries below the folder `m`.
fn archive(files: &[(&str, &[u8])], method: u16) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let name = format!("m/{name}");
        let [size, place] = [data.len(), bytes.len()].map(|number| (number as u32).to_le_bytes());
        let name_length = (name.len() as u16).to_le_bytes();
        let method = method.to_le_bytes();
        bytes.extend(
            [
                b"PK\x03\x04",
                &[0; 4][..],
                &method,
                &[0; 8],
                &size,
                &size,
                &name_length,
                &[0; 2],
            ]
            .concat(),
        );
        bytes.extend([name.as_bytes(), data].concat());
        list.extend(
            [
                b"PK\x01\x02",
                &[0; 6][..],
                &method,
                &[0; 8],
                &size,
                &size,
                &name_length,
                &[0; 12],
                &place,
            ]
            .concat(),
        );
        list.extend(name.as_bytes());
    }
    let (count, place) = (
        (files.len() as u16).to_le_bytes(),
        (bytes.len() as u32).to_le_bytes(),
    );
    let length = (list.len() as u32).to_le_bytes();
    bytes.extend(list);
    bytes.extend(
        [
            b"PK\x05\x06",
            &[0; 4][..],
            &count,
            &count,
            &length,
            &place,
            &[0; 2],
        ]
        .concat(),
    );
    bytes
}

/// The pickle of `{"w": tensor of this shape and strides over the float storage "0"}`.
fn table(shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    pickle.extend(
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ",
    );
    pickle.extend(b"K\x00");
    for [rows, columns] in [shape, strides] {
        pickle.extend([b'K', rows, b'K', columns, 0x86]);
    }
    pickle.extend(b"\x89}tRs.");
    pickle
}

fn floats() -> Vec<u8> {
    [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat()
}

fn held(bytes: &[u8]) -> FileBytes {
    FileBytes::held(bytes.to_vec())
}

fn refused(bytes: &[u8]) -> PytorchProblem {
    entries(&held(bytes)).expect_err("the file lies")
}

#[test]
fn strides_say_where_the_numbers_are() {
    let bytes = archive(&[("data.pkl", &table([2, 3], [1, 2])), ("data/0", &floats())], 0);
    let bytes = held(&bytes);
    let entries = entries(&bytes).expect("a sound file");
    let tensor = |orientation| {
        let tensor = entries["w"].tensor(&bytes, FloatType::F32, orientation);
        let tensor = tensor.expect("the bytes are in memory");
        (tensor.shape, tensor.values)
    };
    // Columns lie together: element (i, j) is number i + 2 j.
    let stored = (vec![2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    assert_eq!(tensor(Orientation::Stored), stored);
    let transposed = (vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(tensor(Orientation::Transposed), transposed);
}

#[test]
fn a_tensor_beyond_its_storage_is_refused_by_name() {
    for (shape, strides) in [([2, 4], [4, 1]), ([2, 3], [4, 1]), ([200, 200], [0, 0])] {
        let bytes = archive(&[("data.pkl", &table(shape, strides)), ("data/0", &floats())], 0);
        assert_eq!(refused(&bytes), PytorchProblem::Outside { tensor: "w".into() });
    }
}

#[test]
fn a_missing_storage_is_refused_by_name() {
    let bytes = archive(&[("data.pkl", &table([2, 3], [3, 1]))], 0);
    assert_eq!(
        refused(&bytes),
        PytorchProblem::MissingEntry {
            name: "data/0".into()
        }
    );
}

#[test]
fn a_compressed_entry_is_refused_by_name() {
    let bytes = archive(&[("data.pkl", &table([2, 3], [3, 1]))], 8);
    assert_eq!(
        refused(&bytes),
        PytorchProblem::Compressed {
            name: "data.pkl".into()
        }
    );
}

#[test]
fn the_other_order_of_bytes_is_refused() {
    let bytes = archive(&[("data.pkl", &table([2, 3], [3, 1])), ("byteorder", b"big")], 0);
    assert_eq!(refused(&bytes), PytorchProblem::BigEndian);
}

#[test]
fn a_call_is_never_made_and_leaves_no_tensor() {
    let pickle = b"\x80\x02}X\x01\x00\x00\x00wcos\nsystem\nX\x02\x00\x00\x00ls\x85Rs.";
    let bytes = archive(&[("data.pkl", pickle)], 0);
    assert!(
        entries(&held(&bytes))
            .expect("a table without tensors")
            .is_empty()
    );
}

#[test]
fn values_nested_without_end_are_refused() {
    // Tuples of one, lists in lists, and a call that hands its argument on.
    let nested: [(&[u8], &[u8]); 3] = [
        (b")", b"\x85"),
        (b"", b"]"),
        (b")", b"\x85\x85q\x00ctorch._utils\n_rebuild_parameter\nh\x00R"),
    ];
    for (start, step) in nested {
        let mut pickle = [b"\x80\x02", start, &step.repeat(300_000)[..]].concat();
        pickle.extend(b"a".repeat(300_000));
        pickle.push(b'.');
        let bytes = archive(&[("data.pkl", &pickle)], 0);
        assert!(
            matches!(refused(&bytes), PytorchProblem::Nested { most: 100, .. }),
            "{step:?}"
        );
    }
}

#[test]
fn an_unknown_instruction_is_refused_with_its_place() {
    let bytes = archive(&[("data.pkl", b"\x80\x02\xff.")], 0);
    assert_eq!(refused(&bytes), PytorchProblem::Instruction { code: 0xff, at: 2 });
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_or_with_a_wrong_byte_never_panics(cut in 0_usize..600, place in 0_usize..600, byte: u8) {
        let mut bytes = archive(&[("data.pkl", &table([2, 3], [3, 1])), ("data/0", &floats())], 0);
        let length = bytes.len();
        bytes[place % length] = byte;
        let _ = entries(&held(&bytes));
        bytes.truncate(cut % length);
        let _ = entries(&held(&bytes));
    }
}
