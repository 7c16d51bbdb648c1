//! Writing that never leaves half a file: write beside, sync, rename.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

/// A file or folder that could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path}: {source}; check that the folder exists, is writable and has space left")]
pub struct WriteError {
    /// Where to.
    pub path: PathBuf,
    /// What the system says.
    pub source: std::io::Error,
}

/// Writes a file so that readers see either the old content or the whole new one. Folders on the way are made.
///
/// # Errors
///
/// [`WriteError`]; the old content is then untouched.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let failed = |source| WriteError {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    #[cfg(unix)]
    {
        // A temporary file is private; what a user asked for should have the rights of an ordinary file.
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
