//! The folder `checkpoint-N`: all that it takes to go on with a training after step N.
//!
//! | file | holds |
//! |---|---|
//! | `trainer_state.safetensors` | tensors: what is trained, moments of the optimizer, the best parameters so far |
//! | `trainer_state.json` | settings, versions, history, all that is no tensor; written last, so that a folder with it is a whole one |
//!
//! A checkpoint that was asked for (`save_strategy`) is an adapter folder besides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lora_core::atomic::{WriteError, write_file};
use lora_core::peft::write_floats;
use lora_core::tensors::{FloatSlice, HostTensor, TensorFile, TensorFileError};
use lora_train::state::{Numbers, StateTensor};
use lora_train::{StateError, TrainingState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::files::folder_swap::folder_beside;
use crate::files::output::{json_text, remove_file};
use crate::files::provenance::MadeBy;

/// What a checkpoint's folder is called, before the number of its step.
const PREFIX: &str = "checkpoint-";
/// All that is no tensor.
const STATE_FILE: &str = "trainer_state.json";
/// The tensors.
const TENSOR_FILE: &str = "trainer_state.safetensors";
/// Changes with everything that makes another form of folder.
const FORMAT: u32 = 1;

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// `FORMAT`.
    pub format: u32,
    /// What began the training.
    pub made_by: MadeBy,
    /// Optimizer steps done.
    pub step: u64,
    /// Seconds that they took.
    pub seconds: f64,
    /// All settings of the training.
    pub config: Value,
    /// A hash of the rows that are scored once, at the end.
    pub test_rows: Option<String>,
    /// The values of the state.
    pub state: BTreeMap<String, Value>,
}

/// A checkpoint that was read.
#[derive(Clone, Debug)]
pub struct TrainingCheckpoint {
    /// Its folder.
    pub folder: PathBuf,
    /// What it says.
    pub file: CheckpointFile,
    /// Where the training stands.
    pub state: TrainingState,
}

/// A checkpoint that a training cannot go on from.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The folder is none.
    #[error("`{}` holds no checkpoint (there is no {STATE_FILE}); give a folder {PREFIX}N of a training", folder.display())]
    NotACheckpoint {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is no checkpoint's.
    #[error("`{}` is not the state of a training ({source}); take another checkpoint", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Tensors that are none, or cut short.
    #[error("{source}; or take another checkpoint")]
    Tensors {
        /// What is wrong with the file.
        #[from]
        source: TensorFileError,
    },
    /// Another form.
    #[error("`{}` has version {found} of the format, this program reads version {FORMAT}; use the program that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Another training's.
    #[error("cannot go on from `{}`: {source}", folder.display())]
    State {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        source: StateError,
    },
}

/// The whole checkpoints in an output folder by their steps, the oldest first.
pub fn checkpoints_in(output: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(output).into_iter().flatten().flatten();
    let step_of = |path: &Path| path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok();
    let mut found: Vec<(u64, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| is_whole(path))
        .filter_map(|path| Some((step_of(&path)?, path)))
        .collect();
    found.sort();
    found
}

/// Whether a folder is a whole checkpoint.
pub fn is_whole(folder: &Path) -> bool {
    folder.join(STATE_FILE).is_file()
}

/// The command that goes on with the training of a checkpoint.
pub fn command_of(checkpoint: &Path) -> Option<String> {
    let bytes = fs::read(checkpoint.join(STATE_FILE)).ok()?;
    let document: Value = serde_json::from_slice(&bytes).ok()?;
    let command = document["made_by"]["command"].as_str()?;
    Some(resuming(command))
}

/// A command that began a training, as one that goes on with it.
fn resuming(command: &str) -> String {
    if command.split(' ').any(|word| word == "--resume") {
        command.to_owned()
    } else {
        format!("{command} --resume")
    }
}

/// Where the checkpoint of a step goes.
pub fn place_of(output: &Path, step: u64) -> PathBuf {
    output.join(format!("{PREFIX}{step}"))
}

/// Writes a checkpoint into an output folder: beside, then renamed, so that it is there as a whole or not at all. `write_more` may write more
/// into its folder. What is in its place goes when the new one is whole.
///
/// # Errors
///
/// [`WriteError`].
pub fn write(
    output: &Path,
    file: &CheckpointFile,
    state: &TrainingState,
    write_more: impl FnOnce(&Path) -> Result<(), WriteError>,
) -> Result<PathBuf, WriteError> {
    let folder = place_of(output, file.step);
    let failed = |source: std::io::Error| WriteError {
        path: folder.clone(),
        source,
    };
    let beside = folder_beside(output).map_err(failed)?;
    let inner = beside.path().join("checkpoint");
    fs::create_dir(&inner).map_err(failed)?;
    // Said of where it would have gone.
    let in_place = |error: WriteError| failed(error.source);
    write_more(&inner).map_err(in_place)?;
    write_state(&inner.join(TENSOR_FILE), state).map_err(in_place)?;
    let text = json_text(file).map_err(|error| failed(error.into()))?;
    write_file(&inner.join(STATE_FILE), text.as_bytes()).map_err(in_place)?;
    fs::create_dir_all(output).map_err(failed)?;
    if folder.is_dir() {
        // Removed with the folder beside.
        fs::rename(&folder, beside.path().join("replaced")).map_err(failed)?;
    }
    fs::rename(&inner, &folder).map_err(failed)?;
    Ok(folder)
}

/// Removes a checkpoint. From the first moment on it is no whole one.
///
/// # Errors
///
/// [`WriteError`].
pub fn remove(folder: &Path) -> Result<(), WriteError> {
    let failed = |source| WriteError {
        path: folder.to_owned(),
        source,
    };
    for file in [STATE_FILE, TENSOR_FILE] {
        remove_file(&folder.join(file))?;
    }
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    Ok(())
}

/// Reads a checkpoint.
///
/// # Errors
///
/// [`CheckpointError`].
pub fn read(folder: &Path) -> Result<TrainingCheckpoint, CheckpointError> {
    let path = folder.join(STATE_FILE);
    if !path.is_file() {
        return Err(CheckpointError::NotACheckpoint {
            folder: folder.to_owned(),
        });
    }
    let bytes = fs::read(&path).map_err(|source| CheckpointError::Read {
        path: path.clone(),
        source,
    })?;
    let values = |source| CheckpointError::Values {
        path: path.clone(),
        source,
    };
    let document: Value = serde_json::from_slice(&bytes).map_err(values)?;
    if let Some(found) = document["format"]
        .as_u64()
        .filter(|found| *found != u64::from(FORMAT))
    {
        let found = found as u32;
        return Err(CheckpointError::Format { path, found });
    }
    let mut file: CheckpointFile = serde_json::from_value(document).map_err(values)?;
    let tensors = read_state(&folder.join(TENSOR_FILE))?;
    let state = TrainingState::of_parts(tensors, std::mem::take(&mut file.state));
    Ok(TrainingCheckpoint {
        folder: folder.to_owned(),
        file,
        state,
    })
}

impl CheckpointFile {
    /// Of a training that `made_by` began, without a state.
    pub fn new(made_by: MadeBy, config: Value, test_rows: Option<String>) -> Self {
        Self {
            format: FORMAT,
            made_by,
            step: 0,
            seconds: 0.0,
            config,
            test_rows,
            state: BTreeMap::new(),
        }
    }
}

fn slice_of(numbers: &Numbers) -> FloatSlice<'_> {
    match numbers {
        Numbers::Single(values) => FloatSlice::Single(values),
        Numbers::Double(values) => FloatSlice::Double(values),
    }
}

fn write_state(path: &Path, state: &TrainingState) -> Result<(), WriteError> {
    let tensors = state.tensors().iter();
    let tensors =
        tensors.map(|(name, tensor)| (name.clone(), (tensor.shape.clone(), slice_of(&tensor.numbers))));
    write_floats(path, &tensors.collect())
}

fn read_state(path: &Path) -> Result<BTreeMap<String, StateTensor>, TensorFileError> {
    let file = TensorFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for name in file.names() {
        let tensor = if let Some(values) = file.read_doubles(name)? {
            StateTensor {
                shape: file.shape(name).unwrap_or_default().to_vec(),
                numbers: Numbers::Double(values),
            }
        } else {
            let HostTensor { shape, values } = file.read(name)?.unwrap_or_default();
            StateTensor {
                shape,
                numbers: Numbers::Single(values),
            }
        };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    fn state() -> TrainingState {
        let mut state = TrainingState::default();
        let tensor = HostTensor {
            shape: vec![2, 3],
            values: vec![1.5, -2.0, f32::MIN_POSITIVE, 4.0, 0.1, 6.0],
        };
        state.put_tensor("trained.a", tensor);
        state.put_doubles("mean", vec![0.1, -1.0 / 3.0, 1e-300]);
        state.put("step", &7);
        state.put("loss", &0.1_f64.sqrt());
        state
    }

    fn file(state: &TrainingState) -> CheckpointFile {
        CheckpointFile {
            step: 7,
            state: state.values().clone(),
            ..CheckpointFile::new(MadeBy::this_call(), json!({"r": 8}), None)
        }
    }

    const NOTHING: fn(&Path) -> Result<(), WriteError> = |_| Ok(());

    #[test]
    fn a_state_comes_back_to_the_bit() {
        let output = tempfile::tempdir().unwrap();
        let written = write(output.path(), &file(&state()), &state(), NOTHING).unwrap();
        assert_eq!(checkpoints_in(output.path()), [(7, written.clone())]);
        let read = read(&written).unwrap();
        assert_eq!(read.state, state());
        assert_eq!(read.file.config, json!({"r": 8}));
        remove(&written).unwrap();
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_half_written_or_another_file_is_no_checkpoint() {
        let output = tempfile::tempdir().unwrap();
        let written = write(output.path(), &file(&state()), &state(), NOTHING).unwrap();
        let tensors = written.join(TENSOR_FILE);
        let bytes = fs::read(&tensors).unwrap();
        fs::write(&tensors, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(read(&written), Err(CheckpointError::Tensors { .. })));
        fs::write(written.join(STATE_FILE), r#"{"format": 2}"#).unwrap();
        assert!(matches!(
            read(&written),
            Err(CheckpointError::Format { found: 2, .. })
        ));
        fs::write(written.join(STATE_FILE), "{}").unwrap();
        assert!(matches!(read(&written), Err(CheckpointError::Values { .. })));
        fs::remove_file(written.join(STATE_FILE)).unwrap();
        assert!(matches!(
            read(&written),
            Err(CheckpointError::NotACheckpoint { .. })
        ));
        assert!(checkpoints_in(output.path()).is_empty());
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_nothing() {
        let output = tempfile::tempdir().unwrap();
        write(output.path(), &file(&state()), &state(), |folder| {
            write_file(&folder.join("adapter"), b"1")?;
            write_file(&folder.join("adapter/below"), b"2")
        })
        .unwrap_err();
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 0);
    }
}
