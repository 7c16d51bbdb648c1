//! What can be wrong with a data file, and the sentence it ends in: file, line, the key it is about, the fix.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cells;
mod columns;
mod files;
mod tokenizer;

use std::fmt::Display;

use lora_data::{ColumnSelector, Columns, LabelNames, LabelRule, ReadOptions, read_file};

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

fn text_column(column: impl Into<ColumnSelector>) -> Columns {
    Columns {
        text: Some(column.into()),
        ..Columns::default()
    }
}

fn known(names: &[&str]) -> LabelRule {
    LabelRule::Known(LabelNames::new(names.iter().copied()).unwrap())
}

fn sentence_of(error: &impl Display) -> String {
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
