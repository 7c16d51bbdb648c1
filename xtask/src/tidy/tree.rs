//! The text files of the repository.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Finding;

/// All text files that are in git or could be added to it, sorted by path.
pub(super) struct Tree {
    files: Vec<File>,
}

/// A text file.
pub(super) struct File {
    /// From the root of the repository, with `/` on every system.
    pub path: String,
    pub text: String,
}

impl Tree {
    /// Files of the work tree as they are now, without what git ignores. Files that are not UTF-8 are left out.
    pub fn of_repository(root: &Path) -> Result<Self> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("cannot start git to list the files")?;
        if !listing.status.success() {
            bail!(
                "git ls-files failed in {}: {}",
                root.display(),
                String::from_utf8_lossy(&listing.stderr).trim()
            );
        }
        let paths = String::from_utf8(listing.stdout).context("a file name is not UTF-8")?;
        let mut files = Vec::new();
        for path in paths.split_terminator('\0') {
            // A file that was deleted but not yet committed is still listed.
            let Ok(bytes) = std::fs::read(root.join(path)) else {
                continue;
            };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Whether there is a file at a path, or a folder with files.
    pub fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let mut files = self.files.iter();
        files.any(|file| file.path == path || file.path.starts_with(&folder))
    }

    pub fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension(&["rs"]))
    }
}

impl File {
    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.path)
            .extension()
            .and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    }

    /// File name with extension.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The name of the crate whose `src` holds this file: `lora-eval` for `crates/lora-eval/src/…`.
    pub fn crate_of_source(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }

    /// A finding about the whole file.
    pub fn finding(&self, message: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line: None,
            message: message.into(),
        }
    }

    /// A finding about one line, counted from 0 as by `enumerate`.
    pub fn finding_at(&self, line_index: usize, message: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line: Some(line_index + 1),
            message: message.into(),
        }
    }
}

#[cfg(test)]
impl Tree {
    /// A made-up repository: paths and texts.
    pub fn made_up(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self {
            files: files.iter().map(file).collect(),
        }
    }

    /// What a rule finds, as printed without the message: `path` or `path:line`.
    pub fn places(&self, rule: super::Rule) -> Vec<String> {
        let place = |finding: Finding| match finding.line {
            Some(line) => format!("{}:{line}", finding.path),
            None => finding.path,
        };
        rule(self).into_iter().map(place).collect()
    }
}
