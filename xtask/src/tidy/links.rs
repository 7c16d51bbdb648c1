//! Links between pages lead to a file, and to a heading in it.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::{File, Tree};

pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Finding> {
    let pages = || tree.files().iter().filter(|file| is_page(file));
    let headings: BTreeMap<&str, BTreeSet<String>> = pages()
        .map(|file| (file.path.as_str(), headings_of(&file.text)))
        .collect();
    let mut findings = Vec::new();
    for file in pages() {
        for (line, target) in links_of(&file.text) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let Some(path) = resolved(&file.path, path) else {
                findings.push(file.finding_at(line, format!("`{target}` leads out of the repository")));
                continue;
            };
            if !tree.holds(&path) {
                findings.push(file.finding_at(line, format!("`{target}`: there is no {path}")));
            } else if !heading.is_empty()
                && headings
                    .get(path.as_str())
                    .is_some_and(|known| !known.contains(heading))
            {
                findings.push(file.finding_at(line, format!("`{target}`: {path} has no such heading")));
            }
        }
    }
    findings
}

fn is_page(file: &File) -> bool {
    file.has_extension(&["md"])
}

/// The targets of links to files, with the index of their line. Code is left out.
fn links_of(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Between single backticks nothing is a link.
        for prose in line.split('`').step_by(2) {
            for (_, rest) in prose.match_indices("](").map(|(at, _)| prose.split_at(at + 2)) {
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                // Of rustdoc, which checks it.
                let is_item = target.contains("::");
                let is_address = is_item || target.contains("://") || target.starts_with("mailto:");
                if !target.is_empty() && !is_address {
                    found.push((index, target));
                }
            }
        }
    }
    found
}

/// A path relative to a page, from the root of the repository; none above it.
fn resolved(page: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The names by which headings are linked: as mdBook and GitHub make them, a repeated one with a number.
fn headings_of(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let heading = line.trim_start_matches('#');
        if in_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let name: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|character| character.is_alphanumeric() || " -_".contains(*character))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect();
        let numbered = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

#[cfg(test)]
mod tests {
    //! Links to files and headings that are there, and to others.

    use super::links_lead_somewhere;
    use crate::tidy::tree::Tree;

    fn findings(page: &str) -> Vec<String> {
        let tree = Tree::made_up(&[
            ("docs/src/a.md", page),
            (
                "docs/src/deep/b.md",
                "# A `b`, and (more)\n## Twice\n## Twice\n```\n# no heading\n```\n",
            ),
            ("crates/c/src/lib.rs", "//! C.\n"),
        ]);
        links_lead_somewhere(&tree)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn files_folders_and_headings_that_are_there_are_fine() {
        let page = "# Top\n[b](deep/b.md) [b](deep/b.md#a-b-and-more) [2](deep/b.md#twice-1) [here](#top)\n\
                    [c](../../crates/c/src/lib.rs) [folder](../../crates) [web](https://example.org/x#y)\n\
                    `[code](nowhere.md)`\n```text\n[code](nowhere.md)\n```\n";
        assert_eq!(findings(page), [""; 0]);
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let cases = [
            ("[b](b.md)", "there is no docs/src/b.md"),
            ("[b](deep/b.md#no-heading)", "no such heading"),
            ("[a](#bottom)", "no such heading"),
            ("[x](../../../x.md)", "leads out"),
        ];
        for (link, expected) in cases {
            let found = findings(&format!("# Top\n\n{link}\n"));
            assert!(
                found.len() == 1 && found[0].contains(expected) && found[0].starts_with("docs/src/a.md:3"),
                "{link}: {found:?}"
            );
        }
    }
}
