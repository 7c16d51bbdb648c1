//! Files of other forms than a CSV with a header.

use serde_json::Value;

use crate::workspace::{Said, Workspace, recipe};

fn rows_of(said: &Said) -> u64 {
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    document["rows"].as_u64().unwrap()
}

#[test]
fn a_file_without_a_header_is_read_by_index_and_every_row_counts() {
    let workspace = Workspace::new();
    for name in ["train", "dev"] {
        let with_header = String::from_utf8(workspace.read(&format!("{name}.csv"))).unwrap();
        let rows = with_header.split_once('\n').unwrap().1;
        workspace.write(&format!("bare_{name}.csv"), rows);
    }
    workspace.write(
        "bare.yaml",
        recipe(&[
            ("train_file", "bare_train.csv"),
            ("validation_file", "bare_dev.csv"),
            ("header", "false"),
            ("text_column", "0"),
            ("label_column", "1"),
        ]),
    );
    workspace.lora_works(&[
        "train",
        "--config",
        "run.yaml",
        "--output-dir",
        "named",
        "--quiet",
    ]);
    workspace.lora_works(&["train", "--config", "bare.yaml", "--quiet"]);
    let adapter = |folder: &str| workspace.read(&format!("{folder}/adapter_model.safetensors"));
    assert_eq!(
        adapter("out"),
        adapter("named"),
        "the same rows, the same adapter"
    );

    // The adapter remembers the form; a flag has the last word.
    let eval = ["eval", "--adapter", "out", "--json", "--quiet"];
    let bare = workspace.lora_works(&[&eval[..], &["--data", "bare_train.csv"]].concat());
    assert_eq!(rows_of(&bare), 24);
    let named = workspace.lora_works(&[&eval[..], &["--data", "train.csv", "--header"]].concat());
    assert_eq!(rows_of(&named), 24);
    let flag = [
        "train",
        "--config",
        "bare.yaml",
        "--overwrite",
        "--header",
        "--quiet",
    ];
    let said = workspace.lora(&flag);
    assert_eq!(
        said.code,
        Some(0),
        "indices count with a header too: {}",
        said.stderr
    );
}

#[test]
fn names_of_columns_need_a_header() {
    let workspace = Workspace::new();
    let said = workspace.lora(&[
        "train",
        "--config",
        "run.yaml",
        "--header=false",
        "--text-column",
        "text",
    ]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for part in ["the columns have no names", "by index, from 0; `text` was given"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}

#[test]
fn a_file_between_semicolons_is_learned_from_told_and_written_back_so() {
    let workspace = Workspace::new();
    let of_commas = String::from_utf8(workspace.read("train.csv")).unwrap();
    let of_semicolons = of_commas.replace(',', ";");
    assert_eq!(of_semicolons.matches(';').count(), of_semicolons.lines().count());
    workspace.write("train.csv", of_semicolons);
    let said = workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2"]);
    let told =
        "train.csv: 24 rows, text `text`, label `label`, separated by semicolons, 2 classes: bad, good";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    workspace.write("new.csv", "id;text\n7;dull, and long\n");
    let said = workspace.lora_works(&["predict", "out", "--data", "new.csv", "--output", "labelled.csv"]);
    assert!(
        said.stderr
            .contains("new.csv: text `text`, separated by semicolons"),
        "{}",
        said.stderr
    );
    let table = String::from_utf8(workspace.read("labelled.csv")).unwrap();
    assert!(
        table.starts_with("\"id\";\"text\";\"label\";\"probability\";"),
        "{table}"
    );
    assert!(table.contains("\n7;\"dull, and long\";"), "{table}");
}

#[test]
fn labels_that_differ_in_case_stay_apart_and_are_told() {
    let workspace = Workspace::new();
    let labels = ["Billing", "billing", "BILLING", "other"];
    let rows = (0..32).map(|row| format!("text {row},{}\n", labels[row % 4]));
    workspace.write("train.csv", format!("text,label\n{}", rows.collect::<String>()));
    let command = [
        "train",
        "--config",
        "run.yaml",
        "--validation-file",
        "train.csv",
        "--max-steps",
        "2",
    ];
    let said = workspace.lora_works(&command);
    for part in [
        "4 classes: BILLING, Billing, billing, other",
        "note: the labels `BILLING`, `Billing`, `billing` differ only in case and are 3 classes; write them alike if one is meant",
    ] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}

#[test]
fn a_table_of_a_spreadsheet_keeps_its_byte_order_mark_and_other_files_get_none() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    let labelled = |file: &str, content: &str| {
        workspace.write(file, content);
        let command = ["predict", "out", "--data", file, "--output", "labelled.csv"];
        workspace.lora_works(&[&command[..], &["--overwrite"]].concat());
        String::from_utf8(workspace.read("labelled.csv")).unwrap()
    };
    let marked = labelled("marked.csv", "\u{FEFF}id;text\n7;größer, als\n");
    assert!(
        marked.starts_with("\u{FEFF}\"id\";\"text\";\"label\";"),
        "{marked}"
    );
    let bare = labelled("bare.csv", "id;text\n7;größer, als\n");
    assert_eq!(marked.strip_prefix('\u{FEFF}'), Some(&bare[..]));
    // The mark is for spreadsheets, which read no JSONL.
    let of_lines = labelled("marked.jsonl", "\u{FEFF}{\"text\": \"größer\"}\n");
    assert!(of_lines.starts_with("text,label,"), "{of_lines}");
}
