//! Files that are not there, not text, or not rows.

use std::fmt::Write as _;

use lora_data::{DataError, Format, ReadOptions, read_file, read_str};

use super::{Case, case, check, sentence_of, with};

#[test]
fn a_file_that_cannot_be_read_as_text() {
    let latin1 = b"text,label\nfine,0\ncaf\xE9,1\n";
    check(vec![
        case(
            "empty.csv",
            "",
            &["the file is empty", "expected one example a row"],
        ),
        case("blank.jsonl", "\u{FEFF}\n  \n", &["the file is empty"]),
        case("header.csv", "text,label\n", &["a header and no row"]),
        case("header.tsv", "text\tlabel\r\n\r\n", &["a header and no row"]),
        case(
            "data.txt",
            "text\n",
            &["format", ".csv, .tsv, .jsonl, .json or .parquet"],
        ),
        case("noending", "text\n", &["format"]),
        Case {
            content: b"PK\x03\x04\x14\0\x06\0",
            ..case("sheet.csv", "", &["an Excel workbook", "CSV in UTF-8"])
        },
        Case {
            content: b"\x1F\x8B\x08\0\0\0",
            ..case("train.csv", "", &["is a gzip archive", "gunzip"])
        },
        Case {
            content: b"\x1F\x8B\x08\0\0\0",
            ..case("train.csv.gz", "", &["is a gzip archive", "gunzip"])
        },
        Case {
            content: b"PK\x03\x04\x14\0\x06\0",
            ..case("sheet.xlsx", "", &["an Excel workbook", "CSV in UTF-8"])
        },
        Case {
            content: b"\xFF\xFEt\0e\0x\0t\0,",
            ..case("cut.csv", "", &["begins as UTF-16LE", "cut short"])
        },
        Case {
            content: b"text,label\na,0\nb\0,1\n",
            ..case("nul.csv", "", &["line 3: a NUL byte at offset 16"])
        },
        Case {
            content: latin1,
            ..case(
                "latin1.csv",
                "",
                &["line 3: byte 0xE9 at offset 21", "UTF-8", "iconv"],
            )
        },
    ]);
}

#[test]
fn a_path_that_leads_nowhere_or_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let missing =
        sentence_of(&read_file(folder.path().join("trian.csv"), &ReadOptions::default()).unwrap_err());
    assert!(
        missing.contains("trian.csv`: there is no such file; check the path"),
        "{missing}"
    );
    let options = ReadOptions {
        format: Some(Format::Csv),
        ..ReadOptions::default()
    };
    let a_folder = sentence_of(&read_file(folder.path(), &options).unwrap_err());
    assert!(
        a_folder.contains("cannot be read") && a_folder.contains("a data set is a file"),
        "{a_folder}"
    );
}

#[test]
fn rows_that_do_not_fit_the_first() {
    check(vec![
        case(
            "long.csv",
            "text,label\na,0\n\nb, and c,1\n",
            &["line 4: 3 fields", "first row has 2", "quotes in CSV"],
        ),
        case(
            "short.tsv",
            "text\tlabel\na\t0\nb\n",
            &["line 3: 1 field,", "first row has 2"],
        ),
        case(
            "semicolons.csv",
            "comment; remarks\ngood\nbad\n",
            &[
                "line 2: 1 field,",
                "first row has 2",
                "needs quotes",
                "separated by semicolons",
            ],
        ),
        case(
            "after.csv",
            "text,label\n\"two\nlines\",0\nb\n",
            &["line 4: 1 field,"],
        ),
        case("crlf.csv", "text,label\r\na,0\r\nb\r\n", &["line 3: 1 field,"]),
        case(
            "joined.csv",
            "text,label\na,0\nb,1\ntext,label\nc,1\n",
            &["line 4: the header stands here again", "remove the line"],
        ),
        case(
            "open.csv",
            "label,text\n0,\"a\n1,b\n",
            &["line 2: the quote that opens here", "close it", "format tsv"],
        ),
        case(
            "escaped.csv",
            "text,label\n\"said \\\"no\\\" twice\",0\n",
            &["line 2: a quoted field goes on", "twice"],
        ),
    ]);
}

#[test]
fn text_that_is_not_json_or_json_that_is_not_rows() {
    check(vec![
        case(
            "cut.jsonl",
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"b\"\n",
            &["line 2, column", "not valid JSON", "EOF"],
        ),
        case(
            "bad.json",
            "[\n {\"text\": \"a\"},\n {\"text\": oops}\n]",
            &["line 3, column 11", "not valid JSON"],
        ),
        case(
            "number.json",
            "7",
            &["line 1: expected a list of rows", "found a number"],
        ),
        case(
            "line.jsonl",
            "\n\"a\"\n",
            &["line 2: expected a row", "found a string"],
        ),
        case(
            "mixed.jsonl",
            "{\"text\": \"a\"}\n[\"b\"]\n",
            &["line 2: expected an object", "found a list"],
        ),
        case(
            "lists.json",
            "[[\"a\", 0],\n[\"b\"]]",
            &["line 2: expected a list as long", "a list of another length"],
        ),
        case("none.json", "[]", &["line 1: the list of rows is empty"]),
        case(
            "none_in.json",
            "{\n\"data\": []}",
            &["line 2: the list of rows is empty"],
        ),
        case(
            "no_list.json",
            "{\"version\": 1}",
            &["not clear which list", "its lists: none", "orient=\"records\""],
        ),
        case(
            "two.json",
            "{\"train\": [], \"test\": []}",
            &["not clear which list", "`test`, `train`"],
        ),
        with(
            case(
                "key.json",
                "{\"train\": [], \"test\": []}",
                &["no list `tain`", "did you mean `train`?"],
            ),
            |options| {
                options.json_field = Some("tain".to_owned());
            },
        ),
    ]);
}

#[test]
fn rows_that_share_no_keys_are_refused_by_the_line_that_was_too_much() {
    let mut rows = String::new();
    for row in 0..20_000 {
        writeln!(rows, "{{\"key {row}\": 1}}").unwrap();
    }
    let error = read_str(&rows, "x.jsonl", Format::Jsonl, &ReadOptions::default()).unwrap_err();
    let DataError::SparseRows { line, keys, .. } = error else {
        panic!("{error}");
    };
    // Each row brings one key; rows times keys may be 4 times the bytes and a million.
    assert!((keys..=keys + 1).contains(&line), "{line}");
    assert!((1200..2000).contains(&keys), "{keys}");
}

#[test]
fn rows_with_a_few_of_hundreds_of_keys_are_read() {
    let row = |row: usize| {
        let label = ["bad", "good"][row % 2];
        let (text, key) = (format!("film {row}"), format!("key {}", row % 300));
        format!("{{\"text\": \"{text}\", \"label\": \"{label}\", \"{key}\": 1}}\n")
    };
    let rows: String = (0..6000).map(row).collect();
    let read = read_str(&rows, "x.jsonl", Format::Jsonl, &ReadOptions::default()).unwrap();
    assert_eq!(read.dataset.len(), 6000);
}
