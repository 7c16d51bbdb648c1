//! Token ids against those of Transformers, and what the tokenizer's settings do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use lora_data::{DataError, Dataset, Example, Padding, Target, Targets, Task, TextTokenizer, TokenizerError};
use serde::Deserialize;

/// `tests/golden/tokens.json`, made by `make_tokens.py` beside it.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    pair: Option<String>,
    max_length: Option<usize>,
    input_ids: Vec<u32>,
    token_type_ids: Vec<u32>,
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn minilm() -> TextTokenizer {
    TextTokenizer::from_file(manifest().join("../../assets/minilm-l6/tokenizer.json")).unwrap()
}

fn example(text: &str, pair: Option<&str>) -> Example {
    Example {
        text: text.to_owned(),
        text_pair: pair.map(str::to_owned),
        target: None,
    }
}

/// A tokenizer of whole words without special tokens and without a padding section, as GPT-2's is.
fn words(vocabulary: &str) -> TextTokenizer {
    let json = format!(
        r#"{{"version": "1.0", "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
            "truncation": null, "padding": null, "pre_tokenizer": {{"type": "WhitespaceSplit"}},
            "model": {{"type": "WordLevel", "unk_token": "a", "vocab": {vocabulary}}}}}"#
    );
    TextTokenizer::from_bytes(json.as_bytes(), "words/tokenizer.json").unwrap()
}

#[test]
fn token_ids_are_those_of_transformers() {
    let golden = std::fs::read_to_string(manifest().join("tests/golden/tokens.json")).unwrap();
    let golden: Golden = serde_json::from_str(&golden).unwrap();
    assert!(golden.cases.len() > 100);
    for case in golden.cases {
        let tokenizer = match case.max_length {
            Some(max_length) => minilm_once().clone().with_max_length(max_length).unwrap(),
            None => minilm_once().clone(),
        };
        let encoded = tokenizer
            .encode_all(&[example(&case.text, case.pair.as_deref())])
            .unwrap();
        let about = format!("{:?} + {:?} to {:?}", case.text, case.pair, case.max_length);
        assert_eq!(encoded[0].input_ids, case.input_ids, "{about}");
        assert_eq!(encoded[0].token_type_ids, case.token_type_ids, "{about}");
    }
}

fn minilm_once() -> &'static TextTokenizer {
    static TOKENIZER: std::sync::OnceLock<TextTokenizer> = std::sync::OnceLock::new();
    TOKENIZER.get_or_init(minilm)
}

#[test]
fn a_long_text_loses_its_end_or_where_that_is_asked_for_its_beginning() {
    let tokenizer = words(r#"{"a": 0, "b": 1, "c": 2, "d": 3}"#);
    let tokenizer = tokenizer.with_max_length(3).unwrap();
    let ids = |tokenizer: &TextTokenizer| {
        let encoded = tokenizer.encode_all(&[example("a b c d", None)]).unwrap();
        encoded[0].input_ids.clone()
    };
    assert_eq!(ids(&tokenizer), [0, 1, 2]);
    assert_eq!(ids(&tokenizer.cut_at_beginning(true)), [1, 2, 3]);
}

#[test]
fn the_padding_and_truncation_of_the_file_are_overridden() {
    // The file asks for exactly 128 tokens, padded and cut.
    let long = "word ".repeat(300);
    let encoded = minilm_once()
        .encode_all(&[example("one two", None), example(&long, None)])
        .unwrap();
    assert_eq!(
        encoded.iter().map(lora_data::Encoded::len).collect::<Vec<_>>(),
        [4, 302]
    );
}

#[test]
fn the_number_of_truncated_examples_is_reported() {
    let tokenizer = minilm_once().clone().with_max_length(6).unwrap();
    // [CLS] w w w w [SEP] is just 6.
    let examples: Vec<Example> = ["one", "one two three four", "one two three four five"]
        .iter()
        .map(|text| example(text, None))
        .collect();
    let (encoded, truncated) = tokenizer.encode_all_counted(&examples).unwrap();
    assert_eq!(
        encoded.iter().map(lora_data::Encoded::len).collect::<Vec<_>>(),
        [3, 6, 6]
    );
    assert_eq!(truncated, 1);
    for (place, example) in examples.iter().enumerate() {
        let alone = tokenizer.encode_example(example).unwrap();
        assert_eq!(alone, (encoded[place].clone(), place == 2), "the same alone");
    }
}

#[test]
fn truncation_is_counted_without_special_tokens_too() {
    let tokenizer = words(r#"{"a": 0, "b": 1, "[PAD]": 2}"#)
        .with_max_length(3)
        .unwrap();
    let examples = ["a b a", "a b a b", "a b a b a b a", "a"].map(|text| example(text, None));
    let (encoded, truncated) = tokenizer.encode_all_counted(&examples).unwrap();
    assert_eq!(
        encoded.iter().map(lora_data::Encoded::len).collect::<Vec<_>>(),
        [3, 3, 3, 1]
    );
    assert_eq!(truncated, 2);
}

#[test]
fn many_examples_come_back_in_order() {
    let tokenizer = words(r#"{"a": 0, "b": 1, "c": 2}"#);
    let texts = ["a", "b b", "c c c"];
    let examples: Vec<Example> = (0..2500).map(|row| example(texts[row % 3], None)).collect();
    let encoded = tokenizer.encode_all(&examples).unwrap();
    assert_eq!(encoded.len(), 2500);
    assert!(
        encoded
            .iter()
            .enumerate()
            .all(|(row, encoded)| encoded.input_ids == vec![(row % 3) as u32; row % 3 + 1])
    );
}

#[test]
fn the_padding_token_is_told_or_given() {
    assert_eq!(minilm_once().pad_id().unwrap(), 0);
    assert_eq!(words(r#"{"a": 0, "<pad>": 5}"#).pad_id().unwrap(), 5);
    let without = words(r#"{"a": 0}"#);
    let error = without.pad_id().unwrap_err().to_string();
    assert!(
        error.contains("`words/tokenizer.json`: the tokenizer has no padding token"),
        "{error}"
    );
    assert_eq!(without.with_pad_id(7).pad_id().unwrap(), 7);
}

#[test]
fn a_length_without_room_for_text_is_refused() {
    let error = minilm_once().clone().with_max_length(4).unwrap_err();
    assert!(matches!(
        error,
        TokenizerError::MaxLengthTooSmall {
            max_length: 4,
            special: 3
        }
    ));
    assert!(error.to_string().contains("give at least 5"));
    for zero in [0, 1] {
        assert!(words(r#"{"a": 0}"#).with_max_length(zero).is_err());
    }
}

#[test]
fn a_text_without_a_token_is_refused_by_its_row() {
    let tokenizer = words(r#"{"a": 0}"#);
    let error = tokenizer
        .encode_all(&[example("a", None), example(" \u{2003} ", None)])
        .unwrap_err();
    assert!(matches!(error, TokenizerError::NoTokens { row: 1, .. }));
}

#[test]
fn a_data_set_becomes_batches_that_lead_back_to_its_rows() {
    let tokenizer = words(r#"{"a": 0, "b": 1, "[PAD]": 9}"#);
    let examples = [("a", 0.5), ("b b b", 1.5), ("a b", 2.5)].map(|(text, value)| Example {
        target: Some(Target::Value(value)),
        ..example(text, None)
    });
    let encoded = tokenizer
        .encode_dataset(&Dataset {
            examples: examples.to_vec(),
            task: Task::Regression,
        })
        .unwrap();
    assert_eq!(encoded.lengths(), [1, 3, 2]);
    let batch = encoded.batch(&[2, 0], Padding::with(tokenizer.pad_id().unwrap()));
    assert_eq!((batch.batch, batch.seq), (2, 2));
    assert_eq!(batch.input_ids, [0, 1, 0, 9]);
    assert_eq!(batch.attention_mask, [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(batch.targets, Targets::Values(vec![2.5, 0.5]));
    assert_eq!(batch.rows, [2, 0]);
}

#[test]
fn a_data_set_with_some_targets_missing_is_refused() {
    let examples = vec![
        Example {
            target: Some(Target::Value(1.0)),
            ..example("a", None)
        },
        Example {
            target: None,
            ..example("a", None)
        },
    ];
    let error = Dataset {
        examples,
        task: Task::Regression,
    }
    .targets()
    .unwrap_err();
    assert!(matches!(
        error,
        DataError::MixedTargets {
            row: 1,
            expected: "a number"
        }
    ));
}

#[test]
fn a_token_beyond_the_models_table_is_named() {
    // The model has 30,522 rows, and as many tokens.
    assert!(minilm_once().check_ids(30_522).is_ok());
    let error = minilm_once().check_ids(30_521).unwrap_err().to_string();
    assert!(
        error.contains("tokenizer.json`: the token `")
            && error.contains("has the id 30521")
            && error.contains("30521 rows"),
        "{error}"
    );
    // Ids stand in the template too, and may leave gaps.
    let file = |special: u32, word: u32| {
        format!(
            r#"{{"version": "1.0", "model": {{"type": "WordLevel", "vocab": {{"a": 0, "b": {word}}}, "unk_token": "a"}},
            "post_processor": {{"type": "TemplateProcessing",
                "single": [{{"SpecialToken": {{"id": "<s>", "type_id": 0}}}}, {{"Sequence": {{"id": "A", "type_id": 0}}}}],
                "pair": [{{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"Sequence": {{"id": "B", "type_id": 1}}}}],
                "special_tokens": {{"<s>": {{"id": "<s>", "ids": [{special}], "tokens": ["<s>"]}}}}}}}}"#
        )
    };
    for (special, word, named) in [
        (2, 1, None),
        (9, 1, Some("`<s>` has the id 9")),
        (2, 7, Some("`b` has the id 7")),
    ] {
        let tokenizer = TextTokenizer::from_bytes(file(special, word).as_bytes(), "tokenizer.json").unwrap();
        let error = tokenizer.check_ids(3).err().map(|error| error.to_string());
        match named {
            None => assert_eq!(error, None),
            Some(named) => assert!(
                error.as_ref().is_some_and(|error| error.contains(named)),
                "{error:?}"
            ),
        }
    }
    let paths: Vec<PathBuf> = vec![manifest().join("../../assets/minilm-l6/config.json")];
    let config = std::fs::read_to_string(&paths[0]).unwrap();
    assert!(config.contains("\"vocab_size\": 30522"));
}
