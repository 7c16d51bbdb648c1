//! Prompts and completions as tokens, and text from tokens as they come.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lora_data::{Completion, DataError, Targets, TextTokenizer, TokenizerError};

/// Words, and the two bytes of `ä` as tokens of their own.
const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
    "added_tokens": [{"id": 0, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "vocab": {"</s>": 0, "a": 1, "b": 2, "c": 3, "Ġ": 4, "Ã": 5, "¤": 6, "Ġa": 7}, "merges": [["Ġ", "a"]]}}"#;

fn tokenizer() -> TextTokenizer {
    TextTokenizer::from_bytes(TOKENIZER.as_bytes(), "tokenizer.json").unwrap()
}

fn completion(prompt: &str, completion: &str) -> Completion {
    Completion {
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
    }
}

#[test]
fn the_completion_and_its_end_are_targets_and_the_prompt_is_not() {
    let rows = [completion("ab", "ca"), completion("c", "b")];
    let encoded = tokenizer().encode_completions(&rows, true, 0, 16).unwrap();
    assert_eq!(encoded.dataset.encoded[0].input_ids, [1, 2, 3, 1, 0]);
    assert_eq!(encoded.dataset.encoded[1].input_ids, [3, 2, 0]);
    // Each position has the token after it, from the last token of the prompt on.
    let targets = Targets::Positions(vec![
        vec![None, Some(3), Some(1), Some(0), None],
        vec![Some(2), Some(0), None],
    ]);
    assert_eq!(encoded.dataset.targets, targets);
    assert_eq!(
        (encoded.dataset.truncated, encoded.left_out, targets.judged()),
        (0, 0, 5)
    );
}

#[test]
fn a_long_row_loses_its_end_and_a_prompt_without_room_is_left_out() {
    let rows = [completion("ab", "cabc"), completion("abcabc", "a")];
    let encoded = tokenizer().encode_completions(&rows, true, 0, 4).unwrap();
    assert_eq!(encoded.dataset.encoded.len(), 1);
    assert_eq!(encoded.dataset.encoded[0].input_ids, [1, 2, 3, 1]);
    assert_eq!((encoded.dataset.truncated, encoded.left_out), (1, 1));
    let error = tokenizer()
        .encode_completions(&rows[1..], true, 0, 4)
        .unwrap_err();
    assert!(matches!(
        error,
        TokenizerError::NoRoom {
            prompts: 1,
            max_length: 4
        }
    ));
    assert!(
        DataError::from(error)
            .to_string()
            .contains("raise the maximal length")
    );
}

#[test]
fn a_character_comes_with_the_last_of_its_tokens() {
    let tokenizer = tokenizer();
    let mut stream = tokenizer.stream();
    let pieces: Vec<String> = [1, 5, 6, 7, 0, 2]
        .into_iter()
        .map(|id| stream.push(id).unwrap())
        .collect();
    assert_eq!(pieces, ["a", "", "ä", " a", "", "b"]);
}
