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
