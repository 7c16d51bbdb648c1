//! Labels any number of which may hold: from lists, and from several columns of 0 and 1.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_data::{Format, LabelNames, LabelRule, ReadFile, ReadOptions, Targets, Task, read_str};

fn read(content: &str, format: Format, known: Option<&[&str]>, columns: &[&str]) -> ReadFile {
    let known = known.map(|names| LabelNames::new(names.iter().copied()).unwrap());
    let columns = columns.iter().map(|name| (*name).into()).collect();
    let options = ReadOptions {
        labels: LabelRule::Sets { known, columns },
        ..ReadOptions::default()
    };
    read_str(content, "x", format, &options).unwrap()
}

fn names(read: &ReadFile) -> Vec<String> {
    assert!(matches!(read.dataset.task, Task::MultiLabel { .. }));
    read.dataset.task.labels().unwrap().names().to_vec()
}

#[test]
fn lists_of_json_and_of_python_are_sets_of_labels() {
    let jsonl = "{\"text\": \"a\", \"labels\": [\"sad\", \"angry\"]}\n{\"text\": \"b\", \"labels\": []}\n{\"text\": \"c\", \"labels\": [\"sad\", \"sad\"]}\n";
    let found = read(jsonl, Format::Jsonl, None, &[]);
    assert_eq!(names(&found), ["angry", "sad"]);
    let expected = Targets::Labels(vec![vec![0, 1], vec![], vec![1]]);
    assert_eq!(found.dataset.targets().unwrap(), expected);

    let csv = "text,labels\na,\"[\"\"sad\"\", \"\"angry\"\"]\"\nb,[]\nc,['sad']\n";
    let found = read(csv, Format::Csv, None, &[]);
    assert_eq!(found.dataset.targets().unwrap(), expected);

    // Ids of a set on the hub, by the order of the model's labels.
    let ids = "{\"text\": \"a\", \"labels\": [2, 0]}\n";
    let found = read(ids, Format::Jsonl, Some(&["x", "y", "z"]), &[]);
    assert_eq!(
        found.dataset.targets().unwrap(),
        Targets::Labels(vec![vec![0, 2]])
    );
}

#[test]
fn labels_joined_in_a_cell_are_several_labels() {
    let csv = "text,labels\na,sad; angry\nb,angry\nc,\nd,sad\n";
    let found = read(csv, Format::Csv, None, &[]);
    assert_eq!(names(&found), ["angry", "sad"]);
    let expected = Targets::Labels(vec![vec![0, 1], vec![0], vec![], vec![1]]);
    assert_eq!(found.dataset.targets().unwrap(), expected);
    let joined = found.joined_labels.unwrap();
    assert_eq!(
        (joined.separator, joined.example.as_str(), joined.rows),
        (';', "sad; angry", 1)
    );
    // A name with a comma in it, whose parts are no labels, stays one.
    let csv = "text,labels\na,\"Bosnia, Herzegovina\"\nb,Serbia\n";
    let found = read(csv, Format::Csv, None, &[]);
    assert_eq!(names(&found), ["Bosnia, Herzegovina", "Serbia"]);
    assert_eq!(found.joined_labels, None);
    // Where labels are known they say what is joined, also where nothing repeats.
    let csv = "text,labels\na,x|z\nb,y\n";
    let known = read(csv, Format::Csv, Some(&["x", "y", "z"]), &[]);
    let expected = Targets::Labels(vec![vec![0, 2], vec![1]]);
    assert_eq!(known.dataset.targets().unwrap(), expected);
}

#[test]
fn lists_of_indices_are_told() {
    let read = |lists: &str| {
        let content = format!("{{\"text\": \"a\", \"labels\": {lists}}}\n");
        read(&content, Format::Jsonl, Some(&["toxic", "spam"]), &[])
    };
    assert_eq!(read("[1, 0]").index_label.as_deref(), Some("1"));
    assert_eq!(read("[0, 1]").index_label.as_deref(), Some("0"));
    assert_eq!(read("[\"spam\"]").index_label, None);
    assert_eq!(read("[]").index_label, None);
}

#[test]
fn who_asks_for_one_label_a_text_is_told_of_several() {
    let of = |content: &str, format| read_str(content, "x", format, &ReadOptions::default());
    let joined = of("text,label\na,sad|angry\nb,angry\nc,sad\n", Format::Csv).unwrap();
    assert_eq!(
        joined.dataset.task.labels().unwrap().names(),
        ["angry", "sad", "sad|angry"]
    );
    assert_eq!(joined.joined_labels.unwrap().separator, '|');
    let list = of("{\"text\": \"a\", \"label\": [\"sad\"]}\n", Format::Jsonl)
        .unwrap_err()
        .to_string();
    assert!(
        list.contains("is a list") && list.contains("multi_label_classification"),
        "{list}"
    );
    let columns = of("text,n,toxic,spam\na,3,0,1\nb,4,1,0\n", Format::Csv)
        .unwrap_err()
        .to_string();
    assert!(columns.contains("label_columns toxic,spam"), "{columns}");
    let one = of("text,toxic,n\na,0,5\n", Format::Csv).unwrap_err().to_string();
    assert!(!one.contains("label_columns"), "{one}");
}

#[test]
fn columns_of_0_and_1_are_labels_by_their_names_in_any_order() {
    let csv = "text,toxic,threat,insult\na,1,0,1.0\nb,0,0,false\n";
    let found = read(csv, Format::Csv, None, &["toxic", "threat", "insult"]);
    assert_eq!(names(&found), ["toxic", "threat", "insult"]);
    assert_eq!(
        found.dataset.targets().unwrap(),
        Targets::Labels(vec![vec![0, 2], vec![]])
    );
    let known = read(
        csv,
        Format::Csv,
        Some(&["insult", "toxic", "threat"]),
        &["toxic", "threat", "insult"],
    );
    assert_eq!(
        known.dataset.targets().unwrap(),
        Targets::Labels(vec![vec![0, 1], vec![]])
    );
    // The rarest label says how rows are split; rows without a label are of a stratum of their own.
    assert_eq!(found.dataset.strata(), [0, 3]);
}

#[test]
fn what_is_no_set_of_labels_is_refused_by_line_and_column() {
    let refuse = |content: &str, format, known: Option<&[&str]>, columns: &[&str]| {
        let known = known.map(|names| LabelNames::new(names.iter().copied()).unwrap());
        let columns = columns.iter().map(|name| (*name).into()).collect();
        let labels = LabelRule::Sets { known, columns };
        let options = ReadOptions {
            labels,
            ..ReadOptions::default()
        };
        read_str(content, "x", format, &options).unwrap_err().to_string()
    };
    let two = refuse("text,a,b\nx,1,0\ny,2,0\n", Format::Csv, None, &["a", "b"]);
    assert!(
        two.contains("line 3") && two.contains("`a`") && two.contains("0 or 1"),
        "{two}"
    );
    let unknown = refuse(
        "{\"text\": \"a\", \"labels\": [\"x\", \"q\"]}\n",
        Format::Jsonl,
        Some(&["x", "y"]),
        &[],
    );
    assert!(unknown.contains("`q`") && unknown.contains('y'), "{unknown}");
    // Of two labels, no row says which is which.
    let of = |lists: [&str; 2]| {
        lists
            .map(|list| format!("{{\"text\": \"a\", \"labels\": {list}}}\n"))
            .concat()
    };
    for lists in [["[1, 0, 0]", "[0, 1, 0]"], ["[1.0, 0.0]", "[1.0, 1.0]"]] {
        for known in [None, Some(&["x", "y", "z"][..])] {
            let truths = refuse(&of(lists), Format::Jsonl, known, &[]);
            assert!(
                truths.contains("`x`, line 1: `labels` is a list of 0 or 1")
                    && truths.contains("label_columns"),
                "{truths}"
            );
        }
    }
    let csv = refuse(
        "text,labels\na,\"[1, 0, 0]\"\nb,\"[0, 0, 1]\"\n",
        Format::Csv,
        None,
        &[],
    );
    assert!(csv.contains("a list of 0 or 1"), "{csv}");
    for cell in ["['x' 'y']", "('x', 'y')", "{'x', 'y'}", "[1 0]"] {
        let other = refuse(&format!("text,labels\na,\"{cell}\"\n"), Format::Csv, None, &[]);
        assert!(
            other.contains("line 2: `labels` is a string; expected a list of labels, such as"),
            "{other}"
        );
    }
    let missing = refuse("text,labels\na,x\nb,nan\n", Format::Csv, None, &[]);
    assert!(missing.contains("line 3: `labels` has no value"), "{missing}");
    let nested = refuse(
        "{\"text\": \"a\", \"labels\": [[\"x\"]]}\n",
        Format::Jsonl,
        None,
        &[],
    );
    assert!(nested.contains("a list of labels"), "{nested}");
}
