//! Writing that never leaves half a file: write beside, sync, rename.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// How the names of files and folders begin that are being written. One that is found was left by a process that was killed.
pub const BEING_WRITTEN: &str = ".lora-";

/// A file or folder that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path}: {source}; check that the folder exists, is writable and has space left")]
pub struct WriteError {
    /// Where to.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: std::io::Error,
}

/// Writes a file so that readers see either the old content or the whole new one. Folders on the way are made.
///
/// # Errors
///
/// [`WriteError`]; the old content is then untouched, and folders that were made for the file are gone again.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    write_file_with(path, |file| file.write_all(content))
}

/// The same for content that `write` writes, so that it need not be in memory as a whole.
///
/// # Errors
///
/// As [`write_file`].
pub fn write_file_with(
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |source| WriteError {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let written = write_beside(path, folder, write);
    if written.is_err() {
        // From the inside out. One that holds another's file by now is not empty, and stays.
        for folder in made {
            let _ = fs::remove_dir(folder);
        }
    }
    written.map_err(failed)
}

fn write_beside(
    path: &Path,
    folder: &Path,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut beside = tempfile::Builder::new();
    beside.prefix(BEING_WRITTEN);
    #[cfg(unix)]
    {
        // A temporary file is private; what a user asked for has the rights of an ordinary file, which the user's mask narrows.
        use std::os::unix::fs::PermissionsExt;
        beside.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = beside.tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
