//! What well-formed files become.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lora_data::{
    Columns, DataError, Dataset, Example, Format, LabelNames, LabelRule, ReadOptions, Target, Task,
    read_file, read_str,
};

fn read(content: &str, format: Format, options: &ReadOptions) -> Dataset {
    read_str(content, "x", format, options).unwrap().dataset
}

fn classes(dataset: &Dataset) -> Vec<Option<Target>> {
    dataset
        .examples
        .iter()
        .map(|example| example.target.clone())
        .collect()
}

fn texts(dataset: &Dataset) -> Vec<&str> {
    dataset
        .examples
        .iter()
        .map(|example| example.text.as_str())
        .collect()
}

fn targets(classes: &[usize]) -> Vec<Option<Target>> {
    classes.iter().map(|&class| Some(Target::Class(class))).collect()
}

#[test]
fn the_same_rows_in_every_format_are_the_same_data_set() {
    let files = [
        ("rows.csv", "text,label\n\"a, \"\"b\"\"\",yes\nc,no\n"),
        ("rows.tsv", "text\tlabel\na, \"b\"\tyes\nc\tno\n"),
        (
            "rows.jsonl",
            "{\"text\": \"a, \\\"b\\\"\", \"label\": \"yes\"}\n\n{\"label\": \"no\", \"text\": \"c\"}",
        ),
        (
            "rows.json",
            "[{\"text\": \"a, \\\"b\\\"\", \"label\": \"yes\"}, {\"text\": \"c\", \"label\": \"no\"}]",
        ),
        (
            "lines.json",
            "{\"text\": \"a, \\\"b\\\"\", \"label\": \"yes\"}\r\n{\"label\": \"no\", \"text\": \"c\"}\r\n",
        ),
        (
            "list.jsonl",
            "[\n  {\"text\": \"a, \\\"b\\\"\", \"label\": \"yes\"},\n  {\"text\": \"c\", \"label\": \"no\"}\n]\n",
        ),
        ("excel.csv", "sep=;\ntext;label\n\"a, \"\"b\"\"\";yes\nc;no\n"),
        (
            "data.json",
            "{\"version\": 2, \"rows\": [{\"text\": \"a, \\\"b\\\"\", \"label\": \"yes\"}, {\"text\": \"c\", \"label\": \"no\"}]}",
        ),
    ];
    let example = |text: &str, class| Example {
        text: text.to_owned(),
        text_pair: None,
        target: Some(Target::Class(class)),
    };
    let expected = Dataset {
        examples: vec![example("a, \"b\"", 1), example("c", 0)],
        task: Task::Classification {
            labels: LabelNames::new(["no", "yes"]).unwrap(),
        },
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        for mark in ["", "\u{FEFF}"] {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{mark}{content}")).unwrap();
            assert_eq!(
                read_file(&path, &ReadOptions::default()).unwrap().dataset,
                expected,
                "{name}"
            );
        }
    }
}

#[test]
fn plain_tsv_keeps_quotes_and_quoted_tsv_takes_them_off() {
    let content = "label\ttext\n0\t\"He said \"\"no\"\"\"\n1\tplain\n";
    let plain = read(content, Format::Tsv, &ReadOptions::default());
    assert_eq!(plain.examples[0].text, "\"He said \"\"no\"\"\"");
    let quoted = read(content, Format::QuotedTsv, &ReadOptions::default());
    assert_eq!(quoted.examples[0].text, "He said \"no\"");
    assert_eq!(quoted.examples[1].text, "plain");
}

#[test]
fn a_bare_quote_in_plain_tsv_swallows_nothing() {
    let content = "sentence1\tsentence2\tlabel\n\" open\tb\t0\nc\td \" e\t1\n";
    let dataset = read(content, Format::Tsv, &ReadOptions::default());
    assert_eq!(dataset.len(), 2);
    assert_eq!(dataset.examples[0].text, "\" open");
    assert_eq!(dataset.examples[1].text_pair.as_deref(), Some("d \" e"));
}

#[test]
fn columns_by_index_read_a_file_without_a_header() {
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
    let read = read_str(
        "gj04\t1\t\tFirst.\ngj04\t0\t*\tSecond the.\n",
        "cola.tsv",
        Format::Tsv,
        &options,
    )
    .unwrap();
    assert_eq!(read.columns.to_string(), "text `column 3`, label `column 1`");
    assert_eq!(read.dataset.examples[0].text, "First.");
    assert_eq!(classes(&read.dataset), targets(&[1, 0]));
}

#[test]
fn rows_of_lists_are_read_by_index_from_the_named_list() {
    let columns = Columns {
        text: Some(0.into()),
        text_pair: None,
        label: Some(1.into()),
    };
    let options = ReadOptions {
        columns,
        json_field: Some("val".to_owned()),
        ..ReadOptions::default()
    };
    let content = r#"{"train": [["x", "other"]], "val": [["a", "oos"], ["b", "greeting"]]}"#;
    let dataset = read(content, Format::Json, &options);
    assert_eq!(dataset.task.labels().unwrap().names(), ["greeting", "oos"]);
    assert_eq!(classes(&dataset), targets(&[1, 0]));
}

#[test]
fn labels_may_be_strings_integers_or_booleans() {
    let rows = |labels: [&str; 3]| {
        labels
            .map(|label| format!("{{\"text\": \"a\", \"label\": {label}}}"))
            .join("\n")
    };
    for (labels, names, expected) in [
        (["10", "9", "10"], ["9", "10"], [1, 0, 1]),
        (["\"b\"", "\" a \"", "\"b\""], ["a", "b"], [1, 0, 1]),
        (["true", "false", "true"], ["false", "true"], [1, 0, 1]),
        (["-1", "1", "-1"], ["-1", "1"], [0, 1, 0]),
    ] {
        let dataset = read(&rows(labels), Format::Jsonl, &ReadOptions::default());
        assert_eq!(dataset.task.labels().unwrap().names(), names);
        assert_eq!(classes(&dataset), targets(&expected));
    }
}

#[test]
fn whole_numbers_written_as_decimals_are_classes_where_they_are_few_and_repeat() {
    for (labels, names, expected) in [
        (["0.0", "1.0", "1.0", "0.0"], ["0", "1"], [0, 1, 1, 0]),
        (["1.00", "2", "1", "2.0"], ["1", "2"], [0, 1, 0, 1]),
        (["-1.0", "1e0", "1.", "-1"], ["-1", "1"], [0, 1, 1, 0]),
        (["-0.0", "1.0", "0.0", "10e-1"], ["0", "1"], [0, 1, 0, 1]),
        (["10.0", "9.0", "10.0", "9.0"], ["9", "10"], [1, 0, 1, 0]),
    ] {
        let csv: Vec<String> = labels.iter().map(|label| format!("x,{label}\n")).collect();
        let read = read_str(
            &format!("text,label\n{}", csv.concat()),
            "x.csv",
            Format::Csv,
            &ReadOptions::default(),
        )
        .unwrap();
        assert_eq!(read.dataset.task.labels().unwrap().names(), names, "{labels:?}");
        assert_eq!(classes(&read.dataset), targets(&expected), "{labels:?}");
        assert!(read.decimal_label.is_some());
    }
    let json = "[{\"text\": \"a\", \"label\": 1.0}, {\"text\": \"b\", \"label\": 0.0}, {\"text\": \"c\", \"label\": 1}, \
                {\"text\": \"d\", \"label\": 0}]";
    let dataset = read(json, Format::Json, &ReadOptions::default());
    assert_eq!(classes(&dataset), targets(&[1, 0, 1, 0]));
    // Integers alone are what they were.
    let read = read_str(
        "text,label\na,1\nb,0\n",
        "x.csv",
        Format::Csv,
        &ReadOptions::default(),
    )
    .unwrap();
    assert_eq!(read.decimal_label, None);
}

#[test]
fn decimal_labels_that_are_many_rare_or_no_whole_numbers_are_a_regression_unless_classes_are_asked_for() {
    let file = |labels: &[String]| {
        let rows: Vec<String> = labels.iter().map(|label| format!("x,{label}\n")).collect();
        format!("text,label\n{}", rows.concat())
    };
    let many: Vec<String> = (0..210).map(|row| format!("{}.0", row % 21)).collect();
    let rare = ["1.0", "2.0", "3.0"].map(str::to_owned);
    let halves = ["0.5", "1.0", "0.50", "1.5", "1", "1.5"].map(str::to_owned);
    for labels in [&many[..], &rare, &halves] {
        let content = file(labels);
        let error = read_str(&content, "x.csv", Format::Csv, &ReadOptions::default()).unwrap_err();
        assert!(
            matches!(error, DataError::DecimalLabel { line: 2, .. }),
            "{error}"
        );
        let options = ReadOptions {
            labels: LabelRule::Classes,
            ..ReadOptions::default()
        };
        assert!(read_str(&content, "x.csv", Format::Csv, &options).is_ok());
    }
    let options = ReadOptions {
        labels: LabelRule::Classes,
        ..ReadOptions::default()
    };
    let dataset = read(&file(&halves), Format::Csv, &options);
    assert_eq!(dataset.task.labels().unwrap().names(), ["0.5", "1", "1.5"]);
    assert_eq!(classes(&dataset), targets(&[0, 1, 0, 2, 1, 2]));
}

#[test]
fn a_known_class_is_found_by_its_number_however_it_is_written() {
    let known = |names: [&str; 2]| ReadOptions {
        labels: LabelRule::Known(LabelNames::new(names).unwrap()),
        ..ReadOptions::default()
    };
    let file = "text,label\na,1.0\nb,0\nc,0.0\n";
    assert_eq!(
        classes(&read(file, Format::Csv, &known(["0", "1"]))),
        targets(&[1, 0, 0])
    );
    let truths = "text,label\na,True\nb,false\nc,FALSE\n";
    assert_eq!(
        classes(&read(truths, Format::Csv, &known(["false", "true"]))),
        targets(&[1, 0, 0])
    );
    // By index, where names are words; that is told.
    let by_index = read_str(file, "x.csv", Format::Csv, &known(["bad", "good"])).unwrap();
    assert_eq!(classes(&by_index.dataset), targets(&[1, 0, 0]));
    assert_eq!(by_index.index_label.as_deref(), Some("1.0"));
    let by_name = read_str(file, "x.csv", Format::Csv, &known(["0", "1"])).unwrap();
    assert_eq!(by_name.index_label, None);
}

#[test]
fn rows_without_a_text_can_be_left_out_and_are_named() {
    let options = ReadOptions {
        skip_empty: true,
        keep_cells: true,
        labels: LabelRule::Values,
        ..ReadOptions::default()
    };
    let file = "{\"text\": \"a\", \"label\": 1}\n{\"text\": \" \", \"label\": 2}\n{\"text\": null, \"label\": 3}\n{\"text\": \"d\", \"label\": 4}\n";
    let read = read_str(file, "x.jsonl", Format::Jsonl, &options).unwrap();
    assert_eq!(read.without_text, [1, 2]);
    assert_eq!(read.cells.unwrap().rows.len(), 4);
    let values: Vec<_> = read
        .dataset
        .examples
        .iter()
        .map(|example| example.target.clone())
        .collect();
    assert_eq!(values, [Some(Target::Value(1.0)), Some(Target::Value(4.0))]);
}

#[test]
fn lines_of_the_old_macintosh_are_lines() {
    for format in [Format::Csv, Format::Tsv] {
        let separator = if format == Format::Csv { "," } else { "\t" };
        let content = ["text,label", "a,0", "b,1"].join("\r").replace(',', separator);
        assert_eq!(read(&content, format, &ReadOptions::default()).len(), 2);
    }
}

#[test]
fn a_file_in_utf_16_is_the_same_data_set() {
    let content = "text,label\n\"größer,\r\nals\",ja\nИюль,nein\n";
    let expected = read(content, Format::Csv, &ReadOptions::default());
    assert_eq!(expected.examples[0].text, "größer,\r\nals");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    for units in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = content.encode_utf16().flat_map(units).collect();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            read_file(&path, &ReadOptions::default()).unwrap().dataset,
            expected
        );
    }
}

#[test]
fn known_labels_keep_the_order_of_the_model() {
    let labels = LabelNames::new(["positive", "negative", "neutral"]).unwrap();
    let options = ReadOptions {
        labels: LabelRule::Known(labels),
        ..ReadOptions::default()
    };
    let dataset = read("text,label\na,negative\nb,2\n", Format::Csv, &options);
    assert_eq!(classes(&dataset), targets(&[1, 2]));
    assert_eq!(dataset.task.outputs(), 3);
}

#[test]
fn a_regression_reads_integers_and_decimals_as_numbers() {
    let options = ReadOptions {
        labels: LabelRule::Values,
        ..ReadOptions::default()
    };
    let dataset = read(
        "sentence1,sentence2,score\na,b,5\nc,d,3.25\ne,f,-1e-1\n",
        Format::Csv,
        &options,
    );
    assert_eq!(dataset.task, Task::Regression);
    let value = |value| Some(Target::Value(value));
    assert_eq!(classes(&dataset), [value(5.0), value(3.25), value(-0.1)]);
}

#[test]
fn unlabelled_text_needs_no_label_column_and_ignores_one() {
    let task = Task::Classification {
        labels: LabelNames::new(["a", "b"]).unwrap(),
    };
    let options = ReadOptions {
        labels: LabelRule::Unlabelled(task.clone()),
        ..ReadOptions::default()
    };
    for content in ["text\nx\ny\n", "text,label\nx,unheard of\ny,\n"] {
        let read = read_str(content, "x.csv", Format::Csv, &options).unwrap();
        assert_eq!(read.columns.label, None);
        assert_eq!(read.dataset.task, task);
        assert_eq!(classes(&read.dataset), [None, None]);
    }
}

#[test]
fn the_separator_of_a_european_csv_is_told_with_the_columns() {
    let content = "id;text;label\n1;\"good; really\";yes\n2;dull, and long;no\n";
    let named = read_str(content, "x.csv", Format::Csv, &ReadOptions::default()).unwrap();
    assert_eq!(
        named.columns.to_string(),
        "text `text`, label `label`, separated by semicolons"
    );
    assert_eq!(texts(&named.dataset), ["good; really", "dull, and long"]);
    let by_index = ReadOptions {
        header: false,
        columns: Columns {
            text: Some(1.into()),
            text_pair: None,
            label: Some(2.into()),
        },
        ..ReadOptions::default()
    };
    let (_, rows) = content.split_once('\n').unwrap();
    let without_header = read_str(rows, "x.csv", Format::Csv, &by_index).unwrap();
    assert_eq!(without_header.dataset, named.dataset);
    let commas = read(
        "text,label\na;b,yes\nc;d,no\n",
        Format::Csv,
        &ReadOptions::default(),
    );
    assert_eq!(texts(&commas), ["a;b", "c;d"]);
}

#[test]
fn a_key_that_comes_later_is_a_column_too() {
    let content = "{\"text\": \"a\", \"label\": 0}\n{\"note\": 1, \"text\": \"b\", \"label\": 1}\n";
    let columns = Columns {
        label: Some("note".into()),
        ..Columns::default()
    };
    let options = ReadOptions {
        columns,
        ..ReadOptions::default()
    };
    let error = read_str(content, "x.jsonl", Format::Jsonl, &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 1: `note` has no value"), "{error}");
    assert_eq!(read(content, Format::Jsonl, &ReadOptions::default()).len(), 2);
}
