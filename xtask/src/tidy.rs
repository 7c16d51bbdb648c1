//! `cargo xtask tidy`: the rules of the house that compiler, clippy and rustfmt don't know.
//!
//! Each rule is a pure function from the files of the repository to findings, with a test on a small made-up
//! repository beside it.

mod configs;
mod files;
mod layers;
mod leftovers;
mod links;
mod machine_paths;
mod packages;
mod rust_code;
mod silence;
mod sources;
mod tree;
mod type_names;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;

/// A rule: what breaks it in this repository.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [Rule; 14] = [
    layers::crates_depend_downwards,
    files::rust_files_open_with_a_doc,
    files::rust_files_are_short,
    files::names_say_what_is_inside,
    leftovers::no_test_is_ignored,
    leftovers::no_code_is_unfinished,
    machine_paths::no_path_of_one_machine,
    silence::libraries_are_silent,
    configs::recipes_open_with_their_command,
    type_names::type_names_are_unique,
    links::links_lead_somewhere,
    packages::crates_can_be_published,
    packages::versions_are_one,
    sources::dependencies_come_from_the_registry,
];

/// One place that breaks a rule, and how to mend it.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; none when the whole file is meant.
    line: Option<usize>,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}: {}", self.path, self.message),
            None => write!(out, "{}: {}", self.path, self.message),
        }
    }
}

pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::of_repository(root)?;
    let findings: Vec<_> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "{} findings; {} files were read",
            findings.len(),
            tree.files().len()
        );
    }
    println!("{} files are tidy", tree.files().len());
    Ok(())
}
