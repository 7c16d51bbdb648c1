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
