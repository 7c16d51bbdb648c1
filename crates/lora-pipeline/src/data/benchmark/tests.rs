//! What of a benchmark is trained on, chooses and is scored.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;

use lora_data::tasks;

use super::*;

const SHARES: Shares = Shares {
    validation: 0.25,
    test: 0.25,
    seed: 3,
};

fn sentences(rows: usize, with_label: bool) -> String {
    let mut lines = vec![if with_label { "sentence\tlabel" } else { "sentence" }.to_owned()];
    for row in 0..rows {
        let label = if with_label { ["\t0", "\t1"][row % 2] } else { "" };
        lines.push(format!("sentence number {row}{label}"));
    }
    lines.join("\n")
}

fn counts(split: &SplitRows) -> [Option<usize>; 3] {
    let count = |rows: &Option<Rows>| rows.as_ref().map(Rows::len);
    [
        Some(split.train.len()),
        count(&split.validation),
        count(&split.test),
    ]
}

#[test]
fn rows_that_numbers_are_published_for_never_choose_anything() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    let split = || read_folder(tasks::find("sst2").unwrap(), folder.path(), SHARES);
    write("train.tsv", sentences(12, true));
    assert_eq!(counts(&split().unwrap()), [Some(9), Some(3), None]);
    write("dev.tsv", sentences(4, true));
    // GLUE's test rows have no labels: dev.tsv is the test.
    write("test.tsv", sentences(5, false));
    let hidden = split().unwrap();
    assert_eq!(counts(&hidden), [Some(9), Some(3), Some(4)]);
    assert_eq!(hidden, split().unwrap(), "one seed, one split");
    assert!(hidden.notes.iter().any(|note| note.contains("with seed 3")));
    write("test.tsv", sentences(5, true));
    assert_eq!(counts(&split().unwrap()), [Some(12), Some(4), Some(5)]);
    let scored = read_scored(tasks::find("sst2").unwrap(), folder.path(), None, None).unwrap();
    assert_eq!((scored.name, scored.rows.len()), ("test", 5));
}

#[test]
fn what_cannot_be_trained_on_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_folder(tasks::find("mmlu").unwrap(), folder.path(), SHARES).unwrap_err();
    assert!(error.to_string().contains("no training rows"), "{error}");
    let file = folder.path().join("train.tsv");
    fs::write(&file, sentences(4, true)).unwrap();
    let error = read_folder(tasks::find("sst2").unwrap(), &file, SHARES).unwrap_err();
    assert!(error.to_string().contains("is a file"), "{error}");
    let error = read_folder(tasks::find("rte").unwrap(), folder.path(), SHARES).unwrap_err();
    assert!(error.to_string().contains("train.tsv"), "{error}");
}

#[test]
fn hidden_labels_are_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.tsv"), sentences(5, false)).unwrap();
    let sst2 = tasks::find("sst2").unwrap();
    let error = read_scored(sst2, folder.path(), Some("test"), None).unwrap_err();
    assert!(error.to_string().contains("has no labels"), "{error}");
    let error = read_scored(sst2, folder.path(), Some("tets"), None).unwrap_err();
    assert!(error.to_string().contains("did you mean `test`?"), "{error}");
}
