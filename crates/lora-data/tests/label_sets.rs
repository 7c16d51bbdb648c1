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
    let nested = refuse(
        "{\"text\": \"a\", \"labels\": [[\"x\"]]}\n",
        Format::Jsonl,
        None,
        &[],
    );
    assert!(nested.contains("a list of labels"), "{nested}");
}
