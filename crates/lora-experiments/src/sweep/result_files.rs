//! Results that lie in many files, because a sweep was computed in many places: read together, and held against each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::record::{Line, TrialOutcome, TrialRecord, TrialResult};
use super::store::{self, StoreError};

/// How the names of results files end.
pub const RESULTS_ENDING: &str = "results.jsonl";
/// How the part of a name begins that tells the results of some trials from those of a whole sweep.
pub const PART_NAMES: [&str; 2] = [SHARD_NAME, TRIAL_NAME];
/// The same for a shard.
pub const SHARD_NAME: &str = "shard-";
/// The same for single trials.
pub const TRIAL_NAME: &str = "trial-";
/// By how much two losses of one trial may differ, of the larger one. Machines round otherwise, and a training carries that on; other
/// weights, or another version of the program, change more.
const ROUNDING: f64 = 0.01;
/// The same, in nats, where losses are close to zero.
const SMALL: f64 = 0.001;

/// A results file with its lines.
#[derive(Debug)]
pub struct ResultsFile {
    /// The file.
    pub path: PathBuf,
    /// What the user named: the file, or the folder that it lies in.
    pub given: PathBuf,
    /// All lines but the header, in order.
    pub lines: Vec<Line>,
}

/// Results files that cannot be read together.
#[derive(Debug, Error)]
pub enum ResultFilesError {
    /// One of them is no results file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder cannot be listed.
    #[error("cannot list the folder `{}` ({source}); check the path", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A folder has none.
    #[error("the folder `{}` holds no file whose name ends in {RESULTS_ENDING}; name the results files themselves", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// One trial has two results.
    #[error(
        "trial {key} ({what}) has a loss of {:.4} in `{}` and of {:.4} on the same {rows} rows in `{}`: one of them was computed with other \
         weights or another version of the program, or was edited; leave that file out, or remove the trial's line from it",
        losses[0], paths[0].display(), losses[1], paths[1].display()
    )]
    Contradiction {
        /// Key of the trial.
        key: String,
        /// Task, method and seed.
        what: String,
        /// Validation or test.
        rows: &'static str,
        /// Both losses.
        losses: [f64; 2],
        /// Both files.
        paths: Box<[PathBuf; 2]>,
    },
}

/// Reads results files, and those of folders.
///
/// # Errors
///
/// [`ResultFilesError`].
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<ResultsFile>, ResultFilesError> {
    let mut files = Vec::new();
    for given in paths {
        for path in files_at(given)? {
            let lines = store::read(&path)?.lines;
            files.push(ResultsFile {
                path,
                given: given.clone(),
                lines,
            });
        }
    }
    check_contradictions(&files)?;
    Ok(files)
}

/// The file itself, or the results files in a folder, by name.
fn files_at(given: &Path) -> Result<Vec<PathBuf>, ResultFilesError> {
    if !given.is_dir() {
        return Ok(vec![given.to_owned()]);
    }
    let files = results_files_in(given)?;
    if files.is_empty() {
        return Err(ResultFilesError::Nothing {
            path: given.to_owned(),
        });
    }
    Ok(files)
}

/// The results files in a folder, by name; none is no error.
///
/// # Errors
///
/// [`ResultFilesError::Folder`].
pub fn results_files_in(folder: &Path) -> Result<Vec<PathBuf>, ResultFilesError> {
    let failed = |source| ResultFilesError::Folder {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(RESULTS_ENDING) && !name.starts_with('.') && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The results file of the whole sweep that the file of a part belongs to, by its name; for any other file the file itself.
pub fn whole_of(part: &Path) -> PathBuf {
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    let beginning = name
        .strip_suffix(RESULTS_ENDING)
        .and_then(|name| name.strip_suffix('.'))
        .and_then(|name| name.rsplit_once('.'))
        .filter(|(_, part)| PART_NAMES.iter().any(|prefix| part.starts_with(prefix)));
    match beginning {
        Some((whole, _)) => part.with_file_name(format!("{whole}.{RESULTS_ENDING}")),
        None => part.to_owned(),
    }
}

/// The files of parts that lie beside the results file of a whole sweep, by name.
pub fn parts_beside(whole: &Path) -> Vec<PathBuf> {
    let folder = whole.parent().unwrap_or(Path::new(""));
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // A folder that is not there yet holds no part.
    let files = results_files_in(listed).unwrap_or_default();
    let named = files
        .iter()
        .filter_map(|file| Some(folder.join(file.file_name()?)));
    named
        .filter(|part| part != whole && whole_of(part) == whole)
        .collect()
}

/// Several results of one trial in different files must be the same but for rounding and clocks. Of several in one file the last counts,
/// as everywhere.
///
/// # Errors
///
/// [`ResultFilesError::Contradiction`].
pub fn check_contradictions(files: &[ResultsFile]) -> Result<(), ResultFilesError> {
    let mut known: HashMap<&str, (&Path, &TrialResult)> = HashMap::new();
    for file in files {
        let mut own: BTreeMap<&str, (&TrialRecord, &TrialResult)> = BTreeMap::new();
        for line in &file.lines {
            if let Line::Trial(trial) = line
                && let TrialOutcome::Done(result) = &trial.outcome
            {
                own.insert(&trial.key, (trial, result));
            }
        }
        for (key, (trial, result)) in own {
            let (path, first) = *known.entry(key).or_insert((&file.path, result));
            if let Some((rows, losses)) = contradiction(first, result) {
                return Err(ResultFilesError::Contradiction {
                    key: key.to_owned(),
                    what: format!("{}, {}, seed {}", trial.task, trial.method, trial.seed),
                    rows,
                    losses,
                    paths: Box::new([path.to_owned(), file.path.clone()]),
                });
            }
        }
    }
    Ok(())
}

/// On which rows two results differ by more than rounding, and their losses there.
fn contradiction(left: &TrialResult, right: &TrialResult) -> Option<(&'static str, [f64; 2])> {
    let losses = |of: fn(&TrialResult) -> f64| [of(left), of(right)];
    let pairs = [
        ("validation", losses(|result| result.validation.plain.loss())),
        ("test", losses(|result| result.test.plain.loss())),
    ];
    pairs.into_iter().find(|(_, [left, right])| {
        let is_same = (left - right).abs() <= (ROUNDING * left.abs().max(right.abs())).max(SMALL);
        !is_same
    })
}

/// What results say about trials: one that is done anywhere is done.
#[derive(Debug, Default)]
pub struct KnownTrials {
    done: HashSet<String>,
    failed: HashSet<String>,
}

impl KnownTrials {
    /// Of files.
    pub fn of_files(files: &[ResultsFile]) -> Self {
        let mut known = Self::default();
        for line in files.iter().flat_map(|file| &file.lines) {
            if let Line::Trial(trial) = line {
                let same_outcome = match trial.outcome {
                    TrialOutcome::Done(_) => &mut known.done,
                    TrialOutcome::Failed(_) => &mut known.failed,
                };
                same_outcome.insert(trial.key.clone());
            }
        }
        known
    }

    /// Whether a trial was scored.
    pub fn is_done(&self, key: &str) -> bool {
        self.done.contains(key)
    }

    /// Whether a trial failed and was not scored since.
    pub fn has_failed(&self, key: &str) -> bool {
        self.failed.contains(key) && !self.is_done(key)
    }

    /// Whether nothing is known of a trial.
    pub fn is_new(&self, key: &str) -> bool {
        !self.done.contains(key) && !self.failed.contains(key)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn the_parts_of_a_sweep_are_known_by_their_names() {
        for (part, whole) in [
            (
                "runs/grid.v2.shard-1-of-8.results.jsonl",
                "runs/grid.v2.results.jsonl",
            ),
            ("grid.trial-0a1b-and-2.results.jsonl", "grid.results.jsonl"),
            ("grid.results.jsonl", "grid.results.jsonl"),
            ("shard-1.jsonl", "shard-1.jsonl"),
        ] {
            assert_eq!(whole_of(Path::new(part)), Path::new(whole), "{part}");
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "grid.shard-2-of-2.results.jsonl",
            "grid.shard-1-of-2.results.jsonl",
            "grid.results.jsonl",
            "other.shard-1-of-2.results.jsonl",
        ] {
            fs::write(at(name), "").unwrap();
        }
        let parts = [
            "grid.shard-1-of-2.results.jsonl",
            "grid.shard-2-of-2.results.jsonl",
        ];
        assert_eq!(parts_beside(&at("grid.results.jsonl")), parts.map(at));
    }
}
