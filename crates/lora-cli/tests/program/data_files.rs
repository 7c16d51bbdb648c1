//! Files of one's own as other tools write them: what is learned from them, and what is said about them.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::workspace::{Said, Workspace, recipe};

/// Settings for one file that is split.
fn one_file(name: &str) -> String {
    recipe(&[
        ("train_file", ""),
        ("validation_file", ""),
        ("data_file", name),
        ("max_steps", "2"),
        ("validation_fraction", "0.2"),
        ("test_fraction", "0.2"),
    ])
}

fn results(workspace: &Workspace) -> Value {
    serde_json::from_slice(&workspace.read("out/results.json")).unwrap()
}

/// Trains for two steps on these rows of text and label.
fn train_on(workspace: &Workspace, rows: &[(String, String)]) -> Said {
    let lines: Vec<String> = rows
        .iter()
        .map(|(text, label)| format!("{text},{label}\n"))
        .collect();
    workspace.write("data.csv", format!("text,label\n{}", lines.concat()));
    workspace.write("one.yaml", one_file("data.csv"));
    workspace.lora_works(&["train", "--config", "one.yaml", "--overwrite"])
}

#[test]
fn texts_that_repeat_are_on_one_side_of_the_split_and_are_said() {
    let workspace = Workspace::new();
    // Twelve texts of four rows each, two of them with one label that differs.
    let row = |row: usize| {
        let text = row % 12;
        let spaces = if row < 12 { "" } else { "  " };
        let label = if row == 0 || row == 1 {
            "good"
        } else {
            ["bad", "good"][text / 6]
        };
        (format!("film {spaces}number {text}"), label.to_owned())
    };
    let said = train_on(&workspace, &(0..48).map(row).collect::<Vec<_>>());
    for sentence in [
        "12 texts stand in more than one row (48 rows, such as `film number ",
        "), 2 of them with different labels",
    ] {
        assert!(said.stderr.contains(sentence), "{}", said.stderr);
    }
    let results = results(&workspace);
    let rows = &results["run"]["rows"];
    // A fifth of 48 rows is 9.6, so 10 rows: 2.5 texts, rounded.
    assert_eq!(
        (&rows["train"], &rows["validation"], &rows["test"]),
        (&24.into(), &12.into(), &12.into())
    );
    assert_eq!(results["run"]["row_checks"]["repeated"]["texts"], 12);
    assert_eq!(results["run"]["row_checks"]["shared"], Value::Array(Vec::new()));
    let page = String::from_utf8(workspace.read("out/report.html")).unwrap();
    assert!(page.contains("12 texts stand in more than one row"));
}

#[test]
fn texts_that_files_share_are_counted_in_a_warning() {
    let workspace = Workspace::new();
    workspace.write(
        "test.csv",
        "text,label\na gripping   film number 0,bad\nsomething new,good\n",
    );
    let said = workspace.lora_works(&[
        "train",
        "--config",
        "run.yaml",
        "--test-file",
        "test.csv",
        "--max-steps",
        "2",
    ]);
    let sentence = "warning: 1 of 2 test rows (50.0 %) has a text that is among the training rows too (1 of them with another \
                    label), such as `a gripping film number 0`";
    assert!(said.stderr.contains(sentence), "{}", said.stderr);
    let checks = &results(&workspace)["run"]["row_checks"];
    assert_eq!(checks["shared"][0]["texts"]["rows"], 1);
    assert!(
        String::from_utf8(workspace.read("out/report.html"))
            .unwrap()
            .contains("learned by heart")
    );
}

#[test]
fn every_class_is_trained_on_and_a_part_without_one_says_so() {
    let workspace = Workspace::new();
    let rows: Vec<(String, String)> = (0..40)
        .map(|row| {
            (
                format!("text {row}"),
                if row < 36 {
                    "common".to_owned()
                } else {
                    format!("rare {row}")
                },
            )
        })
        .collect();
    let said = train_on(&workspace, &rows);
    for part in ["validation", "test"] {
        let sentence = format!(
            "4 of 5 classes have no {part} row (`rare 36`, `rare 37`, `rare 38`, `rare 39`): scores there say nothing about them"
        );
        assert!(said.stderr.contains(&sentence), "{}", said.stderr);
    }
    assert!(!said.stderr.contains("no training row"), "{}", said.stderr);
}

#[test]
fn whole_numbers_written_as_decimals_are_classes_unless_told_otherwise() {
    let workspace = Workspace::new();
    let rows: Vec<(String, String)> = (0..20)
        .map(|row| (format!("text {row}"), format!("{}.0", row % 2)))
        .collect();
    let said = train_on(&workspace, &rows);
    assert!(
        said.stderr.contains("2 classes: 0, 1") && said.stderr.contains("--problem-type regression"),
        "{}",
        said.stderr
    );
    let label = |words: &[&str]| workspace.lora_works(words).stdout;
    let predicted = label(&["predict", "--adapter", "out", "--json", "text 0"]);
    assert!(
        predicted.contains("\"label\":\"0\"") || predicted.contains("\"label\":\"1\""),
        "{predicted}"
    );
    let train = ["train", "--config", "one.yaml", "--overwrite", "--problem-type"];
    workspace.lora_works(&[&train[..], &["regression"]].concat());
    assert!(label(&["predict", "--adapter", "out", "--json", "text 0"]).contains("\"value\":"));
    workspace.write(
        "data.csv",
        "text,label\na,0.5\nb,1.5\nc,0.5\nd,1.5\ne,0.5\nf,1.5\ng,1.5\nh,0.5\n",
    );
    let said = workspace.lora_works(&["train", "--config", "one.yaml", "--overwrite"]);
    assert!(
        said.stderr
            .contains("so this is a regression; problem_type single_label_classification"),
        "{}",
        said.stderr
    );
    let said = workspace.lora_works(&[&train[..], &["single_label_classification"]].concat());
    assert!(said.stderr.contains("2 classes: 0.5, 1.5"), "{}", said.stderr);
}

fn trained() -> Workspace {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    workspace
}

/// Predicts for what stands on the standard input.
fn predict_lines(workspace: &Workspace, flags: &[&str], lines: &[u8]) -> Said {
    with_input(
        workspace,
        &[&["predict", "--adapter", "out", "-"], flags].concat(),
        lines,
    )
}

/// What the program says with this on the standard input.
fn with_input(workspace: &Workspace, words: &[&str], lines: &[u8]) -> Said {
    let mut command = workspace.command(words);
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines).unwrap();
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn labels_that_are_taken_for_indices_are_told_with_the_class_of_each() {
    let workspace = trained();
    workspace.write("indices.csv", "text,label\na gripping film,1\na dull film,0\n");
    let eval = |data| workspace.lora_works(&["eval", "--adapter", "out", "--data", data]);
    let train = ["train", "--config", "run.yaml", "--max-steps", "1", "--overwrite"];
    let sentence = "labels such as `1` are taken for the indices of the classes: 0 is `bad`, 1 is `good`";
    for said in [
        eval("indices.csv"),
        workspace.lora_works(&[&train[..], &["--validation-file", "indices.csv"]].concat()),
    ] {
        assert!(said.stderr.contains(sentence), "{}", said.stderr);
    }
    let said = eval("dev.csv");
    assert!(!said.stderr.contains("indices"), "{}", said.stderr);
}

#[test]
fn a_header_on_the_standard_input_is_told_and_a_table_there_is_read() {
    let workspace = trained();
    let table = b"text,label\na dull film,bad\n";
    let said = predict_lines(&workspace, &["--json"], table);
    assert_eq!(said.stdout.lines().count(), 2, "{}", said.stdout);
    assert!(said.stderr.contains("looks like a header"), "{}", said.stderr);
    let said = predict_lines(&workspace, &["--json"], b"a dull film\n");
    assert!(!said.stderr.contains("looks like a header"), "{}", said.stderr);
    #[cfg(unix)] // elsewhere the standard input has no path
    {
        let of_table = ["predict", "out", "--data", "-", "--data-format", "csv", "--json"];
        let found = with_input(&workspace, &of_table, table);
        assert_eq!(found.code, Some(0), "{}", found.stderr);
        assert_eq!(found.stdout, said.stdout);
    }
}

#[test]
fn rows_without_a_text_are_answered_with_null_and_counted() {
    let workspace = trained();
    let said = predict_lines(&workspace, &["--json"], b"a dull film\n\n  \na gripping film\n");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let rows: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has_label: Vec<bool> = rows.iter().map(|row| !row["label"].is_null()).collect();
    assert_eq!(has_label, [true, false, false, true]);
    assert!(rows[1]["probability"].is_null() && rows[1].get("probabilities").is_some());
    assert!(
        said.stderr
            .contains("2 of 4 rows have no text and are answered with null (rows 2, 3, counted from 1)"),
        "{}",
        said.stderr
    );
    // The answers are those of the texts alone.
    let alone = predict_lines(&workspace, &["--json"], b"a dull film\na gripping film\n");
    let alone: Vec<Value> = alone
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!([&alone[0], &alone[1]], [&rows[0], &rows[3]]);

    workspace.write("new.csv", "id,text\n1,a dull film\n2,\n3,a gripping film\n");
    workspace.lora_works(&[
        "predict",
        "--adapter",
        "out",
        "--data",
        "new.csv",
        "--output",
        "labelled.csv",
    ]);
    let table = String::from_utf8(workspace.read("labelled.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[2].starts_with("2,,,,"), "{table}");
    for (flags, part) in [
        (&["--data", "new.csv"][..], "line 3: the text in `text` is empty"),
        (&["a film", ""], "text 2 is empty"),
    ] {
        let said = workspace.lora(&[&["predict", "--adapter", "out", "--strict"], flags].concat());
        assert!(
            said.code == Some(2) && said.stderr.contains(part),
            "{}",
            said.stderr
        );
    }
    workspace.write("none.csv", "text\n\" \"\n\"\"\n");
    let said = workspace.lora(&["predict", "--adapter", "out", "--data", "none.csv"]);
    assert!(
        said.code == Some(2) && said.stderr.contains("every text in `text` is empty"),
        "{}",
        said.stderr
    );
}

#[test]
fn lines_in_utf_16_are_read_as_in_utf_8() {
    let workspace = trained();
    let text = "a größer film\nкино\n";
    let wide: Vec<u8> = format!("\u{FEFF}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let plain = predict_lines(&workspace, &["--json"], text.as_bytes());
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    assert_eq!(predict_lines(&workspace, &["--json"], &wide).stdout, plain.stdout);
    let run: Vec<u8> = recipe(&[("max_steps", "2"), ("output_dir", "wide")])
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    workspace.write("wide.yaml", run);
    workspace.lora_works(&["train", "--config", "wide.yaml", "--quiet"]);
}

#[test]
fn predictions_on_their_own_output_have_unique_columns() {
    let workspace = trained();
    workspace.write("round0.csv", "text,label\na dull film,mine\n");
    for round in 0..3 {
        let (data, output) = (format!("round{round}.csv"), format!("round{}.csv", round + 1));
        let said = workspace.lora_works(&[
            "predict",
            "--adapter",
            "out",
            "--data",
            &data,
            "--output",
            &output,
        ]);
        assert!(
            said.stderr.contains("there is a column `label` already"),
            "{}",
            said.stderr
        );
        let table = String::from_utf8(workspace.read(&output)).unwrap();
        let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
        let different: std::collections::HashSet<&&str> = header.iter().collect();
        assert_eq!(different.len(), header.len(), "{header:?}");
        assert!(table.lines().nth(1).unwrap().starts_with("a dull film,mine,"));
    }
}

#[test]
fn a_base_model_by_a_relative_path_is_looked_for_and_named() {
    let workspace = trained();
    std::fs::create_dir(workspace.path("elsewhere")).unwrap();
    std::fs::rename(workspace.path("out"), workspace.path("elsewhere/out")).unwrap();
    for (base, in_message) in [
        ("model", "elsewhere/model"),
        ("./models/tiny", "elsewhere/./models/tiny"),
        ("minilm", "elsewhere/minilm"),
    ] {
        let task = String::from_utf8(workspace.read("elsewhere/out/task.json")).unwrap();
        let mut task: Value = serde_json::from_str(&task).unwrap();
        task["base_model"] = base.into();
        workspace.write("elsewhere/out/task.json", task.to_string());
        for words in [
            &["predict", "--adapter", "out", "a film"][..],
            &["merge", "--adapter", "out", "--output", "merged"],
            &["export", "--adapter", "out", "--output", "plain"],
        ] {
            let output = workspace
                .command(words)
                .current_dir(workspace.path("elsewhere"))
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            // An export needs no base model unless something was taken from it.
            if words[0] == "export" && output.status.success() {
                std::fs::remove_dir_all(workspace.path("elsewhere/plain")).unwrap();
                continue;
            }
            assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
            for part in [
                in_message,
                "a relative path starts at the current folder",
                "--model",
            ] {
                assert!(stderr.contains(part), "{words:?}: `{part}` is not in: {stderr}");
            }
            assert!(!stderr.contains("embedded model"), "{stderr}");
        }
    }
    let output = workspace
        .command(&["predict", "--adapter", "out", "--base", "../model", "a film"])
        .current_dir(workspace.path("elsewhere"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
