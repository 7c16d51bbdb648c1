//! Real data sets, where the folder that holds them lies beside the checkout; their licences forbid carrying them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use lora_data::{Columns, DataError, EncodingError, LabelRule, ReadFile, ReadOptions, Task, read_file};

/// The folder with the sets, or `None` and a line that says why nothing is tested.
fn sets() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !folder.is_dir() {
        skip("there is no folder shared/data beside the checkout");
        return None;
    }
    Some(folder)
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

fn read(set: &str, options: &ReadOptions) -> Option<ReadFile> {
    let path = sets()?.join(set);
    Some(read_file(&path, options).unwrap_or_else(|error| panic!("{error}")))
}

/// Reads a set whose columns have default names and compares rows, columns and labels.
fn expect(set: &str, rows: usize, columns: &str, labels: &[&str]) {
    let Some(read) = read(set, &ReadOptions::default()) else {
        return;
    };
    assert_eq!(read.dataset.len(), rows, "{set}");
    assert_eq!(read.columns.to_string(), columns, "{set}");
    assert_eq!(read.dataset.task.labels().unwrap().names(), labels, "{set}");
}

#[test]
fn sst2_has_its_rows() {
    expect(
        "sst2/train.tsv",
        67_349,
        "text `sentence`, label `label`",
        &["0", "1"],
    );
    expect("sst2/dev.tsv", 872, "text `sentence`, label `label`", &["0", "1"]);
}

#[test]
fn mrpc_has_its_rows_in_spite_of_bare_quotes() {
    let columns = "texts `#1 String` and `#2 String`, label `Quality`";
    // The corpus has 3,668 pairs for training; this copy of the file has lost one (3,668 lines with the header).
    expect("mrpc/train.tsv", 3_667, columns, &["0", "1"]);
    expect("mrpc/dev.tsv", 408, columns, &["0", "1"]);
}

#[test]
fn rte_has_its_rows() {
    let columns = "texts `sentence1` and `sentence2`, label `label`";
    expect("rte/train.tsv", 2_490, columns, &["entailment", "not_entailment"]);
    expect("rte/dev.tsv", 277, columns, &["entailment", "not_entailment"]);
}

#[test]
fn cola_is_read_by_index() {
    let columns = Columns {
        text: Some(3.into()),
        text_pair: None,
        label: Some(1.into()),
    };
    let options = ReadOptions {
        columns,
        header: false,
        ..ReadOptions::default()
    };
    for (set, rows) in [
        ("cola/in_domain_train.tsv", 8_551),
        ("cola/in_domain_dev.tsv", 527),
        ("cola/out_of_domain_dev.tsv", 516),
    ] {
        let Some(read) = read(set, &options) else { return };
        assert_eq!(read.dataset.len(), rows, "{set}");
        assert_eq!(read.dataset.task.outputs(), 2, "{set}");
    }
}

#[test]
fn stsb_is_a_regression_and_says_so_when_read_as_classes() {
    let options = ReadOptions {
        labels: LabelRule::Values,
        ..ReadOptions::default()
    };
    for (set, rows) in [("stsb/train.tsv", 5_749), ("stsb/dev.tsv", 1_500)] {
        let Some(read) = read(set, &options) else { return };
        assert_eq!(read.dataset.len(), rows, "{set}");
        assert_eq!(read.dataset.task, Task::Regression);
        assert_eq!(
            read.columns.to_string(),
            "texts `sentence1` and `sentence2`, label `score`"
        );
    }
    let Some(folder) = sets() else { return };
    let error = read_file(folder.join("stsb/train.tsv"), &ReadOptions::default()).unwrap_err();
    assert!(
        matches!(error, DataError::DecimalLabel { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn clinc150_is_read_from_its_lists_of_lists() {
    let columns = Columns {
        text: Some(0.into()),
        text_pair: None,
        label: Some(1.into()),
    };
    for (set, field, rows) in [
        ("clinc150/data_full.json", "train", 15_000),
        ("clinc150/data_full.json", "val", 3_000),
        ("clinc150/data_full.json", "test", 4_500),
        ("clinc150/data_small.json", "train", 7_500),
    ] {
        let json_field = Some(field.to_owned());
        let options = ReadOptions {
            columns: columns.clone(),
            json_field,
            ..ReadOptions::default()
        };
        let Some(read) = read(set, &options) else { return };
        assert_eq!(read.dataset.len(), rows, "{set} {field}");
        assert_eq!(read.dataset.task.outputs(), 150, "{set} {field}");
    }
}

#[test]
fn unlabelled_test_sets_and_instructions_are_read_without_labels() {
    let labels = LabelRule::Unlabelled(Task::Regression);
    let options = ReadOptions {
        labels,
        ..ReadOptions::default()
    };
    let Some(read_test) = read("rte/test.tsv", &options) else {
        return;
    };
    assert_eq!(read_test.dataset.len(), 3_000);
    let columns = Columns {
        text: Some("instruction".into()),
        ..Columns::default()
    };
    let Some(alpaca) = read("alpaca/alpaca_5000.json", &ReadOptions { columns, ..options }) else {
        return;
    };
    assert_eq!(alpaca.dataset.len(), 5_000);
}

#[test]
fn trec_is_refused_for_its_encoding_by_line_and_byte() {
    let Some(folder) = sets() else { return };
    let options = ReadOptions {
        format: Some(lora_data::Format::Tsv),
        ..ReadOptions::default()
    };
    let error = read_file(folder.join("trec/train_5500.label"), &options).unwrap_err();
    assert!(
        matches!(error, DataError::Encoding(EncodingError::NotUtf8 { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("iconv -f WINDOWS-1252 -t UTF-8"),
        "{error}"
    );
}
