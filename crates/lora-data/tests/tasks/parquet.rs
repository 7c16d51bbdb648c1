//! Parquet as the hub has it. The files in `tests/parquet_files` are made by pyarrow; the script beside them says how.

use std::path::PathBuf;

use lora_data::tasks::find;
use lora_data::{Columns, Format, ReadOptions, Target, read_file};

use super::{classes, read_path};

fn files() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parquet_files")
}

#[test]
fn shards_are_read_in_order_and_classes_have_their_names() {
    let train = read_path("cola", "train", &files());
    assert_eq!(train.files.len(), 2);
    let train = train.into_texts().unwrap();
    assert_eq!(
        classes(&train),
        ["acceptable", "acceptable", "unacceptable", "acceptable"]
    );
    assert_eq!(train.examples[1].text, "They said \"no\" twice.");
    let test = read_path("cola", "test", &files()).into_texts().unwrap();
    assert_eq!(classes(&test), ["-", "-"]);
}

#[test]
fn numbers_keep_their_decimals() {
    let rows = read_path("stsb", "train", &files().join("stsb.parquet"))
        .into_texts()
        .unwrap();
    assert_eq!(rows.examples[0].target, Some(Target::Value(3.8)));
}

#[test]
fn nested_columns_become_answers_and_choices() {
    let spans = read_path("squad-v2", "validation", &files().join("squad.parquet"))
        .into_spans()
        .unwrap();
    assert_eq!((spans.contexts.len(), spans.questions.len()), (1, 3));
    assert_eq!(spans.questions[0].answers[1].text, "in 1871");
    assert!(spans.context(1)[spans.questions[1].answers[0].start..].starts_with("Ana Lund"));
    assert!(spans.questions[2].answers.is_empty());

    let arc = read_path("arc-easy", "test", &files().join("arc.parquet"))
        .into_choices()
        .unwrap();
    let of: Vec<_> = arc
        .iter()
        .map(|question| (question.choices.len(), question.answer))
        .collect();
    assert_eq!(of, [(3, Some(1)), (4, Some(0)), (2, None)]);
    let boolq = read_path("boolq", "validation", &files().join("boolq.parquet"))
        .into_choices()
        .unwrap();
    assert_eq!(
        (boolq[0].answer, boolq[1].answer, boolq[1].passage.as_deref()),
        (Some(1), Some(0), Some("Moles dig."))
    );
    let mmlu = read_path("mmlu", "test", &files()).into_choices().unwrap();
    assert_eq!(
        (mmlu[0].answer, mmlu[0].subject.as_deref()),
        (Some(1), Some("rowing_sports"))
    );
    let winogrande = read_path("winogrande", "train", &files().join("winogrande.parquet"))
        .into_choices()
        .unwrap();
    assert_eq!((winogrande[0].answer, winogrande[0].choices.len()), (Some(0), 2));
}

#[test]
fn out_of_scope_queries_of_the_hub_are_told_by_their_intent() {
    let path = files().join("clinc.parquet");
    let inside = read_path("clinc150", "train", &path).into_texts().unwrap();
    assert_eq!(classes(&inside), ["booking", "depth", "booking"]);
    let outside = read_path("clinc150", "oos_train", &path).into_texts().unwrap();
    assert_eq!(outside.examples[0].text, "sing me a song");
    let trec = read_path("trec-fine", "train", &files().join("trec.parquet"))
        .into_texts()
        .unwrap();
    assert_eq!(classes(&trec), ["NUM:dist", "HUM:ind"]);
}

#[test]
fn parquet_is_a_format_like_any_other_and_foreign_compression_is_named() {
    let read = read_file(files().join("uncompressed.parquet"), &ReadOptions::default()).unwrap();
    assert_eq!((read.format, read.dataset.len()), (Format::Parquet, 2));
    let error = read_file(files().join("gzipped.parquet"), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("gzipped.parquet`") && error.contains("save it uncompressed or with Snappy"),
        "{error}"
    );
    let error = find("cola")
        .unwrap()
        .read(files().join("missing.parquet"), "train")
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such file"), "{error}");
}

fn with_columns(text: &str, label: &str) -> ReadOptions {
    ReadOptions {
        columns: Columns {
            text: Some(text.into()),
            text_pair: None,
            label: Some(label.into()),
        },
        ..ReadOptions::default()
    }
}

#[test]
fn bytes_without_a_type_are_text() {
    let path = files().join("binary.parquet");
    let read = read_file(&path, &ReadOptions::default()).unwrap();
    assert_eq!(read.dataset.examples[0].text, "Der Müller rudert.");
    assert_eq!(read.dataset.examples[0].text_pair.as_deref(), Some("oarsé"));
    assert_eq!(classes(&read.dataset), ["boat", "mill", "boat"]);
    let error = read_file(files().join("broken_binary.parquet"), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2: `text` is of the Parquet type BINARY, with bytes that are not UTF-8"),
        "{error}"
    );
}

#[test]
fn labels_with_gaps_are_classes_and_categories_are_their_names() {
    let path = files().join("gaps.parquet");
    let names = |label: &str| {
        let read = read_file(&path, &with_columns("text", label)).unwrap();
        (classes(&read.dataset).join(" "), read.decimal_label)
    };
    let decimal = |label: &str| Some(label.to_owned());
    assert_eq!(names("label"), ("1 0 1 2 0 2".to_owned(), decimal("1.0")));
    assert_eq!(names("half"), ("1 0 1 1 0 0".to_owned(), decimal("1.0")));
    assert_eq!(names("category"), ("b a b a a b".to_owned(), None));
}

#[test]
fn other_types_are_refused_by_column_and_type() {
    let path = files().join("other_types.parquet");
    for (column, kind) in [
        ("decimal", "of the Parquet type DECIMAL(10, 2)"),
        ("date", "of the Parquet type DATE"),
        ("milliseconds", "of the Parquet type TIMESTAMP"),
        ("nanoseconds", "of the Parquet type TIMESTAMP"),
        ("time", "of the Parquet type TIME"),
        ("list", "a list"),
        ("struct", "an object"),
        ("map", "of the Parquet type MAP"),
        ("struct_of_date", "of the Parquet type DATE"),
    ] {
        for (text, label, expected) in [
            (column, "integer", "a string"),
            (
                "string",
                column,
                if column == "list" {
                    "one label"
                } else {
                    "a string or a number"
                },
            ),
        ] {
            let error = read_file(&path, &with_columns(text, label))
                .unwrap_err()
                .to_string();
            let says = format!("line 1: `{column}` is {kind}; expected {expected}");
            assert!(error.contains(&says), "`{says}` is not in: {error}");
        }
    }
    let error = read_file(&path, &with_columns("empty", "integer"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("`empty` has no value"), "{error}");
    // Columns that are not asked for do no harm, and can be shown.
    let options = ReadOptions {
        keep_cells: true,
        ..with_columns("string", "integer")
    };
    let cells = read_file(&path, &options).unwrap().cells.unwrap();
    assert_eq!(cells.rows[0][1], "1.50");
}

#[test]
fn a_file_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    for (content, part) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n"[..],
            "git lfs pull",
        ),
        (b"<!DOCTYPE html>\n<html></html>", "an HTML page"),
        (b"PAR1 and no end", "not readable as Parquet"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = read_file(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
