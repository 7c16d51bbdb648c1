//! No path of one machine in a file that everybody gets.

use super::Finding;
use super::tree::{File, Tree};

/// Split, so that this file keeps its own rule.
const ROOTS: [&str; 6] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/t", "mp/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\"),
];

pub(super) fn no_path_of_one_machine(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| !is_vendored_data(file)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(root) = ROOTS.into_iter().find(|root| has_root(line, root)) {
                let message = format!(
                    "`{root}…` exists on one machine only; use a relative path, an argument or a temporary folder"
                );
                findings.push(file.finding_at(index, message));
            }
        }
    }
    findings
}

/// Embedded models and texts are kept byte for byte as their authors wrote them.
fn is_vendored_data(file: &File) -> bool {
    let folders = ["assets/", "crates/lora-experiments/snippets/"];
    folders.iter().any(|folder| file.path.starts_with(folder)) && !file.has_extension(&["md", "py"])
}

/// Whether an absolute path begins in this line: not the middle of a relative path or an address.
fn has_root(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "._-~/}>$*".contains(character))
    })
}

#[cfg(test)]
mod tests {
    //! Absolute paths are found, relative ones and addresses are not.

    use super::{ROOTS, no_path_of_one_machine};
    use crate::tidy::tree::Tree;

    #[test]
    fn absolute_paths_of_machines_are_found() {
        for root in ROOTS {
            let text = format!("fine\nlet path = \"{root}me/model\";\n");
            let tree = Tree::made_up(&[
                ("a.rs", &text),
                ("docs/b.md", &text),
                ("assets/m/tokenizer.json", &text),
            ]);
            assert_eq!(
                tree.places(no_path_of_one_machine),
                ["a.rs:2", "docs/b.md:2"],
                "{root}"
            );
        }
    }

    #[test]
    fn relative_paths_and_addresses_are_not_paths_of_a_machine() {
        for root in &ROOTS[..5] {
            let text =
                format!("see docs{root}x, ..{root}x, ${{BASE}}{root}x and https://example.org{root}x\n");
            assert_eq!(
                Tree::made_up(&[("a.md", &text)]).places(no_path_of_one_machine),
                [""; 0],
                "{root}"
            );
        }
    }
}
