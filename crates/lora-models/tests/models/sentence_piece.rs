//! Folders with a SentencePiece model and no `tokenizer.json` give the ids of Transformers' converters and of SentencePiece
//! (`golden/make_sentence_piece.py`).
//!
//! The models are small and of few replacements. Where `LORA_SENTENCE_PIECE` names a folder that the script wrote with
//! another rule, that is tested too.

use std::fs;
use std::path::{Path, PathBuf};

use lora_data::{Example, TextTokenizer};
use lora_models::{Checkpoint, LoadError};
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Case>,
    pair: Pair,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    /// By Transformers' converter, special tokens included.
    ids: Vec<u32>,
    /// By SentencePiece itself.
    pieces: Vec<u32>,
    agree: bool,
    decoded: String,
}

#[derive(Deserialize)]
struct Pair {
    texts: [String; 2],
    ids: Vec<u32>,
    type_ids: Vec<u32>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sentence_piece")
}

/// A checkpoint needs weights, whatever they are.
fn checkpoint(folder: &Path) -> Result<Checkpoint, LoadError> {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let none: [(&str, safetensors::tensor::TensorView<'_>); 0] = [];
    fs::write(
        copy.path().join("model.safetensors"),
        safetensors::serialize(none, None).unwrap(),
    )
    .unwrap();
    Checkpoint::open(copy.path())
}

fn tokenizer(folder: &Path) -> TextTokenizer {
    let made = checkpoint(folder).unwrap().tokenizer.unwrap();
    TextTokenizer::from_bytes(&made, "tokenizer.json").unwrap()
}

#[test]
fn every_family_gives_the_ids_of_transformers_and_of_sentencepiece() {
    let given = std::env::var_os("LORA_SENTENCE_PIECE").map(PathBuf::from);
    let (mut folders, mut agreed) = (0, 0);
    for folder in [Some(golden()), given].into_iter().flatten() {
        for entry in fs::read_dir(folder).unwrap() {
            let folder = entry.unwrap().path();
            let tokenizer = tokenizer(&folder);
            let golden: Golden = serde_json::from_slice(&fs::read(folder.join("ids.json")).unwrap()).unwrap();
            for text in golden.texts {
                let ids = |special| tokenizer.encode_prompt(&text.text, special).unwrap();
                let what = format!("{}: {:?}", folder.display(), text.text);
                assert_eq!(ids(true), text.ids, "{what}");
                let plain = ids(false);
                assert_eq!(tokenizer.decode(&plain).unwrap(), text.decoded, "{what}");
                if text.agree {
                    assert_eq!(plain, text.pieces, "{what}");
                    agreed += 1;
                }
            }
            let [first, second] = golden.pair.texts;
            let example = Example {
                text: first,
                text_pair: Some(second),
                target: None,
            };
            let encoded = &tokenizer.encode_all(&[example]).unwrap()[0];
            assert_eq!(encoded.input_ids, golden.pair.ids, "{}", folder.display());
            assert_eq!(
                encoded.token_type_ids,
                golden.pair.type_ids,
                "{}",
                folder.display()
            );
            folders += 1;
        }
    }
    assert!(folders >= 4 && agreed >= 60, "{folders} folders, {agreed} texts");
}
