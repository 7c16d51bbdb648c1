//! Tagged words: their files, and which token stands for which word.

use lora_data::tasks::{Rows, TagRule, TaggedSentence, TaggedWords, read_words};
use lora_data::{DataError, LabelNames, Targets, WordPlace};
use serde::Deserialize;

use super::windows::minilm;
use super::{folder, read};

fn tagged(split: Result<lora_data::tasks::ReadSplit, DataError>) -> TaggedWords {
    match split.unwrap().rows {
        Rows::Words(words) => words,
        other => panic!("{other:?}"),
    }
}

fn names(words: &TaggedWords, sentence: usize) -> Vec<&str> {
    let tags = words.sentences[sentence].tags.as_ref().unwrap();
    tags.iter().map(|tag| words.tags.name(*tag)).collect()
}

#[test]
fn columns_and_lists_are_read_alike() {
    let conll =
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nrows VB B-VP O\n\n\nIn IN B-PP O\nYork NNP B-NP B-LOC\n";
    let columns = tagged(read("words", "train", "train.conll", conll));
    let tabs = "Ada\tB-PER\nrows\tO\r\n\r\nIn\tO\nYork\tB-LOC";
    let jsonl = "{\"tokens\": [\"Ada\", \"rows\"], \"ner_tags\": [\"B-PER\", \"O\"]}\n{\"tokens\": [\"In\", \"York\"], \"ner_tags\": [\"O\", \"B-LOC\"]}";
    assert_eq!(columns, tagged(read("words", "train", "train.tsv", tabs)));
    assert_eq!(columns, tagged(read("words", "train", "train.jsonl", jsonl)));
    assert_eq!(columns.tags.names(), ["O", "B-LOC", "B-PER"]);
    assert_eq!(columns.sentences[1].words, ["In", "York"]);
    assert_eq!(names(&columns, 1), ["O", "B-LOC"]);
}

#[test]
fn numbers_stand_for_the_names_of_conll2003() {
    let jsonl = "{\"tokens\": [\"Ada\", \"rows\", \"York\"], \"ner_tags\": [1, 0, 5]}";
    let words = tagged(read("conll2003", "validation", "valid.jsonl", jsonl));
    assert_eq!(
        (words.tags.len(), names(&words, 0)),
        (9, vec!["B-PER", "O", "B-LOC"])
    );
}

#[test]
fn known_names_are_kept_and_tags_that_are_not_read_need_not_be_there() {
    let known = LabelNames::new(["O", "B-PER", "B-LOC"]).unwrap();
    let folder = folder(&[("a.conll", b"Ada O\nrows B-LOC\n"), ("b.conll", b"Ada\nrows\n")]);
    let path = |name: &str| folder.path().join(name);
    let words = read_words(&[path("a.conll")], TagRule::Known(&known)).unwrap();
    assert_eq!(words.sentences[0].tags, Some(vec![0, 2]));
    let words = read_words(&[path("b.conll")], TagRule::NotRead(&known)).unwrap();
    assert_eq!(
        (words.sentences[0].words.len(), &words.sentences[0].tags),
        (2, &None)
    );
    let error = read_words(&[path("b.conll")], TagRule::Known(&known))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("b.conll`, line 1: 1 column, expected 2"),
        "{error}"
    );
}

#[test]
fn tags_by_index_are_told_where_no_set_fixes_their_order() {
    let known = LabelNames::new(["O", "B-LOC", "B-PER"]).unwrap();
    let read = |task: &str, tags: &str| {
        let jsonl = format!("{{\"tokens\": [\"Ada\", \"rows\"], \"ner_tags\": {tags}}}");
        let folder = folder(&[("a.jsonl", jsonl.as_bytes())]);
        let benchmark = lora_data::tasks::find(task).unwrap();
        benchmark.read_with_names(folder.path().join("a.jsonl"), "test", Some(&known))
    };
    let by_index = read("words", "[2, 0]").unwrap();
    assert_eq!(by_index.index_tag.as_deref(), Some("2"));
    assert_eq!(names(&tagged(Ok(by_index)), 0), ["B-PER", "O"]);
    assert_eq!(read("words", "[\"B-PER\", \"O\"]").unwrap().index_tag, None);
    assert_eq!(read("conll2003", "[2, 0]").unwrap().index_tag, None);
    // Where there are no names yet, the numbers are them.
    let jsonl = "{\"tokens\": [\"Ada\", \"rows\"], \"tags\": [2, 0]}";
    assert_eq!(
        super::read("words", "train", "train.jsonl", jsonl)
            .unwrap()
            .index_tag,
        None
    );
}

#[test]
fn a_tag_that_the_loss_skips_is_no_class() {
    let jsonl = "{\"tokens\": [\"Ada\", \"rows\"], \"tags\": [1, 0]}\n{\"tokens\": [\"x\", \"y\"], \"tags\": [-100, 1]}";
    let error = read("words", "train", "train.jsonl", jsonl)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2: `tag` is -100") && error.contains("for each word"),
        "{error}"
    );
}

/// `tests/golden/words.json`, made by `make_words.py` beside it.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    sentence: Vec<String>,
    input_ids: Vec<u32>,
    words: Vec<Option<usize>>,
}

fn sentence(words: &[String]) -> TaggedSentence {
    let tags = (0..words.len()).map(|word| word % 3).collect();
    TaggedSentence {
        words: words.to_vec(),
        tags: Some(tags),
    }
}

fn of(sentences: Vec<TaggedSentence>) -> TaggedWords {
    TaggedWords {
        sentences,
        tags: LabelNames::new(["O", "B-X", "I-X"]).unwrap(),
    }
}

#[test]
fn tokens_of_words_are_those_of_transformers_and_the_first_one_has_the_tag() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/words.json")).unwrap();
    let words = of(golden.cases.iter().map(|case| sentence(&case.sentence)).collect());
    let encoded = minilm().encode_words(&words, 64).unwrap();
    assert_eq!(encoded.cut, 0);
    let Targets::Positions(targets) = &encoded.dataset.targets else {
        panic!("tags are known");
    };
    for (row, case) in golden.cases.iter().enumerate() {
        assert_eq!(
            encoded.dataset.encoded[row].input_ids, case.input_ids,
            "{:?}",
            case.sentence
        );
        for (token, word) in case.words.iter().enumerate() {
            let is_first = word.is_some() && (token == 0 || case.words[token - 1] != *word);
            let place = word.filter(|_| is_first).map(|word| WordPlace {
                sentence: row,
                word,
                token,
            });
            let found = encoded.words[row].iter().find(|place| place.token == token);
            assert_eq!(found.copied(), place);
            assert_eq!(targets[row][token], place.map(|place| (place.word % 3) as u32));
        }
    }
}

#[test]
fn a_sentence_that_is_too_long_loses_no_word() {
    let words: Vec<String> = (0..40).map(|word| format!("re-tokenized{word}")).collect();
    let encoded = minilm().encode_words(&of(vec![sentence(&words)]), 24).unwrap();
    assert_eq!(encoded.cut, 1);
    assert!(encoded.dataset.lengths().iter().all(|length| *length <= 24));
    let found: Vec<usize> = encoded.words.iter().flatten().map(|place| place.word).collect();
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    // A word that is longer than a row keeps its first tokens, and its tag.
    let long = vec!["re-tokenized".repeat(30), "x".to_owned()];
    let encoded = minilm().encode_words(&of(vec![sentence(&long)]), 12).unwrap();
    assert_eq!(encoded.words.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    assert!(minilm().encode_words(&of(vec![sentence(&long)]), 2).is_err());
}
