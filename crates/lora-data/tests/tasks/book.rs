//! The table of the book is the table of the code.

use std::path::Path;

use lora_data::tasks::{ALL, Benchmark};

fn with_commas(rows: usize) -> String {
    let digits = rows.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}

fn line(task: &Benchmark) -> String {
    let splits = task.splits.iter().map(|split| match split.rows {
        Some(rows) => format!("{} {}", split.name, with_commas(rows)),
        None => split.name.to_owned(),
    });
    let splits = splits.collect::<Vec<_>>().join(", ");
    let hub = task
        .hub
        .map_or_else(|| "–".to_owned(), |(id, config)| format!("`{id}` {config}"));
    format!(
        "| `{}` | {} | {} | {splits} | {hub} | {} |",
        task.name,
        task.title,
        task.metric.words(),
        task.license
    )
}

#[test]
fn the_book_lists_every_task_as_the_table_has_it() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/tasks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let expected: Vec<String> = ALL.iter().map(|task| line(task)).collect();
    let found: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 7)
        .collect();
    assert!(
        found == expected,
        "the table in docs/src/tasks.md should be\n{}",
        expected.join("\n")
    );
}
