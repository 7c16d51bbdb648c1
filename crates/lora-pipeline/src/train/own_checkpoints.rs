//! The checkpoints of one training in its output folder, told from those of others.

use std::fs;
use std::path::{Path, PathBuf};

use lora_core::atomic::WriteError;
use lora_train::TrainingState;

use super::checkpoint_folder::{self, CheckpointFile, checkpoints_in, is_whole, place_of};

/// Which checkpoints in an output folder are a training's own.
pub(super) struct OwnCheckpoints<'a> {
    output: &'a Path,
    /// The oldest first.
    folders: Vec<PathBuf>,
}

impl<'a> OwnCheckpoints<'a> {
    /// Of a training that begins anew: those that are there are others'.
    pub fn none(output: &'a Path) -> Self {
        Self {
            output,
            folders: Vec::new(),
        }
    }

    /// Of a training that goes on from the checkpoint `resumed` after `step`: that one, and those of earlier steps beside it. Paths are
    /// compared by where they lead, not by how they are spelled.
    pub fn up_to(output: &'a Path, resumed: &Path, step: u64) -> Self {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let resumed = real(resumed);
        let parent = resumed.as_deref().and_then(Path::parent);
        if parent.is_none() || parent != real(output).as_deref() {
            return Self::none(output);
        }
        let own = checkpoints_in(output)
            .into_iter()
            .filter(|(of, folder)| *of < step || real(folder) == resumed);
        Self {
            output,
            folders: own.map(|(_, folder)| folder).collect(),
        }
    }

    /// Writes one. An own one of the same step stays as it is: it leads to the same end. One of another training is replaced, once the new
    /// one is whole.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn write(
        &mut self,
        file: &CheckpointFile,
        state: &TrainingState,
        write_more: impl FnOnce(&Path) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let place = place_of(self.output, file.step);
        let is_own = self.folders.contains(&place);
        if is_own && is_whole(&place) {
            return Ok(());
        }
        checkpoint_folder::write(self.output, file, state, write_more)?;
        if !is_own {
            self.folders.push(place);
        }
        Ok(())
    }

    /// Removes the oldest until there are no more than so many.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn keep(&mut self, most: usize) -> Result<(), WriteError> {
        while self.folders.len() > most {
            checkpoint_folder::remove(&self.folders.remove(0))?;
        }
        Ok(())
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&PathBuf> {
        self.folders.last()
    }

    /// The checkpoints of other trainings in the folder.
    pub fn of_others(&self) -> Vec<PathBuf> {
        let all = checkpoints_in(self.output).into_iter();
        all.map(|(_, folder)| folder)
            .filter(|folder| !self.folders.contains(folder))
            .collect()
    }

    /// All of them.
    pub fn into_folders(self) -> Vec<PathBuf> {
        self.folders
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_core::atomic::write_file;
    use serde_json::{Value, json};

    use super::*;
    use crate::files::provenance::MadeBy;

    const NOTHING: fn(&Path) -> Result<(), WriteError> = |_| Ok(());

    fn file(step: u64, config: Value) -> CheckpointFile {
        CheckpointFile {
            step,
            ..CheckpointFile::new(MadeBy::this_call(), config, None)
        }
    }

    fn state() -> TrainingState {
        let mut state = TrainingState::default();
        state.put_doubles("mean", vec![0.5, -0.25]);
        state
    }

    /// An output folder with what another training left there.
    fn with_checkpoints(output: &Path, steps: &[u64]) {
        let mut another = OwnCheckpoints::none(output);
        for step in steps {
            let file = file(*step, json!({"r": 8}));
            another.write(&file, &state(), NOTHING).unwrap();
        }
    }

    fn config_of(folder: &Path) -> Value {
        checkpoint_folder::read(folder).unwrap().file.config
    }

    #[test]
    fn the_checkpoint_of_a_training_that_goes_on_is_its_own_however_it_is_spelled() {
        let root = tempfile::tempdir().unwrap();
        let output = root.path().join("runs/a");
        with_checkpoints(&output, &[4, 8, 12]);
        let [four, eight, twelve] = [4, 8, 12].map(|step| place_of(&output, step));
        for spelled in [
            "checkpoint-8",
            "../a/checkpoint-8",
            "checkpoint-8/../checkpoint-8",
        ] {
            let mut own = OwnCheckpoints::up_to(&output, &output.join(spelled), 8);
            assert_eq!(own.newest(), Some(&eight), "{spelled}");
            assert_eq!(own.of_others(), [twelve.as_path()], "{spelled}");
            // It leads to the same end, and stays.
            let file = file(8, json!({"r": 16}));
            own.write(&file, &state(), |_| panic!("it is written anew"))
                .unwrap();
            assert_eq!(config_of(&eight), json!({"r": 8}), "{spelled}");
            assert_eq!(own.into_folders(), [four.as_path(), eight.as_path()], "{spelled}");
        }
    }

    #[test]
    fn in_another_folder_than_that_of_its_checkpoint_a_training_owns_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (here, there) = (root.path().join("here"), root.path().join("there"));
        with_checkpoints(&here, &[4, 8]);
        with_checkpoints(&there, &[8]);
        let own = OwnCheckpoints::up_to(&here, &place_of(&there, 8), 8);
        assert_eq!(own.newest(), None);
        assert_eq!(own.of_others().len(), 2);
    }

    #[test]
    fn one_of_another_training_at_the_same_step_is_replaced_once_the_new_one_is_whole() {
        let output = tempfile::tempdir().unwrap();
        with_checkpoints(output.path(), &[8]);
        let place = place_of(output.path(), 8);
        let mut own = OwnCheckpoints::none(output.path());
        assert_eq!(own.of_others(), [place.as_path()]);

        let new = file(8, json!({"r": 16}));
        own.write(&new, &state(), |folder| {
            write_file(&folder.join("adapter"), b"1")?;
            write_file(&folder.join("adapter/below"), b"2")
        })
        .unwrap_err();
        assert_eq!(config_of(&place), json!({"r": 8}));
        assert_eq!(own.newest(), None);

        own.write(&new, &state(), |_| {
            assert_eq!(config_of(&place), json!({"r": 8}));
            Ok(())
        })
        .unwrap();
        assert_eq!(config_of(&place), json!({"r": 16}));
        assert_eq!(own.newest(), Some(&place));
        assert!(own.of_others().is_empty());
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_oldest_go_first() {
        let output = tempfile::tempdir().unwrap();
        let mut own = OwnCheckpoints::none(output.path());
        for step in [2, 10, 11] {
            own.write(&file(step, json!({})), &state(), NOTHING).unwrap();
            own.keep(2).unwrap();
        }
        let steps: Vec<u64> = checkpoints_in(output.path())
            .into_iter()
            .map(|(step, _)| step)
            .collect();
        assert_eq!(steps, [10, 11]);
    }
}
