//! Who computes what, in a folder that workers share: no worker knows another, and none has to live.
//!
//! A claim on a unit is a file `UNIT.GENERATION.json`, made by [`create_file`], so of several workers that try it one gets it. Its owner
//! rewrites it now and then with a higher count. Who has watched the newest claim of a unit for as long as the claim itself says, by a
//! clock of its own that only goes forward, without seeing it change, may make the claim of the next generation: again one of several
//! gets it. Clocks of two machines are never compared, and times of files are not looked at. An owner writes its own generation alone,
//! so one that was only slow disturbs nobody.
//!
//! Claims save work; they do not guard results. Where two workers compute one unit all the same, both write the same numbers, each into a
//! file of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lora_core::atomic::{WriteError, create_file, write_file};
use lora_pipeline::progress::CancelToken;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A claim shows that its owner lives so many times before it expires.
const BEATS: u32 = 10;
/// How often somebody who waits looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);

/// Time that only goes forward. Its zero means nothing to another process.
pub trait MonotonicTime: Sync {
    /// Since some moment.
    fn now(&self) -> Duration;

    /// Lets time pass, unless it is cancelled.
    fn wait(&self, time: Duration, cancel: &CancelToken);
}

/// The time of this process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessTime(Instant);

impl ProcessTime {
    /// It is zero now.
    pub fn begin() -> Self {
        Self(Instant::now())
    }
}

impl MonotonicTime for ProcessTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait(&self, time: Duration, cancel: &CancelToken) {
        let end = self.now() + time;
        while !cancel.is_cancelled() {
            let left = end.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LOOK));
        }
    }
}

/// A folder of claims that cannot be used.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// It cannot be read.
    #[error("cannot read the claims in `{}` ({source}); check the folder given to --shared", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What stands in the file of a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ClaimRecord {
    /// Name of the worker's results file without its ending, for people.
    worker: String,
    /// Rises while the owner lives.
    beat: u64,
    /// Seconds without a change after which the owner is dead.
    expires_after: f64,
    /// The owner has given it up.
    released: bool,
}

/// The newest claim of a unit, as it was seen.
#[derive(Debug)]
struct Watched {
    generation: u64,
    content: Vec<u8>,
    /// When it was seen first with this content, by this process's time.
    since: Duration,
    /// Whether anybody may have the unit.
    is_free: bool,
}

/// The claims in a folder, as one worker sees them.
pub struct Claims<'t> {
    folder: PathBuf,
    expires_after: Duration,
    time: &'t dyn MonotonicTime,
    watched: BTreeMap<String, Watched>,
}

impl<'t> Claims<'t> {
    /// Those in a folder, which need not be there. Claims of this worker expire after so long without a sign of life.
    pub fn new(folder: PathBuf, expires_after: Duration, time: &'t dyn MonotonicTime) -> Self {
        Self {
            folder,
            expires_after,
            time,
            watched: BTreeMap::new(),
        }
    }

    /// How often a claim of this worker should [`Claim::beat`], and how long one who finds nothing to do may wait before it looks again.
    pub fn interval(&self) -> Duration {
        self.expires_after / BEATS
    }

    /// Looks at all claims. One is free if it was given up, or has not changed for as long as it says.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Read`].
    pub fn look(&mut self) -> Result<(), ClaimError> {
        // From after the first look to before this one: at least so long has a claim stood still that is the same.
        let before = self.time.now();
        for (unit, generation) in self.newest()? {
            // One that cannot be read just now is looked at the next time.
            let Ok(content) = fs::read(self.path(&unit, generation)) else {
                continue;
            };
            let record: Option<ClaimRecord> = serde_json::from_slice(&content).ok();
            let expires_after = record
                .as_ref()
                .and_then(|record| Duration::try_from_secs_f64(record.expires_after).ok())
                .unwrap_or(self.expires_after);
            let is_released = record.is_some_and(|record| record.released);
            let known = self.watched.remove(&unit);
            let same = known.filter(|known| known.generation == generation && known.content == content);
            let since = same.map_or_else(|| self.time.now(), |known| known.since);
            let is_free = is_released || before.saturating_sub(since) >= expires_after;
            let watched = Watched {
                generation,
                content,
                since,
                is_free,
            };
            self.watched.insert(unit, watched);
        }
        Ok(())
    }

    /// Whether a unit could be claimed at the last [`look`](Self::look).
    pub fn is_free(&self, unit: &str) -> bool {
        self.watched.get(unit).is_none_or(|watched| watched.is_free)
    }

    /// Claims a unit as it was at the last [`look`](Self::look); none if another has it.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Write`].
    pub fn take(&self, unit: &str, worker: &str) -> Result<Option<Claim>, ClaimError> {
        if !self.is_free(unit) {
            return Ok(None);
        }
        let generation = self.watched.get(unit).map_or(1, |watched| watched.generation + 1);
        let claim = Claim {
            path: self.path(unit, generation),
            is_taken_over: generation > 1,
            record: ClaimRecord {
                worker: worker.to_owned(),
                beat: 0,
                expires_after: self.expires_after.as_secs_f64(),
                released: false,
            },
        };
        let is_ours = create_file(&claim.path, &claim.record.bytes())?;
        Ok(is_ours.then_some(claim))
    }

    /// The highest generation of each unit.
    fn newest(&self) -> Result<BTreeMap<String, u64>, ClaimError> {
        let failed = |source| ClaimError::Read {
            path: self.folder.clone(),
            source,
        };
        let mut newest = BTreeMap::new();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(newest),
            Err(source) => return Err(failed(source)),
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if let Some((unit, generation)) = unit_and_generation(&path) {
                let highest = newest.entry(unit).or_insert(generation);
                *highest = generation.max(*highest);
            }
        }
        Ok(newest)
    }

    fn path(&self, unit: &str, generation: u64) -> PathBuf {
        self.folder.join(format!("{unit}.{generation}.json"))
    }
}

fn unit_and_generation(path: &Path) -> Option<(String, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (unit, generation) = name.rsplit_once('.')?;
    Some((unit.to_owned(), generation.parse().ok()?))
}

impl ClaimRecord {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A unit that is this worker's.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Whether an earlier owner did not finish.
    pub is_taken_over: bool,
    record: ClaimRecord,
}

impl Claim {
    /// Shows that the worker lives. If that cannot be written now, it may be the next time; if it never can, the claim expires, and that is
    /// right.
    pub fn beat(&mut self) {
        self.record.beat += 1;
        let _ = write_file(&self.path, &self.record.bytes());
    }

    /// Gives the unit up before it is done: the next one need not wait until the claim expires.
    pub fn release(mut self) {
        self.record.released = true;
        self.beat();
    }
}

#[cfg(test)]
mod tests;
