//! What can be wrong with a data file, and the sentence it ends in: file, line, the key it is about, the mend.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use lora_data::{
    Column, Columns, DataError, Format, LabelNames, LabelRule, ReadOptions, TextTokenizer, read_file,
};

/// One bad file: its name, its content, how it is read, and what the sentence must hold beside the name.
struct Case {
    name: &'static str,
    content: &'static [u8],
    options: ReadOptions,
    says: &'static [&'static str],
}

fn case(name: &'static str, content: &'static str, says: &'static [&'static str]) -> Case {
    Case {
        name,
        content: content.as_bytes(),
        options: ReadOptions::default(),
        says,
    }
}

fn with(mut case: Case, change: impl FnOnce(&mut ReadOptions)) -> Case {
    change(&mut case.options);
    case
}

fn text_column(column: impl Into<Column>) -> Columns {
    Columns {
        text: Some(column.into()),
        ..Columns::default()
    }
}

fn known(names: &[&str]) -> LabelRule {
    LabelRule::Known(LabelNames::new(names.iter().copied()).unwrap())
}

fn sentence_of(error: &DataError) -> String {
    let sentence = error.to_string();
    assert!(!sentence.contains('\n'), "one sentence: {sentence}");
    sentence
}

fn check(cases: Vec<Case>) {
    let folder = tempfile::tempdir().unwrap();
    for case in cases {
        let path = folder.path().join(case.name);
        std::fs::write(&path, case.content).unwrap();
        let error = read_file(&path, &case.options).expect_err(case.name);
        let sentence = sentence_of(&error);
        assert!(
            sentence.contains(&format!("{}`", path.display())),
            "no file name in: {sentence}"
        );
        for part in case.says {
            assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
        }
    }
}

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
        case("data.txt", "text\n", &["format", ".csv, .tsv, .jsonl or .json"]),
        case("noending", "text\n", &["format"]),
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
            &["line 3: 1 fields", "first row has 2"],
        ),
        case(
            "after.csv",
            "text,label\n\"two\nlines\",0\nb\n",
            &["line 4: 1 fields"],
        ),
        case("crlf.csv", "text,label\r\na,0\r\nb\r\n", &["line 3: 1 fields"]),
        case(
            "open.csv",
            "label,text\n0,\"a\n1,b\n",
            &["line 2: the quote that opens here", "close it", "format tsv"],
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
            &["not clear which list", "its lists: none"],
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
fn columns_that_are_not_there() {
    let table = "Sentence,label,other\na,0,x\nb,1,y\n";
    check(vec![
        with(
            case(
                "name.csv",
                table,
                &[
                    "no text column `sentnce`",
                    "`Sentence`, `label`, `other`",
                    "did you mean `Sentence`?",
                ],
            ),
            |options| options.columns = text_column("sentnce"),
        ),
        with(
            case(
                "far.csv",
                table,
                &["no label column `sentiment`", "the columns are `Sentence`"],
            ),
            |options| {
                options.columns.label = Some("sentiment".into());
            },
        ),
        with(
            case("pair.csv", table, &["no second text column `sentence2`"]),
            |options| {
                options.columns.text_pair = Some("sentence2".into());
            },
        ),
        with(
            case(
                "index.csv",
                table,
                &["no text column 3", "the 3 columns have the indices 0 to 2"],
            ),
            |options| {
                options.columns = text_column(3);
            },
        ),
        with(
            case(
                "twice.csv",
                "text,text,label\na,b,0\n",
                &["two columns are named `text`", "by index"],
            ),
            |options| {
                options.columns = text_column("text");
            },
        ),
        case(
            "usual.csv",
            "phrase,label\na,0\n",
            &[
                "no text column has a usual name",
                "`phrase`, `label`",
                "without a header",
            ],
        ),
        case(
            "unlabelled.csv",
            "text\na\n",
            &["no label column has a usual name", "`text`"],
        ),
        case(
            "keys.jsonl",
            "{\"phrase\": \"a\"}\n",
            &["name the text column (the columns are `phrase`)"],
        ),
        with(
            case(
                "cola.tsv",
                "x\t1\t\tA sentence.\n",
                &["text column must be given by index", "none was given"],
            ),
            |options| {
                options.header = false;
            },
        ),
        with(
            case(
                "named.tsv",
                "x\t1\t\tA sentence.\n",
                &["by index, from 0; `sentence` was given"],
            ),
            |options| {
                options.header = false;
                options.columns = text_column("sentence");
            },
        ),
    ]);
}

#[test]
fn cells_without_a_text() {
    check(vec![
        case(
            "empty.tsv",
            "text\tlabel\na\t0\n \t1\n",
            &["line 3: the text in `text` is empty", "remove the row"],
        ),
        case(
            "pair.csv",
            "premise,hypothesis,label\na,b,0\nc,,1\n",
            &["line 3: the text in `hypothesis` is empty"],
        ),
        case(
            "null.jsonl",
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": null, \"label\": 1}\n",
            &["line 2: `text` has no value"],
        ),
        case(
            "key.jsonl",
            "{\"text\": \"a\", \"label\": 0}\n{\"label\": 1}\n",
            &["line 2: `text` has no value"],
        ),
        case(
            "type.json",
            "[{\"text\": \"a\", \"label\": 0},\n{\"text\": 5, \"label\": 1}]",
            &["line 2: `text` is a number", "expected a string"],
        ),
    ]);
}

#[test]
fn labels_that_mean_nothing() {
    let reviews = "text\tlabel\na\tgood\nb\tpostive\n";
    check(vec![
        with(
            case(
                "unknown.tsv",
                reviews,
                &[
                    "line 2: label `good` in `label` is not known",
                    "the labels are `negative`, `positive`",
                ],
            ),
            |options| options.labels = known(&["negative", "positive"]),
        ),
        with(
            case(
                "slip.tsv",
                reviews,
                &["line 3: label `postive`", "did you mean `positive`?"],
            ),
            |options| {
                options.labels = known(&["good", "positive"]);
            },
        ),
        with(
            case(
                "range.tsv",
                "text\tlabel\na\t2\n",
                &["line 2: label `2`", "`no`, `yes`"],
            ),
            |options| {
                options.labels = known(&["no", "yes"]);
            },
        ),
        case(
            "absent.csv",
            "text,label\na,0\nb,\n",
            &["line 3: `label` has no value", "remove the row"],
        ),
        case(
            "null.jsonl",
            "{\"text\": \"a\", \"label\": null}\n",
            &["line 1: `label` has no value"],
        ),
        case(
            "list.jsonl",
            "{\"text\": \"a\", \"label\": [0, 1]}\n",
            &["line 1: `label` is a list", "a string or a number"],
        ),
        case(
            "one.csv",
            "text,label\na,x\nb,x\n",
            &["every row has the label `x`", "at least two classes"],
        ),
        case(
            "decimal.tsv",
            "text\tscore\na\t3\nb\t3.8\n",
            &["line 3: label `3.8` in `score` is a decimal", "choose regression"],
        ),
    ]);
}

#[test]
fn targets_that_are_no_numbers() {
    let regression = |options: &mut ReadOptions| options.labels = LabelRule::Numbers;
    check(vec![
        with(
            case(
                "word.csv",
                "text,score\na,1\nb,high\n",
                &[
                    "line 3: `high` in `score` is not a finite number",
                    "choose classification",
                ],
            ),
            regression,
        ),
        with(
            case("nan.csv", "text,score\na,NaN\n", &["line 2: `NaN` in `score`"]),
            regression,
        ),
        with(
            case("large.csv", "text,score\na,1e39\n", &["line 2: `1e39`"]),
            regression,
        ),
        with(
            case(
                "comma.tsv",
                "text\tscore\na\t3,5\n",
                &["line 2: `3,5`", "write it like 3.5"],
            ),
            regression,
        ),
        with(
            case(
                "true.jsonl",
                "{\"text\": \"a\", \"score\": true}\n",
                &["line 1: `true` in `score`"],
            ),
            regression,
        ),
        with(
            case("none.csv", "text,score\na,\n", &["line 2: `score` has no value"]),
            regression,
        ),
    ]);
}

#[test]
fn many_labels_are_not_all_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.csv");
    std::fs::write(&path, "text,label\na,unheard of\n").unwrap();
    let names: Vec<String> = (0..150).map(|index| format!("intent {index}")).collect();
    let labels = LabelRule::Known(LabelNames::new(names).unwrap());
    let sentence = sentence_of(
        &read_file(
            &path,
            &ReadOptions {
                labels,
                ..ReadOptions::default()
            },
        )
        .unwrap_err(),
    );
    assert!(sentence.contains("`intent 11`, and 138 more"), "{sentence}");
}

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
