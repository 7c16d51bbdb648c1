//! Files with a mistake: the message names file, line and cell, and how to fix it.

use super::{read, read_from};

/// Task, split, name and content of a file, and what the message says.
type Mistake = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const MISTAKES: [Mistake; 20] = [
    (
        "cola",
        "train",
        "train.tsv",
        "a\t1\t\tFine.\na\t1\tFine.\n",
        &["train.tsv`, line 2", "3 fields, but the first row has 4"],
    ),
    (
        "cola",
        "train",
        "train.tsv",
        "a\t1\t\tFine.\na\t2\t\tFine.\n",
        &["line 2", "label `2`", "`unacceptable`, `acceptable`"],
    ),
    (
        "cola",
        "train",
        "train.tsv",
        "a\t\t\tFine.\n",
        &["line 1", "`label` has no value", "fill it in or remove the row"],
    ),
    (
        "sst2",
        "train",
        "train.tsv",
        "sentence\tlabel\n \t1\n",
        &["line 2", "the text in `sentence` is empty"],
    ),
    (
        "sst2",
        "train",
        "train.tsv",
        "it floats\t1\nit sinks\t0\n",
        &["no text column has a default name", "if the first row is data"],
    ),
    (
        "sst2",
        "validation",
        "dev.tsv",
        "sentence\nit floats\n",
        &[
            "no label column",
            "name the label column, or, if the first row is data, read the file without a header; the columns are `sentence`",
        ],
    ),
    (
        "stsb",
        "train",
        "train.csv",
        "sentence1,sentence2,score\na,b,high\n",
        &["line 2", "`high` in `score` is not a finite number"],
    ),
    (
        "trec",
        "train",
        "train_5500.label",
        "NUM:dist How far ?\nNUM How far ?\n",
        &["line 2", "as in `NUM:dist How far is it?`"],
    ),
    (
        "trec",
        "train",
        "train_5500.label",
        "NMU:dist How far ?\n",
        &["line 1", "label `NMU`", "did you mean `NUM`?"],
    ),
    (
        "clinc150",
        "train",
        "data_full.json",
        "{\"train\": [[\"a\"]]}",
        &["line 1", "a pair of query and intent"],
    ),
    (
        "clinc150",
        "oos_test",
        "data_full.json",
        "{\"train\": [[\"a\", \"b\"]]}",
        &["there is no list `oos_test`"],
    ),
    (
        "squad",
        "train",
        "train.json",
        "{\"data\": [{\"paragraphs\": [{\"context\": \"a\"}]}]}",
        &["line 1, column", "missing field `qas`"],
    ),
    (
        "squad",
        "train",
        "train.json",
        r#"{"data": [{"paragraphs": [{"context": "Built in 1871.", "qas": [{"id": "q7", "question": "When?",
                "answers": [{"text": "1871", "answer_start": 8}]}]}]}]}"#,
        &[
            "question `q7`",
            "does not have `1871` at character 8",
            "counts characters from 0",
        ],
    ),
    (
        "spans",
        "train",
        "train.csv",
        "question,context,answer\nWhen?,Built in 1871.,1872\n",
        &["line 2", "does not hold the answer `1872`"],
    ),
    (
        "choices",
        "train",
        "train.csv",
        "question,A,B,answer\nWhat?,x,y,C\n",
        &["line 2", "the answer `C` names none of the 2 choices"],
    ),
    (
        "choices",
        "train",
        "train.csv",
        "question,A,B,C,answer\nTwo and two?,4,2,5,1\nOne and one?,4,3,2,2\n",
        &[
            "line 3: the answer `2` is the number of a choice",
            "the text of choice 3",
            "write the letter",
        ],
    ),
    (
        "choices",
        "train",
        "train.jsonl",
        "{\"question\": \"q\", \"choices\": [\"x\"], \"answer\": 0}\n",
        &["line 1", "has 1 choice,"],
    ),
    (
        "words",
        "train",
        "train.tsv",
        "Ada\tB-PER\n\tO\nrows\tO\n",
        &["line 2", "the text in `word` is empty"],
    ),
    (
        "boolq",
        "train",
        "train.json",
        r#"[{"instruction": "Is it?", "answer": "true"}]"#,
        &["line 1", "no question with its choices is found in `instruction`"],
    ),
    (
        "instructions",
        "train",
        "train.jsonl",
        "{\"prompt\": \"a\", \"output\": 5}\n",
        &["line 1", "`output` is a number"],
    ),
];

#[test]
fn a_mistake_is_told_with_its_place_and_its_mend() {
    for (task, split, name, content, expected) in MISTAKES {
        let error = read(task, split, name, content)
            .map(|read| read.rows.len())
            .unwrap_err()
            .to_string();
        for part in expected {
            assert!(error.contains(part), "{task}: {error:?} does not say {part:?}");
        }
    }
}

#[test]
fn a_lost_choice_is_a_mistake_in_a_file_of_the_users() {
    let error = read("choices", "train", "train.csv", "What floats?,a stone,a cork,E\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 1: the answer `E` names none of the 2 choices"),
        "{error}"
    );
}

#[test]
fn two_questions_with_one_id_are_refused() {
    let rows =
        "{\"id\": \"x\", \"question\": \"Who?\", \"context\": \"Ana.\", \"answer\": \"Ana\"}\n".repeat(2);
    let error = read("spans", "train", "train.jsonl", &rows)
        .unwrap_err()
        .to_string();
    assert!(error.contains("two questions have the id `x`"), "{error}");
}

#[test]
fn a_file_that_is_no_parquet_is_refused() {
    let error = read_from("cola", "train", &[("train.parquet", b"not a table")])
        .unwrap_err()
        .to_string();
    let built = cfg!(feature = "parquet");
    assert!(
        error.contains(if built {
            "not readable as Parquet"
        } else {
            "feature `parquet`"
        }),
        "{error}"
    );
}
