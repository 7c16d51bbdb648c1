//! Every form of file in UTF-16, and numbers as pandas writes them in columns with gaps.

use super::{read, read_from};

/// Task, split, name of the file and a row or two of ours.
const FILES: [(&str, &str, &str, &str); 9] = [
    (
        "cola",
        "train",
        "train.tsv",
        "a\t1\t\tFür alle.\nb\t0\t\tAlle für.\n",
    ),
    (
        "sst2",
        "train",
        "train.tsv",
        "sentence\tlabel\nschön\t1\nöde\t0\n",
    ),
    (
        "trec",
        "train",
        "train_5500.label",
        "HUM:ind Wer ruderte für Österreich ?\n",
    ),
    (
        "clinc150",
        "train",
        "data_full.json",
        r#"{"train": [["ein Zimmer für zwei", "book"], ["größe", "size"]], "val": [], "test": [], "oos_train": [], "oos_val": [], "oos_test": []}"#,
    ),
    (
        "squad",
        "train",
        "train-v1.1.json",
        r#"{"data": [{"title": "x", "paragraphs": [{"context": "Die Mühle steht am See.", "qas": [{"id": "a", "question": "Wo?", "answers": [{"text": "am See", "answer_start": 16}]}]}]}]}"#,
    ),
    (
        "conll2003",
        "train",
        "train.txt",
        "Jürgen NNP I-NP B-PER\nrudert VBZ I-VP O\n",
    ),
    (
        "mmlu",
        "test",
        "test/anatomy_test.csv",
        "Was schwimmt?,Öl,Blei,Gold,Eisen,A\n",
    ),
    (
        "choices",
        "test",
        "test.csv",
        "question,A,B,answer\nWas schwimmt?,Öl,Blei,A\n",
    ),
    (
        "alpaca",
        "train",
        "alpaca_data.json",
        r#"[{"instruction": "Grüße.", "input": "", "output": "Grüß Gott"}]"#,
    ),
];

#[test]
fn every_form_is_read_in_utf_16_as_in_utf_8() {
    for (task, split, name, content) in FILES {
        let plain = read(task, split, name, content).unwrap_or_else(|error| panic!("{task}: {error}"));
        assert!(!plain.rows.is_empty(), "{task}");
        for units in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{FEFF}"] {
                let bytes: Vec<u8> = format!("{mark}{content}")
                    .encode_utf16()
                    .flat_map(units)
                    .collect();
                let wide = read_from(task, split, &[(name, &bytes)]);
                let wide = wide.unwrap_or_else(|error| panic!("{task}: {error}"));
                assert_eq!(wide.rows, plain.rows, "{task}");
            }
        }
    }
}

#[test]
fn answers_and_labels_may_be_whole_numbers_written_as_decimals() {
    let answers = |name: &str, content: &str| -> Vec<Option<usize>> {
        let questions = read("choices", "test", name, content)
            .unwrap()
            .into_choices()
            .unwrap();
        questions.iter().map(|question| question.answer).collect()
    };
    // A text counts from 1, a JSON number from 0.
    let csv = "question,A,B,answer\nWhat floats?,oil,lead,1.0\nWhat sinks?,oil,lead,2.0\n";
    assert_eq!(answers("test.csv", csv), [Some(0), Some(1)]);
    let json = r#"[{"question": "What floats?", "choices": ["oil", "lead"], "answer": 0.0},
        {"question": "What sinks?", "choices": ["oil", "lead"], "answer": 1.0}]"#;
    assert_eq!(answers("test.json", json), [Some(0), Some(1)]);
    // What is the text of a choice is no number.
    let csv = "question,A,B,answer\nHalf of four?,2.0,1.0,1.0\n";
    assert_eq!(answers("test.csv", csv), [Some(1)]);
    let labels = read("sst2", "train", "train.csv", "sentence,label\na,1.0\nb,0.0\n").unwrap();
    let labels = labels.into_texts().unwrap();
    assert_eq!(super::classes(&labels), ["positive", "negative"]);
}

#[test]
fn instructions_without_any_answer_are_refused_by_row_and_column() {
    let content = r#"[{"instruction": "a", "input": "", "output": ""}, {"instruction": "b", "input": "", "output": " "}]"#;
    let error = read("alpaca", "train", "alpaca_data.json", content)
        .unwrap_err()
        .to_string();
    for part in ["line 1", "`output` is empty", "all 2 rows"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}
