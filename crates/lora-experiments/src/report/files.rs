//! The folder of pictures: checked before any work, and a path to it as a document beside it has it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use lora_core::atomic::write_file;
use lora_pipeline::bail;
use lora_pipeline::error::{Context, Result};
use lora_report::Page;

/// Checks that pictures can be written to a folder: it is not there, or empty, or may be written over.
///
/// # Errors
///
/// If it is a file, or holds something; with what to do.
pub fn check_figures(folder: &Path, overwrite: bool) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let Ok(mut entries) = fs::read_dir(folder) else {
        bail!(
            "--figures `{}` is no folder that can be read; give another name",
            folder.display()
        );
    };
    if !overwrite && entries.next().is_some() {
        bail!(
            "--figures `{}` holds files already; give another name, or write over pictures of the same names with --overwrite",
            folder.display()
        );
    }
    Ok(())
}

/// Writes every picture of a page.
///
/// # Errors
///
/// If the disk does not take them.
pub fn write_figures(page: &Page, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    for (name, figure) in page.figures() {
        write_file(&folder.join(name + ".svg"), figure.svg.as_bytes())?;
    }
    Ok(())
}

/// A folder as a link in a document has it: from the document's own folder, with slashes. None where only an absolute path would
/// do, and one of them is relative.
pub fn as_seen_from(folder: &Path, document: &Path) -> Option<String> {
    if folder.is_absolute() != document.is_absolute() {
        return None;
    }
    let home: PathBuf = document.parent().map(Path::to_owned).unwrap_or_default();
    let (folder, home) = (parts(folder), parts(&home));
    let shared = folder
        .iter()
        .zip(&home)
        .take_while(|(left, right)| left == right)
        .count();
    if home[shared..].contains(&Component::ParentDir) {
        return None;
    }
    let up = home[shared..].iter().map(|_| "..".to_owned());
    let down = folder[shared..]
        .iter()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let words: Vec<String> = up.chain(down).collect();
    Some(if words.is_empty() {
        ".".to_owned()
    } else {
        words.join("/")
    })
}

/// The parts of a path but the dot of this folder.
fn parts(path: &Path) -> Vec<Component<'_>> {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_linked_from_where_the_document_lies() {
        for (folder, document, link) in [
            ("docs/src/results", "docs/src/results.md", Some("results")),
            ("./figures", "results.md", Some("figures")),
            ("out/figures", "docs/results.md", Some("../out/figures")),
            ("docs", "docs/results.md", Some(".")),
            ("figures", "../results.md", None),
        ] {
            assert_eq!(
                as_seen_from(Path::new(folder), Path::new(document)).as_deref(),
                link,
                "{folder} from {document}"
            );
        }
    }
}
