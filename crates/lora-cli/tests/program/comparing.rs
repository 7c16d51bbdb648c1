//! `lora compare`: which kinds of task it takes. That its command trains what it advises is tested in `scored_alike`.

use crate::workspace::Workspace;

/// Two classes, told by one of six words beside a number that says nothing.
pub fn texts(rows: usize) -> String {
    let words = [
        ("gripping", "good"),
        ("dull", "bad"),
        ("warm", "good"),
        ("boring", "bad"),
        ("wonderful", "good"),
        ("flat", "bad"),
    ];
    let line = |row: usize| {
        let (word, label) = words[row % words.len()];
        format!("a {word} film number {row},{label}\n")
    };
    let lines: String = (0..rows).map(line).collect();
    format!("text,label\n{lines}")
}

#[test]
fn kinds_of_task_that_are_not_compared_are_named() {
    let workspace = Workspace::new();
    workspace.write("films.csv", texts(120));
    for (kind, part) in [
        (
            "multi_label_classification",
            "lora compare takes single_label_classification and regression",
        ),
        ("sentiment", "--problem-type `sentiment` is unknown"),
    ] {
        let said = workspace.lora(&["compare", "films.csv", "--problem-type", kind]);
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}
