//! Writing that never leaves half a file: write beside, sync, rename.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

/// How the names of files and folders begin that are being written. One that is found was left by a process that was killed.
pub const BEING_WRITTEN: &str = ".lora-";

/// A file or folder that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path}: {source}{}", advice(source))]
pub struct WriteError {
    /// Where to.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: std::io::Error,
}

/// For what the system says; content that must not be written ([`io::ErrorKind::InvalidData`]) says itself what is wrong.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::InvalidData => "",
        _ => "; check that the folder exists, is writable and has space left",
    }
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
    let folder = folder_of(path);
    let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let written = beside(folder, write).and_then(|file| Ok(file.persist(path)?));
    if written.is_err() {
        // From the inside out. One that holds another's file by now is not empty, and stays.
        for folder in made {
            let _ = fs::remove_dir(folder);
        }
    }
    written.map(|_| ()).map_err(failed)
}

/// Makes a file with this content unless one of the name is there: of several processes that try it, on one machine or on several with
/// a shared folder, one gets `true`. Folders on the way are made.
///
/// # Errors
///
/// [`WriteError`].
pub fn create_file(path: &Path, content: &[u8]) -> Result<bool, WriteError> {
    let created = beside(folder_of(path), |file| file.write_all(content)).and_then(|file| {
        match file.persist_noclobber(path) {
            Ok(_) => Ok(true),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    });
    created.map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A file with a name of its own that is on the disk, to be renamed.
fn beside(folder: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<NamedTempFile> {
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
    Ok(file)
}
