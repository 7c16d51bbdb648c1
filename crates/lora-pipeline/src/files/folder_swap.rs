//! A folder that appears whole or not at all.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use lora_core::atomic::{BEING_WRITTEN, WriteError};

use super::output::nearest_existing;
use crate::bail;
use crate::error::Result;

/// Lets `fill` write into a new folder beside `path` and gives that the name `path` in the end. After an error nothing is left.
///
/// # Errors
///
/// If something else than an empty folder stands at `path`, or a file cannot be written.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    check_free(path)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |source| WriteError {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let beside = tempfile::Builder::new()
        .prefix(BEING_WRITTEN)
        .tempdir_in(parent)
        .map_err(failed)?;
    fill(beside.path())?;
    #[cfg(unix)]
    {
        // A temporary folder is private; what a user asked for should have the rights of an ordinary folder.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    if path.is_dir() {
        fs::remove_dir(path).map_err(failed)?;
    }
    let beside: PathBuf = beside.keep();
    fs::rename(&beside, path).map_err(|source| {
        // The error is about the rename; what cannot be removed either is left.
        let _ = fs::remove_dir_all(&beside);
        failed(source).into()
    })
}

/// A new folder on the disk of another one, in it if that is there, in which to write before all is renamed.
pub(crate) fn folder_beside(folder: &Path) -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(BEING_WRITTEN)
        .tempdir_in(nearest_existing(folder))
}

/// Whether a file or folder is one that a killed process did not come to rename.
pub(crate) fn is_left_over(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(BEING_WRITTEN)
}

/// Refuses to write over anything.
///
/// # Errors
///
/// If something else than an empty folder stands at `path`.
pub fn check_free(path: &Path) -> Result<()> {
    let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if path.exists() && !is_empty() {
        bail!(
            "`{}` exists already; give --output a new or an empty folder",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/folder");
        write_folder(&path, |folder| Ok(fs::write(folder.join("a"), "1")?)).unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "1");

        let broken = root.path().join("new/broken");
        write_folder(&broken, |folder| {
            fs::write(folder.join("a"), "1")?;
            bail!("the disk is full")
        })
        .unwrap_err();
        assert_eq!(fs::read_dir(root.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("precious"), "1").unwrap();
        let error = write_folder(root.path(), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("exists already"));
    }
}
