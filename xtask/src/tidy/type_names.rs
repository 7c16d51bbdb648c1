//! One meaning a name: no two types that others can see are called the same, wherever they are.

use std::collections::BTreeMap;

use super::Finding;
use super::rust_code::code_only;
use super::tree::Tree;

pub(super) fn type_names_are_unique(tree: &Tree) -> Vec<Finding> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        for (index, line) in code_only(&file.text).lines().enumerate() {
            let Some(name) = visible_type(line) else { continue };
            let place = format!("{}:{}", file.path, index + 1);
            if let Some(other) = first.get(name) {
                let message =
                    format!("`{name}` is the name of a type in {other} too; give one of them another");
                findings.push(file.finding_at(index, message));
            } else {
                first.insert(name.to_owned(), place);
            }
        }
    }
    findings
}

/// The name of the type that a line declares for other files.
fn visible_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let declared = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?.1,
        None => rest,
    };
    let (word, name) = declared.trim_start().split_once(' ')?;
    let name = name
        .split(|character: char| !character.is_alphanumeric())
        .next()?;
    ["struct", "enum", "trait", "type", "union"]
        .contains(&word)
        .then_some(name)
}

#[cfg(test)]
mod tests {
    //! What counts as the same name.

    use super::type_names_are_unique;
    use crate::tidy::tree::Tree;

    #[test]
    fn a_name_that_two_files_show_is_found() {
        let tree = Tree::made_up(&[
            (
                "a.rs",
                "pub struct Row;\npub enum Side<'a> {}\npub fn column() {}\n",
            ),
            (
                "b.rs",
                "pub(crate) trait Row {}\nstruct Side;\npub type Column = u8;\n",
            ),
            (
                "c.rs",
                "// pub struct Row;\nmod inner {\n    pub(super) enum Side {}\n}\n",
            ),
        ]);
        assert_eq!(tree.places(type_names_are_unique), ["b.rs:1", "c.rs:3"]);
    }
}
