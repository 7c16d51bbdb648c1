//! Where dependencies come from: the public registry, or this repository. `cargo deny` knows more, and is not everywhere.

use super::Finding;
use super::tree::Tree;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn dependencies_come_from_the_registry(tree: &Tree) -> Vec<Finding> {
    let locks = tree.files().iter().filter(|file| file.name() == "Cargo.lock");
    let mut findings = Vec::new();
    for file in locks {
        for (index, line) in file.text.lines().enumerate() {
            let source = line
                .strip_prefix("source = ")
                .map(|source| source.trim_matches('"'));
            if let Some(source) = source.filter(|source| *source != REGISTRY) {
                findings.push(file.finding_at(
                    index,
                    format!("a package from {source}; take its release from the registry"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_from_elsewhere_is_a_finding_and_one_of_this_repository_is_none() {
        let lock = format!(
            "[[package]]\nname = \"a\"\nsource = \"{REGISTRY}\"\n\n[[package]]\nname = \"b\"\n\n\
             [[package]]\nname = \"c\"\nsource = \"git+https://example.org/c\"\n"
        );
        let findings = dependencies_come_from_the_registry(&Tree::made_up(&[("Cargo.lock", &lock)]));
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            findings,
            ["Cargo.lock:10: a package from git+https://example.org/c; take its release from the registry"]
        );
    }
}
