//! Default names of columns, and those that are given.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn table(names: &[&str]) -> RawTable {
    RawTable {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        naming: Naming::Header,
        separator: None,
        has_mark: false,
        rows: Vec::new(),
    }
}

fn shown(asked: &Columns, names: &[&str]) -> String {
    let (table, file) = (table(names), Path::new("x.tsv"));
    let (text, text_pair) = texts(asked, &table, file).unwrap();
    let label = Some(label(asked, &[&text], &table, file).unwrap());
    ResolvedColumns {
        text,
        text_pair,
        label,
        separator: None,
    }
    .to_string()
}

#[test]
fn the_columns_of_glue_are_found_by_their_names() {
    let default = Columns::default();
    assert_eq!(
        shown(&default, &["sentence", "label"]),
        "text `sentence`, label `label`"
    );
    let mrpc = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"];
    assert_eq!(
        shown(&default, &mrpc),
        "texts `#1 String` and `#2 String`, label `Quality`"
    );
    let stsb = [
        "index",
        "genre",
        "source1",
        "source2",
        "sentence1",
        "sentence2",
        "score",
    ];
    assert_eq!(
        shown(&default, &stsb),
        "texts `sentence1` and `sentence2`, label `score`"
    );
    let qnli = ["index", "question", "sentence", "label"];
    assert_eq!(
        shown(&default, &qnli),
        "texts `question` and `sentence`, label `label`"
    );
}

#[test]
fn the_columns_of_imdb_are_found_by_their_names() {
    assert_eq!(
        shown(&Columns::default(), &["review", "sentiment"]),
        "text `review`, label `sentiment`"
    );
}

#[test]
fn a_given_text_column_stands_alone() {
    let asked = Columns {
        text: Some("sentence2".into()),
        ..Columns::default()
    };
    assert_eq!(
        shown(&asked, &["sentence1", "sentence2", "label"]),
        "text `sentence2`, label `label`"
    );
    let asked = Columns {
        text: Some(2.into()),
        text_pair: Some(0.into()),
        label: Some(1.into()),
    };
    assert_eq!(shown(&asked, &["a", "b", "c"]), "texts `c` and `a`, label `b`");
}

#[test]
fn a_missing_column_comes_with_the_nearest_or_else_the_default_one() {
    let nearest = |wanted: &str, names: &[&str]| {
        let asked = Columns {
            text: Some(wanted.into()),
            ..Columns::default()
        };
        match texts(&asked, &table(names), Path::new("x.csv")) {
            Err(ColumnError::MissingColumn { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        nearest("mesage", &["text", "message"]).as_deref(),
        Some("message")
    );
    assert_eq!(nearest("message", &["id", "Review"]).as_deref(), Some("Review"));
    assert_eq!(nearest("message", &["id", "body"]), None);
}

#[test]
fn a_column_is_never_both_text_and_label() {
    let asked = Columns {
        text: Some("label".into()),
        ..Columns::default()
    };
    assert_eq!(shown(&asked, &["label", "class"]), "text `label`, label `class`");
}

#[test]
fn a_default_name_that_stands_twice_is_refused() {
    let file = Path::new("x.csv");
    let repeated = |names: &[&str]| {
        let error = texts(&Columns::default(), &table(names), file).unwrap_err();
        matches!(error, ColumnError::RepeatedColumn { .. })
    };
    assert!(repeated(&["text", "text", "label"]));
    assert!(repeated(&["premise", "hypothesis", "hypothesis"]));
    let asked = Columns::default();
    let error = label(&asked, &[], &table(&["label", "text", "label"]), file).unwrap_err();
    assert!(matches!(error, ColumnError::RepeatedColumn { .. }), "{error}");
    // A name that nobody reads may stand as often as it likes.
    assert_eq!(
        shown(&asked, &["text", "label", "id", "id"]),
        "text `text`, label `label`"
    );
}

#[test]
fn digits_are_an_index_and_anything_else_a_name() {
    assert_eq!("3".parse::<ColumnSelector>().unwrap(), ColumnSelector::Index(3));
    assert_eq!("#1 ID".parse::<ColumnSelector>().unwrap(), "#1 ID".into());
    let columns: Columns = serde_json::from_str(r#"{"text": 3, "label": "mark"}"#).unwrap();
    assert_eq!(
        columns,
        Columns {
            text: Some(3.into()),
            text_pair: None,
            label: Some("mark".into())
        }
    );
}
