//! The one file that `--output` or `--report` names: checked before any work, and never written over unasked.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use lora_core::atomic::WriteError;
use thiserror::Error;

use crate::files::output::PROBE;

/// Words in the head of every report page, by which a page of ours is known; earlier ones go on with `-eval`.
const PAGE_MARK: &str = "<meta name=\"generator\" content=\"lora";
/// How far into a page the mark is looked for.
const HEAD: u64 = 4096;

/// A file that must not, or cannot, be written.
#[derive(Debug, Error)]
pub enum OutputFileError {
    /// It is also what is read.
    #[error("{flag} `{}` is the file that is read; give {flag} another name", path.display())]
    IsInput {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file is there.
    #[error("{flag} `{}` exists already; give another name, or write over it with --overwrite", path.display())]
    Exists {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file is there, and it is no report.
    #[error("{flag} `{}` exists already and is no report of this program; give a name that ends in .html and is free, or that of an earlier report", path.display())]
    NotAReport {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A page under a name that promises something else.
    #[error("{flag} `{}` is to hold an HTML page; end the name in .html", path.display())]
    NotHtml {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// There is no folder to write it to.
    #[error("{flag} `{}`: there is no folder `{}`; make it first, or give another name", path.display(), folder.display())]
    NoFolder {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The disk does not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Checks that the file that `flag` names can be written: it is not there yet, unless it may be written over, and it is not what
/// is read. Leaves nothing behind.
///
/// # Errors
///
/// [`OutputFileError`].
pub fn check_output(
    flag: &'static str,
    path: &Path,
    input: Option<&Path>,
    overwrite: bool,
) -> Result<(), OutputFileError> {
    let is_same = |input: &Path| {
        let real = (fs::canonicalize(path), fs::canonicalize(input));
        matches!(real, (Ok(output), Ok(input)) if output == input)
    };
    let path_buf = path.to_owned();
    if input.is_some_and(is_same) {
        return Err(OutputFileError::IsInput { flag, path: path_buf });
    }
    if path.exists() && !path.is_dir() && !overwrite {
        return Err(OutputFileError::Exists { flag, path: path_buf });
    }
    check_place(path, flag)
}

/// Checks that a page can be written to the file that `flag` names: its name ends in `.html`, and nothing is there, or, with `overwrite`,
/// nothing but an earlier page.
///
/// # Errors
///
/// [`OutputFileError`].
pub fn check_report(flag: &'static str, path: &Path, overwrite: bool) -> Result<(), OutputFileError> {
    let path_buf = path.to_owned();
    let is_html = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("html") || ending.eq_ignore_ascii_case("htm"));
    if !is_html {
        return Err(OutputFileError::NotHtml { flag, path: path_buf });
    }
    if path.exists() && !path.is_dir() && !is_page(path) {
        return Err(OutputFileError::NotAReport { flag, path: path_buf });
    }
    if path.exists() && !path.is_dir() && !overwrite {
        return Err(OutputFileError::Exists { flag, path: path_buf });
    }
    check_place(path, flag)
}

fn is_page(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains(PAGE_MARK)
}

/// A folder that takes a file of this name.
fn check_place(path: &Path, flag: &'static str) -> Result<(), OutputFileError> {
    let failed = |source| WriteError {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::IsADirectory)).into());
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.exists() {
        return Err(OutputFileError::NoFolder {
            flag,
            path: path.to_owned(),
            folder: folder.to_owned(),
        });
    }
    let mut probe = tempfile::tempfile_in(folder).map_err(failed)?;
    Ok(probe.write_all(&PROBE).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_report::Page;

    use super::*;

    #[test]
    fn what_is_there_is_written_over_only_when_asked_to_and_the_input_never() {
        let folder = tempfile::tempdir().unwrap();
        let (input, other) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
        check_output("--output", &other, Some(&input), false).unwrap();
        fs::write(&input, "precious").unwrap();
        fs::write(&other, "precious").unwrap();
        let same = folder.path().join("./in.csv");
        for overwrite in [false, true] {
            let error = check_output("--output", &same, Some(&input), overwrite).unwrap_err();
            assert!(matches!(error, OutputFileError::IsInput { .. }), "{error}");
        }
        let error = check_output("--output", &other, Some(&input), false).unwrap_err();
        assert!(matches!(error, OutputFileError::Exists { .. }), "{error}");
        check_output("--output", &other, Some(&input), true).unwrap();
    }

    #[test]
    fn a_report_replaces_a_report_where_asked_to_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.html");
        check_report("--report", &page, false).unwrap();
        fs::write(&page, "<!doctype html><p>a page of somebody else").unwrap();
        let error = check_report("--report", &page, true).unwrap_err();
        assert!(matches!(error, OutputFileError::NotAReport { .. }), "{error}");
        fs::write(&page, Page::new("scores").to_html()).unwrap();
        check_report("--report", &page, true).unwrap();
        let error = check_report("--report", &page, false).unwrap_err();
        assert!(matches!(error, OutputFileError::Exists { .. }), "{error}");
        let error = check_report("--report", &folder.path().join("scores.csv"), true).unwrap_err();
        assert!(matches!(error, OutputFileError::NotHtml { .. }), "{error}");
        let error = check_report("--report", &folder.path().join("none/page.html"), true).unwrap_err();
        assert!(matches!(error, OutputFileError::NoFolder { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
