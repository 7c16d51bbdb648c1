//! Rust files: how they begin, how long they get, what they are called.

use super::Finding;
use super::tree::Tree;

/// A longer file has more than one subject.
const LONGEST: usize = 400;

/// How a library begins whose documentation is its README.
const README: &str = "#![doc = include_str!(\"../README.md\")]";

/// Names that say nothing of the content.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

pub(super) fn rust_files_open_with_a_doc(tree: &Tree) -> Vec<Finding> {
    let opens_with_doc = |text: &str| {
        text.lines()
            .next()
            .is_some_and(|line| (line.starts_with("//! ") && line.len() > 4) || line == README)
    };
    let files = tree.rust_files().filter(|file| !opens_with_doc(&file.text));
    files
        .map(|file| {
            file.finding_at(
                0,
                "the first line must be a `//!` sentence that says what the file is for",
            )
        })
        .collect()
}

pub(super) fn rust_files_are_short(tree: &Tree) -> Vec<Finding> {
    let files = tree
        .rust_files()
        .filter(|file| file.text.lines().count() > LONGEST);
    files
        .map(|file| {
            let lines = file.text.lines().count();
            file.finding(format!(
                "{lines} lines; split it by subject: a file has at most {LONGEST}"
            ))
        })
        .collect()
}

pub(super) fn names_say_what_is_inside(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        let words = file
            .path
            .split('/')
            .map(|part| part.strip_suffix(".rs").unwrap_or(part));
        if let Some(name) = words.into_iter().find(|word| EMPTY_NAMES.contains(word)) {
            findings.push(file.finding(format!(
                "`{name}` says nothing of the content; name the file after what it does"
            )));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    //! Each rule on files that keep it and files that break it.

    use super::{LONGEST, names_say_what_is_inside, rust_files_are_short, rust_files_open_with_a_doc};
    use crate::tidy::tree::Tree;

    #[test]
    fn a_file_must_open_with_a_sentence() {
        let tree = Tree::made_up(&[
            ("a.rs", "//! Adds.\nfn add() {}\n"),
            ("b.rs", "fn add() {}\n//! Adds.\n"),
            ("c.rs", "//!\n"),
            ("d.rs", ""),
            ("e.md", "no rust"),
        ]);
        assert_eq!(
            tree.places(rust_files_open_with_a_doc),
            ["b.rs:1", "c.rs:1", "d.rs:1"]
        );
    }

    #[test]
    fn a_file_of_the_greatest_length_is_fine_and_one_line_more_is_not() {
        let (longest, longer) = ("x\n".repeat(LONGEST), "x\n".repeat(LONGEST + 1));
        let tree = Tree::made_up(&[("a.rs", &longest), ("b.rs", &longer), ("c.md", &longer)]);
        assert_eq!(tree.places(rust_files_are_short), ["b.rs"]);
    }

    #[test]
    fn names_without_content_are_refused_for_files_and_folders() {
        let tree = Tree::made_up(&[
            ("crates/a/src/utils.rs", ""),
            ("crates/a/src/common/mod.rs", ""),
            ("crates/a/src/commons.rs", ""),
            ("docs/common/note.md", ""),
        ]);
        assert_eq!(
            tree.places(names_say_what_is_inside),
            ["crates/a/src/utils.rs", "crates/a/src/common/mod.rs"]
        );
    }
}
