//! What is left over from work that is not finished.

use super::Finding;
use super::rust_code::{calls_macro, code_only};
use super::tree::{File, Tree};

const UNFINISHED_MACROS: [&str; 3] = ["todo", "dbg", "unimplemented"];
/// Split, so that this file keeps its own rule.
const UNFINISHED_WORDS: [&str; 3] = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
/// Where people write; data may hold any word.
const WRITTEN: [&str; 11] = [
    "rs", "toml", "md", "yaml", "yml", "html", "css", "js", "py", "sh", "svg",
];

pub(super) fn no_test_is_ignored(tree: &Tree) -> Vec<Finding> {
    let is_ignored =
        |line: &str| line.contains("#[ignore") || (line.contains("#[cfg_attr(") && line.contains(" ignore"));
    in_code(tree, |line| {
        is_ignored(line).then(|| "a test is ignored; mend it or remove it".to_owned())
    })
}

pub(super) fn no_code_is_unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = in_code(tree, |line| {
        let name = UNFINISHED_MACROS
            .into_iter()
            .find(|name| calls_macro(line, name))?;
        Some(format!(
            "`{name}!` is for work in progress; finish it before it lands"
        ))
    });
    for file in tree.files().iter().filter(|file| file.has_extension(&WRITTEN)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(word) = UNFINISHED_WORDS.into_iter().find(|word| has_word(line, word)) {
                let message = format!("`{word}` marks work in progress; mend it now or open an issue");
                findings.push(file.finding_at(index, message));
            }
        }
    }
    findings
}

/// Findings in the code of Rust files, line by line.
fn in_code(tree: &Tree, find: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let findings_of = |file: &File| -> Vec<Finding> {
        let code = code_only(&file.text);
        let lines = code.lines().enumerate();
        lines
            .filter_map(|(index, line)| find(line).map(|message| file.finding_at(index, message)))
            .collect()
    };
    tree.rust_files().flat_map(findings_of).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |character: Option<char>| {
            character.is_some_and(|character| character.is_alphanumeric() || character == '_')
        };
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    //! Leftovers are found in code, not in words about them.

    use super::{UNFINISHED_WORDS, no_code_is_unfinished, no_test_is_ignored};
    use crate::tidy::tree::Tree;

    #[test]
    fn ignored_tests_are_found() {
        let tree = Tree::made_up(&[
            (
                "a.rs",
                "//! About `#[ignore]`.\n#[test]\n#[ignore = \"slow\"]\nfn a() {}\n",
            ),
            (
                "b.rs",
                "#[cfg_attr(miri, ignore)]\n// #[ignore]\nconst A: &str = \"#[ignore]\";\n",
            ),
        ]);
        assert_eq!(tree.places(no_test_is_ignored), ["a.rs:3", "b.rs:1"]);
    }

    #[test]
    fn unfinished_code_is_found() {
        let tree = Tree::made_up(&[
            (
                "a.rs",
                "fn a() { todo!() }\nfn b() { std::dbg!(1); }\n// todo!()\nmy_todo!();\n",
            ),
            ("b.rs", "\nunimplemented!(\"later\")"),
        ]);
        assert_eq!(tree.places(no_code_is_unfinished), ["a.rs:1", "a.rs:2", "b.rs:2"]);
    }

    #[test]
    fn marks_of_unfinished_work_are_found_as_whole_words_where_people_write() {
        let [first, second, third] = UNFINISHED_WORDS;
        let text = format!("{first}: later\n{second}L\n_{third}\n({third})\n");
        let tree = Tree::made_up(&[("a.md", &text), ("vocabulary.txt", &text)]);
        assert_eq!(tree.places(no_code_is_unfinished), ["a.md:1", "a.md:4"]);
    }
}
