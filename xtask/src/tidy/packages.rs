//! Crates that people get from the registry: what their pages there need. `cargo xtask check --only package` packs them.

use toml::{Table, Value};

use super::Finding;
use super::tree::{File, Tree};

/// The registry's limits.
const MOST_KEYWORDS: usize = 5;
const LONGEST_KEYWORD: usize = 20;

pub(super) fn crates_can_be_published(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let folder = file.path.strip_prefix("crates/");
        let Some(folder) = folder.and_then(|path| path.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        // What is no TOML is found by another rule.
        let Ok(manifest) = file.text.parse::<Table>() else {
            continue;
        };
        let package = manifest.get("package").and_then(Value::as_table);
        let mut problems = package.map_or_else(Vec::new, problems_of);
        let holds = |name: &str| {
            let path = format!("crates/{folder}/{name}");
            tree.files().iter().find(|file| file.path == path)
        };
        let shows_readme = |file: &File| file.text.contains("include_str!(\"../README.md\")");
        if holds("README.md").is_none() {
            problems.push("there is no README.md beside it, which the registry shows".to_owned());
        } else if !holds("src/lib.rs").is_some_and(shows_readme) {
            problems.push(
                "src/lib.rs must show README.md as its documentation, so that the example in it is a test"
                    .to_owned(),
            );
        }
        findings.extend(problems.into_iter().map(|problem| file.finding(problem)));
    }
    findings
}

fn problems_of(package: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    if package.contains_key("publish") {
        problems.push("`publish` is left out: every crate here goes to the registry".to_owned());
    }
    if package.get("readme").and_then(Value::as_str) != Some("README.md") {
        problems.push("expected `readme = \"README.md\"`".to_owned());
    }
    if package
        .get("description")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        problems.push("`description` is missing".to_owned());
    }
    let list = |key: &str| package.get(key).and_then(Value::as_array);
    let keywords = list("keywords").map_or(0, Vec::len);
    let is_short = |keyword: &Value| keyword.as_str().is_some_and(|word| word.len() <= LONGEST_KEYWORD);
    if keywords == 0
        || keywords > MOST_KEYWORDS
        || !list("keywords").is_some_and(|all| all.iter().all(is_short))
    {
        problems.push(format!(
            "expected 1 to {MOST_KEYWORDS} `keywords` of at most {LONGEST_KEYWORD} letters"
        ));
    }
    if list("categories").is_none_or(Vec::is_empty) {
        problems.push("`categories` are missing".to_owned());
    }
    problems
}

/// In the root manifest a crate of the workspace has its path and the workspace's version: the registry drops the path.
pub(super) fn versions_are_one(tree: &Tree) -> Vec<Finding> {
    let root = tree.files().iter().find(|file| file.path == "Cargo.toml");
    let Some((root, manifest)) = root.and_then(|root| Some((root, root.text.parse::<Table>().ok()?))) else {
        return Vec::new();
    };
    let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) else {
        return Vec::new();
    };
    let version = workspace
        .get("package")
        .and_then(|package| package.get("version"));
    let dependencies = workspace.get("dependencies").and_then(Value::as_table);
    let own = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_some());
    let wrong = own.filter(|(_, value)| value.get("version") != version || version.is_none());
    wrong
        .map(|(name, _)| {
            root.finding(format!(
                "{name} needs the version of the workspace beside its path"
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    //! A manifest that can be published, and each way in which it cannot.

    use super::{crates_can_be_published, versions_are_one};
    use crate::tidy::tree::Tree;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"An a\"\nreadme = \"README.md\"\nkeywords = [\"a\"]\ncategories = [\"science\"]\n";
    const LIB: &str = "#![doc = include_str!(\"../README.md\")]\n";

    fn findings(manifest: &str, others: &[(&str, &str)]) -> Vec<String> {
        let files = [&[("crates/a/Cargo.toml", manifest)], others].concat();
        crates_can_be_published(&Tree::made_up(&files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_missing_piece_is_named() {
        let both = [("crates/a/README.md", "# a\n"), ("crates/a/src/lib.rs", LIB)];
        assert_eq!(findings(GOOD, &both), [""; 0]);
        let cases = [
            ("description = \"An a\"\n", "", "`description`"),
            ("readme = \"README.md\"\n", "", "readme"),
            ("keywords = [\"a\"]\n", "", "keywords"),
            (
                "[\"a\"]",
                "[\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]",
                "keywords",
            ),
            ("[\"a\"]", "[\"longer-than-twenty-letters\"]", "keywords"),
            ("[\"science\"]", "[]", "categories"),
            ("name = \"a\"\n", "name = \"a\"\npublish = false\n", "`publish`"),
        ];
        for (from, to, expected) in cases {
            let found = findings(&GOOD.replacen(from, to, 1), &both);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{from}: {found:?}"
            );
        }
        assert!(findings(GOOD, &both[1..])[0].contains("no README.md"));
        assert!(findings(GOOD, &both[..1])[0].contains("src/lib.rs"));
    }

    #[test]
    fn what_is_not_below_crates_is_not_published() {
        let tree = Tree::made_up(&[(
            "xtask/Cargo.toml",
            "[package]\nname = \"xtask\"\npublish = false\n",
        )]);
        assert_eq!(crates_can_be_published(&tree), []);
    }

    #[test]
    fn a_path_alone_and_another_version_are_found() {
        let manifest = |dependencies: &str| {
            format!(
                "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\nserde = \"1\"\n{dependencies}\n"
            )
        };
        let count = |dependencies: &str| {
            let text = manifest(dependencies);
            versions_are_one(&Tree::made_up(&[("Cargo.toml", &text)])).len()
        };
        assert_eq!(count("a = { path = \"a\", version = \"1.2.3\" }"), 0);
        assert_eq!(count("a = { path = \"a\", version = \"1.2.2\" }"), 1);
        assert_eq!(count("a = { path = \"a\" }"), 1);
    }
}
