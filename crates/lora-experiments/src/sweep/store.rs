//! The results file: read with care for a line that a kill has cut short, appended to line by line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::record::{FORMAT, Header, Line, VERSION};

/// A results file that cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The system does not read or write it.
    #[error("cannot use the results file `{}` ({source}); check the path", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another sweep is at it.
    #[error("`{}` is being written by another sweep; wait for it, or give another file with --results", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Something else.
    #[error("`{}` holds no results of a sweep (its first line is none of ours); give another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Results of another version of the program.
    #[error("`{}` has version {found} of the format, this program reads version {VERSION}; use the program that wrote it, or give another file", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A damaged line.
    #[error("`{}`, line {line}: not a line of a results file ({source}); take the line out, its trial is then computed again", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// The lines of a results file.
#[derive(Debug, Default)]
pub struct Lines {
    /// All but the header, in order.
    pub lines: Vec<Line>,
    /// The number of the line that was truncated, if the last one was.
    pub truncated: Option<usize>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
}

/// Reads a results file. A last line without end is left out: a kill has cut it short.
///
/// # Errors
///
/// [`StoreError`].
pub fn read(path: &Path) -> Result<Lines, StoreError> {
    let io = |source| StoreError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(io)?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Lines, StoreError> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let mut found = Lines {
        whole: whole as u64,
        ..Lines::default()
    };
    for (index, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let parsed = serde_json::from_slice(line);
        match (index, parsed) {
            (0, Ok(Line::Header(Header { format, version }))) if format == FORMAT => {
                if version != VERSION {
                    return Err(StoreError::Version {
                        path: path.to_owned(),
                        found: version,
                    });
                }
            }
            (0, _) => {
                return Err(StoreError::Foreign {
                    path: path.to_owned(),
                });
            }
            (_, Ok(line)) => found.lines.push(line),
            (_, Err(source)) => {
                return Err(StoreError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    if whole < bytes.len() {
        // A first line that was truncated is the beginning of ours, or somebody else's file.
        let header = new_file();
        if whole == 0 && !header.as_bytes().starts_with(bytes) {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
            });
        }
        found.truncated = Some(found.lines.len() + usize::from(whole > 0) + 1);
    }
    Ok(found)
}

/// What stands in a new results file.
pub fn new_file() -> String {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
    };
    serde_json::to_string(&Line::Header(header)).unwrap_or_default() + "\n"
}

/// A results file that is being written. No other sweep can write it meanwhile.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
}

impl Store {
    /// Opens a file, or makes it; a truncated line is cut off.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed then.
    pub fn open(path: &Path) -> Result<(Self, Lines), StoreError> {
        let io = |source| StoreError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            // Some network drives have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: path.to_owned(),
                });
            }
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        file.read_to_end(&mut bytes).map_err(io)?;
        let lines = parse(path, &bytes)?;
        if lines.truncated.is_some() {
            file.set_len(lines.whole).map_err(io)?;
        }
        let mut store = Self {
            path: path.to_owned(),
            file,
        };
        if lines.whole == 0 {
            store.write(&new_file())?;
        }
        Ok((store, lines))
    }

    /// Appends a line; it is on the disk afterwards.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn append(&mut self, line: &Line) -> Result<(), StoreError> {
        let text = serde_json::to_string(line).map_err(|source| StoreError::Line {
            path: self.path.clone(),
            line: 0,
            source,
        })?;
        self.write(&(text + "\n"))
    }

    /// One write for the whole line: a kill can only tear the last one.
    fn write(&mut self, text: &str) -> Result<(), StoreError> {
        let written = self.file.write_all(text.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|source| StoreError::Io {
                path: self.path.clone(),
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use crate::sweep::record::TrainingRecord;

    fn line(key: &str) -> Line {
        Line::Training(Box::new(TrainingRecord {
            key: key.to_owned(),
            task: "t".to_owned(),
            method: "m".to_owned(),
            seed: 1,
            steps: 2,
            best_step: None,
            mask_changes: Vec::new(),
            trained_parameters: 3,
            seconds: 0.5,
            peak_memory: None,
            losses: vec![[1.0, 0.25]],
            evaluations: Vec::new(),
            curve: Vec::new(),
        }))
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        {
            let (mut store, lines) = Store::open(&path).unwrap();
            assert!(lines.lines.is_empty() && lines.truncated.is_none());
            store.append(&line("a")).unwrap();
            store.append(&line("b")).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        let end_of_first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        // Wherever the kill came, the whole lines are there, and the next one follows them.
        for length in [1, end_of_first - 1, end_of_first + 1, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let expected = String::from_utf8_lossy(&whole[..length]).matches('\n').count();
            let (mut store, lines) = Store::open(&path).unwrap();
            assert_eq!(lines.truncated, Some(expected + 1), "{length}");
            assert_eq!(lines.lines.len(), expected.saturating_sub(1), "{length}");
            store.append(&line("c")).unwrap();
            drop(store);
            let again = read(&path).unwrap();
            assert!(again.truncated.is_none());
            assert_eq!(again.lines.last(), Some(&line("c")), "{length}");
        }
    }

    #[test]
    fn files_of_others_and_damaged_lines_are_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.csv");
        let header = new_file();
        let newer = header.replace("\"version\":1", "\"version\":2");
        for (content, part) in [
            ("text,label\na,b\n".to_owned(), "holds no results"),
            ("precious".to_owned(), "holds no results"),
            (newer, "version 2"),
            (format!("{header}{{\"trial\": 3}}\n"), "line 2: not a line"),
        ] {
            std::fs::write(&path, &content).unwrap();
            let message = Store::open(&path).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn two_sweeps_never_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        let first = Store::open(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Locked { .. })));
        drop(first);
        Store::open(&path).unwrap();
    }
}
