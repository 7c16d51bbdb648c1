//! The output folder: checked before any work, so that nobody trains for an hour and then cannot save.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lora_core::atomic::{WriteError, write_file};
use lora_core::peft::CONFIG_FILE;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::files::folder_lock::FolderLock;
use crate::files::folder_swap::{folder_beside, is_left_over};
use crate::train::checkpoints_in;

/// The file that makes a folder one of our runs.
pub const RUN_FILE: &str = "run.json";
/// Its key as long as a training has not come to its end: with the step of the adapter in the folder, null before the first evaluation.
pub const UNFINISHED: &str = "unfinished";
/// Its key once all is written.
pub const FINISHED: &str = "finished";
/// Its key where a training was asked to end early: with the step at which, and that of the adapter in the folder.
pub const INTERRUPTED: &str = "interrupted";

/// What wrote, or is to write, a run's folder. Neither writes over what the other wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderWriter {
    /// `lora train`.
    Training,
    /// `lora demo`.
    Demo,
}

/// What the disk must take before a run starts. Adapters are larger; a full disk takes not even this.
pub(crate) static PROBE: [u8; 64 * 1024] = [0; 64 * 1024];

/// An output folder that cannot be used.
#[derive(Debug, Error)]
pub enum OutputError {
    /// No folder is named.
    #[error("output_dir is empty; name a folder, and if it is from a variable of the shell, set that")]
    Unnamed,
    /// A file stands there.
    #[error("output_dir is `{}`, but `{}` is a file, not a folder; choose another folder", path.display(), file.display())]
    NotAFolder {
        /// The output folder.
        path: PathBuf,
        /// The file: the folder itself, or one above it.
        file: PathBuf,
    },
    /// Something else is in it.
    #[error("output_dir `{}` holds files, but no run of this program (there is no {RUN_FILE}); choose a new or an empty folder", path.display())]
    Foreign {
        /// The output folder.
        path: PathBuf,
    },
    /// A training where a demo should go, or a demo where a training should.
    #[error("output_dir `{}` holds {found}, which is never written over by {wanted}; choose a new or an empty folder", path.display())]
    Other {
        /// The output folder.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should go there.
        wanted: &'static str,
    },
    /// An earlier run is in it.
    #[error("output_dir `{}` holds an earlier run; choose another folder, write over it with --overwrite, or go on with it with --resume", path.display())]
    Occupied {
        /// The output folder.
        path: PathBuf,
    },
    /// Another process is at it.
    #[error("output_dir `{}` is being written by another process; wait for it, or choose another folder", path.display())]
    Locked {
        /// The output folder.
        path: PathBuf,
    },
    /// Nothing can be written there.
    #[error("output_dir `{}` cannot be written to ({source}); choose a folder that you may write to, on a disk with space left", path.display())]
    NotWritable {
        /// The output folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Checks that a run can be written to a folder. Leaves nothing behind, not even the folder.
///
/// # Errors
///
/// [`OutputError`].
pub fn check_folder(path: &Path, writer: FolderWriter, overwrite: bool) -> Result<(), OutputError> {
    let not_writable = |source| OutputError::NotWritable {
        path: path.to_owned(),
        source,
    };
    let existing = existing_folder(path)?;
    if path.is_dir() {
        let mut entries = fs::read_dir(path).map_err(not_writable)?;
        let is_empty = entries.all(|entry| entry.is_ok_and(|entry| is_left_over(&entry)));
        let found = writer_of(path);
        if !is_empty && found.is_none() {
            return Err(OutputError::Foreign {
                path: path.to_owned(),
            });
        }
        if let Some(found) = found.filter(|found| *found != writer) {
            return Err(OutputError::Other {
                path: path.to_owned(),
                found: found.in_words(),
                wanted: writer.in_words(),
            });
        }
        if !is_empty && !overwrite {
            let path = path.to_owned();
            // Its run is under way, and no earlier one.
            return Err(if FolderLock::is_held(&path) {
                OutputError::Locked { path }
            } else {
                OutputError::Occupied { path }
            });
        }
    }
    let mut probe = tempfile::tempfile_in(&existing).map_err(not_writable)?;
    probe
        .write_all(&PROBE)
        .and_then(|()| probe.sync_all())
        .map_err(not_writable)
}

/// A folder that is there or can be made: itself, or the nearest one above it that is there.
///
/// # Errors
///
/// [`OutputError::Unnamed`], [`OutputError::NotAFolder`].
pub fn existing_folder(path: &Path) -> Result<PathBuf, OutputError> {
    if path.as_os_str().is_empty() {
        return Err(OutputError::Unnamed);
    }
    let existing = nearest_existing(path);
    if existing.is_dir() {
        return Ok(existing);
    }
    Err(OutputError::NotAFolder {
        path: path.to_owned(),
        file: existing,
    })
}

/// `run.json` of a training of which everything else is written: nothing but this makes it a finished one.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_finished(folder: &Path, document: &Value) -> crate::error::Result<()> {
    let mut run = document.clone();
    run[FINISHED] = Value::Bool(true);
    write_json(&folder.join(RUN_FILE), &run)
}

/// A value as indented JSON with a line's end.
///
/// # Errors
///
/// If the value is no JSON.
pub fn json_text(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a value as indented JSON, whole or not at all.
///
/// # Errors
///
/// [`WriteError`].
pub fn write_json(path: &Path, value: &impl Serialize) -> crate::error::Result<()> {
    Ok(write_file(path, json_text(value)?.as_bytes())?)
}

/// Writes files that belong together: `write` puts them into a folder beside, and only when all are whole is each moved
/// to its place, the settings that make the folder a whole one last. If one cannot be written, the folder stays as it was, and
/// is not made if it was not there.
///
/// # Errors
///
/// [`WriteError`], with the path in the folder, not beside it.
pub fn write_together(
    folder: &Path,
    write: impl FnOnce(&Path) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let failed = |source| WriteError {
        path: folder.to_owned(),
        source,
    };
    // On the same disk, so that moving is renaming.
    let beside = folder_beside(folder).map_err(failed)?;
    write(beside.path()).map_err(|WriteError { path, source }| WriteError {
        path: match path.strip_prefix(beside.path()) {
            Ok(inner) => folder.join(inner),
            Err(_) => path,
        },
        source,
    })?;
    move_all(beside.path(), folder).map_err(failed)
}

/// The files by which readers know a whole adapter and a run: whoever finds them finds all others.
const LAST: [&str; 2] = [CONFIG_FILE, RUN_FILE];

fn move_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for file in in_order(from)? {
        let to = to.join(&file);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(from.join(file), to)?;
    }
    Ok(())
}

/// The files below a folder by their paths in it, in the order in which they may appear.
fn in_order(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let path = inner.join(entry?.file_name());
            if folder.join(&path).is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let rank = |path: &PathBuf| LAST.iter().position(|name| path.ends_with(name));
    files.sort_by_key(|path| (rank(path), path.clone()));
    Ok(files)
}

/// Removes a file that may not be there.
///
/// # Errors
///
/// [`WriteError`].
pub fn remove_file(path: &Path) -> Result<(), WriteError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(WriteError {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

impl FolderWriter {
    fn in_words(self) -> &'static str {
        match self {
            Self::Training => "a training",
            Self::Demo => "a demo",
        }
    }
}

/// What wrote the folder: a training keeps its settings in its run file, a demo has none. One that was interrupted early has a checkpoint
/// alone.
fn writer_of(folder: &Path) -> Option<FolderWriter> {
    if !folder.join(RUN_FILE).exists() && !checkpoints_in(folder).is_empty() {
        return Some(FolderWriter::Training);
    }
    let text = fs::read(folder.join(RUN_FILE)).unwrap_or_default();
    let run: Value = serde_json::from_slice(&text).unwrap_or_default();
    (run["program"] == crate::files::provenance::PROGRAM).then(|| {
        if run["config"].is_object() {
            FolderWriter::Training
        } else {
            FolderWriter::Demo
        }
    })
}

/// The path itself, or the nearest one above it that exists.
pub(super) fn nearest_existing(path: &Path) -> PathBuf {
    let existing = path.ancestors().find(|ancestor| ancestor.exists());
    match existing {
        Some(ancestor) if !ancestor.as_os_str().is_empty() => ancestor.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn a_new_and_an_empty_folder_are_fine_and_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(folder.path(), FolderWriter::Training, false).unwrap();
        check_folder(&folder.path().join("new/deep"), FolderWriter::Training, false).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_name_is_not_the_current_folder() {
        let error = check_folder(Path::new(""), FolderWriter::Training, true).unwrap_err();
        assert!(matches!(error, OutputError::Unnamed), "{error}");
    }

    #[test]
    fn a_folder_with_other_files_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "precious").unwrap();
        for overwrite in [false, true] {
            let error = check_folder(folder.path(), FolderWriter::Training, overwrite).unwrap_err();
            assert!(matches!(error, OutputError::Foreign { .. }), "{error}");
        }
    }

    #[test]
    fn an_earlier_run_is_written_over_only_when_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(RUN_FILE),
            r#"{"program": "lora", "config": {}}"#,
        )
        .unwrap();
        assert!(matches!(
            check_folder(folder.path(), FolderWriter::Training, false),
            Err(OutputError::Occupied { .. })
        ));
        let error = check_folder(folder.path(), FolderWriter::Demo, true).unwrap_err();
        assert!(matches!(error, OutputError::Other { .. }), "{error}");
        check_folder(folder.path(), FolderWriter::Training, true).unwrap();
    }

    #[test]
    fn files_that_belong_together_are_all_written_or_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/run");
        let refused = write_together(&folder, |beside| {
            write_file(&beside.join("first"), b"1")?;
            write_file(&beside.join("first/second"), b"2") // below a file
        });
        assert_eq!(refused.unwrap_err().path, folder.join("first/second"));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        for content in ["1", "2"] {
            write_together(&folder, |beside| {
                write_file(&beside.join("first"), content.as_bytes())?;
                write_file(&beside.join("deep/second"), content.as_bytes())
            })
            .unwrap();
            for name in ["first", "deep/second"] {
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), content);
            }
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn the_files_that_make_a_folder_whole_come_last() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "run.json",
            "adapter_config.json",
            "last/adapter_config.json",
            "last/adapter_model.safetensors",
            "task.json",
            "adapter_model.safetensors",
        ];
        for name in names {
            write_file(&folder.path().join(name), b"").unwrap();
        }
        let order = in_order(folder.path()).unwrap();
        let order: Vec<&str> = order.iter().map(|path| path.to_str().unwrap()).collect();
        let expected = [
            "adapter_model.safetensors",
            "last/adapter_model.safetensors",
            "task.json",
            "adapter_config.json",
            "last/adapter_config.json",
            "run.json",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_or_above_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = check_folder(&path, FolderWriter::Training, true).unwrap_err();
            assert!(matches!(error, OutputError::NotAFolder { .. }), "{error}");
        }
    }
}
