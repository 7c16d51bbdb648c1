//! GGUF files give the numbers that gguf-py reads from them (`golden/make_gguf.py`), and damaged ones are refused.

use std::path::{Path, PathBuf};

use lora_core::tensors::{Orientation, TensorFile};
use lora_models::gguf::{Gguf, GgufError, Setting};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn bytes() -> Vec<u8> {
    std::fs::read(golden("gguf.gguf")).unwrap()
}

#[test]
fn every_type_gives_the_numbers_of_gguf_py() {
    let gguf = Gguf::open(&golden("gguf.gguf")).unwrap();
    let expected = TensorFile::open(&golden("gguf.safetensors")).unwrap();
    let names: Vec<&str> = expected.names().collect();
    assert_eq!(gguf.names().collect::<Vec<_>>(), names);
    assert_eq!(names.len(), 11);
    for name in names {
        let expected = expected.read(name).unwrap().unwrap();
        let found = gguf.read(name, Orientation::Stored).unwrap().unwrap();
        assert_eq!(found.shape, expected.shape, "{name}");
        for (index, (found, expected)) in found.values.iter().zip(&expected.values).enumerate() {
            // Products of three factors may be rounded in another order.
            let tolerance = 1e-6 * expected.abs().max(1e-3);
            assert!(
                (found - expected).abs() <= tolerance,
                "{name}[{index}]: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn settings_of_every_kind_are_read() {
    let gguf = Gguf::open(&golden("gguf.gguf")).unwrap();
    assert_eq!(gguf.setting("test.integer"), Some(&Setting::Integer(42)));
    assert_eq!(gguf.setting("test.float"), Some(&Setting::Float(0.25)));
    assert_eq!(gguf.setting("test.text").unwrap().as_text(), Some("Wärme ▁ text"));
    let list = gguf.setting("test.list").unwrap().as_list().unwrap();
    let list: Vec<_> = list.iter().filter_map(Setting::as_text).collect();
    assert_eq!(list, ["a", "b c", ""]);
    assert_eq!(gguf.setting("absent"), None);
}

#[test]
fn a_file_that_is_cut_short_is_refused_wherever_it_ends() {
    let whole = bytes();
    // The last tensor is followed by up to 31 bytes that are no part of it.
    for end in (0..whole.len() - 32).step_by(97).chain([3, 4, 8, 23, 24]) {
        assert!(
            Gguf::from_bytes(whole[..end].to_vec(), Path::new("short.gguf")).is_err(),
            "{end} bytes of {}",
            whole.len()
        );
    }
}

#[test]
fn absurd_counts_are_refused_before_anything_is_allocated() {
    for place in [8, 16] {
        let mut lying = bytes();
        lying[place..place + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        let error = Gguf::from_bytes(lying, Path::new("lying.gguf")).unwrap_err();
        assert!(matches!(error, GgufError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn another_format_and_another_version_are_named() {
    let error = Gguf::from_bytes(b"PK\x03\x04 zip".to_vec(), Path::new("a.gguf")).unwrap_err();
    assert!(matches!(error, GgufError::Magic { .. }), "{error}");
    let mut old = bytes();
    old[4] = 1;
    let error = Gguf::from_bytes(old, Path::new("old.gguf")).unwrap_err();
    assert!(error.to_string().contains("version 1"), "{error}");
}

#[test]
fn a_table_of_tokens_without_axes_is_refused_by_name() {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let integer = |name: &str, value: u32| {
        [
            text(&format!("llama.{name}")),
            vec![4, 0, 0, 0],
            value.to_le_bytes().to_vec(),
        ]
        .concat()
    };
    let architecture = [text("general.architecture"), vec![8, 0, 0, 0], text("llama")].concat();
    let table = [text("token_embd.weight"), vec![0; 4], vec![0; 4], vec![0; 8]].concat();
    let header = [
        b"GGUF".to_vec(),
        3_u32.to_le_bytes().to_vec(),
        1_u64.to_le_bytes().to_vec(),
        2_u64.to_le_bytes().to_vec(),
        architecture,
        integer("embedding_length", 8),
        table,
    ];
    // Room for alignment and for the one number.
    let bytes = [header.concat(), vec![0; 64]].concat();
    let gguf = Gguf::from_bytes(bytes, Path::new("odd.gguf")).unwrap();
    let error = gguf.into_checkpoint().unwrap_err();
    assert!(error.to_string().contains("token_embd.weight"), "{error}");
}

#[test]
fn a_file_without_settings_of_a_model_is_refused_by_key() {
    let error = Gguf::open(&golden("gguf.gguf"))
        .unwrap()
        .into_checkpoint()
        .unwrap_err();
    assert!(error.to_string().contains("token_embd.weight"), "{error}");
}
