//! One process at a time in an output folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::folder_swap::is_left_over;
use super::output::OutputError;

/// As long as this lives no other process writes a run into the folder. The system takes the lock back when the process ends, however it
/// ends, so none is ever left behind. It is on the folder itself; where a system locks no folders, there is none.
#[derive(Debug)]
pub struct FolderLock {
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    handle: Option<File>,
}

impl FolderLock {
    /// Takes the lock; a folder that is not there is made.
    ///
    /// # Errors
    ///
    /// [`OutputError::Locked`] if another process has it; [`OutputError::NotAFolder`], [`OutputError::NotWritable`].
    pub fn take(folder: &Path) -> Result<Self, OutputError> {
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let made = missing.map(Path::to_owned).collect();
        fs::create_dir_all(folder).map_err(|source| OutputError::NotWritable {
            path: folder.to_owned(),
            source,
        })?;
        let mut lock = Self { made, handle: None };
        let Ok(handle) = File::open(folder) else {
            return Ok(lock);
        };
        match handle.try_lock() {
            Ok(()) => {
                lock.handle = Some(handle);
                remove_left_overs(folder);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OutputError::Locked {
                    path: folder.to_owned(),
                });
            }
            // Some network drives have no locks.
            Err(TryLockError::Error(_)) => {}
        }
        Ok(lock)
    }

    /// Whether a process has the lock now; where a system locks no folders, nobody knows.
    pub fn is_held(folder: &Path) -> bool {
        let outcome = File::open(folder).map(|handle| handle.try_lock());
        matches!(outcome, Ok(Err(TryLockError::WouldBlock)))
    }
}

/// Nobody else writes here now. What cannot be removed is in nobody's way.
fn remove_left_overs(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_left_over(&entry) {
            let path = entry.path();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}

impl Drop for FolderLock {
    /// A folder into which nothing was written is taken back.
    fn drop(&mut self) {
        for folder in &self.made {
            // One that is not empty stays, and those around it.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        // Only now may another process have it.
        drop(self.handle.take());
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_taken_back_if_nothing_was_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/run");
        let first = FolderLock::take(&folder).unwrap();
        #[cfg(unix)]
        {
            let second = FolderLock::take(&folder).unwrap_err();
            assert!(matches!(second, OutputError::Locked { .. }), "{second}");
            assert!(FolderLock::is_held(&folder));
        }
        drop(first);
        assert!(!FolderLock::is_held(&folder));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let third = FolderLock::take(&folder).unwrap();
        fs::write(folder.join("result"), "1").unwrap();
        drop(third);
        // What a killed process has left is taken away by the next one.
        fs::create_dir_all(folder.join(".lora-x1/deep")).unwrap();
        fs::write(folder.join(".lora-x2"), "").unwrap();
        let fourth = FolderLock::take(&folder).unwrap();
        let left = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["result"]);
        drop(fourth);
    }
}
