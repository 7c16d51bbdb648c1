//! Files of a model that are none.

use std::path::Path;

use lora_data::{LabelNames, TextTokenizer};

use super::sentence_of;

#[test]
fn a_tokenizer_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let missing = sentence_of(&TextTokenizer::from_file(&path).unwrap_err());
    assert!(
        missing.contains("tokenizer.json`: there is no such file"),
        "{missing}"
    );
    for content in ["", "{}", "{\"version\": \"1.0\""] {
        std::fs::write(&path, content).unwrap();
        let sentence = sentence_of(&TextTokenizer::from_file(&path).unwrap_err());
        assert!(
            sentence.contains("tokenizer.json`: not a tokenizer") && sentence.contains("of the model"),
            "{sentence}"
        );
    }
    let config =
        LabelNames::from_config_json("{\"id2label\": {\"0\": 1}}", Path::new("m/config.json")).unwrap_err();
    assert!(
        sentence_of(&config).contains("`m/config.json`, line 1, column"),
        "{config}"
    );
}

#[test]
fn a_tokenizer_that_the_library_would_choke_on() {
    let long = "x".repeat(2001);
    for (part, expected) in [
        (
            r#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "/P//f3Jlc3Q="}"#.to_owned(),
            "promises a table of 2147483644 bytes, and holds 4",
        ),
        (
            format!("\n\"decoder\": \"{long}\""),
            "the text in line 2 has 2001 bytes, more than the 2000",
        ),
    ] {
        let file = format!(r#"{{"version": "1.0", {part}, "model": {{}}}}"#);
        let sentence =
            sentence_of(&TextTokenizer::from_bytes(file.as_bytes(), "tokenizer.json").unwrap_err());
        assert!(
            sentence.contains("`tokenizer.json`: not a tokenizer") && sentence.contains(expected),
            "{sentence}"
        );
    }
}
