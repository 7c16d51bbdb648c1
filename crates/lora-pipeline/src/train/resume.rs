//! Whether a training begins at its first step, or goes on from a checkpoint.

use std::fs;
use std::path::Path;

use lora_train::StateError;
use lora_train::state::refuse_difference;
use serde_json::{Value, json};

use super::checkpoint_folder::{CheckpointError, TrainingCheckpoint, checkpoints_in, read};
use super::checkpoints::WrittenRun;
use crate::config::{Resolved, ResumeFrom, RunConfig};
use crate::error::{Error, Result};
use crate::files::output::{FINISHED, INTERRUPTED, RUN_FILE, UNFINISHED};
use crate::files::provenance::{MadeBy, PROGRAM};
use crate::files::unfinished::step_of_adapter;
use crate::saved::missing::is_adapter;

/// Keys that say where rows and weights lie. Those are known by their hashes, so that files may be moved.
const OF_INPUTS: [&str; 9] = [
    "model_name_or_path",
    "revision",
    "train_file",
    "validation_file",
    "test_file",
    "data_file",
    "data_dir",
    "data_format",
    "header",
];

/// Keys about what is written, which do not decide what comes out.
const OF_OUTPUTS: [&str; 9] = [
    "output_dir",
    "overwrite_output_dir",
    "report_to",
    "mlflow_tracking_uri",
    "mlflow_experiment_name",
    "save_strategy",
    "save_steps",
    "save_total_limit",
    "resume_from_checkpoint",
];

/// How a training begins.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Where it goes on.
    pub checkpoint: Option<TrainingCheckpoint>,
    /// What of this training, which is not finished, is in the output folder.
    pub written: WrittenRun,
    /// Whether what is in the output folder is this training's.
    pub is_in_its_folder: bool,
}

impl Beginning {
    /// As the settings say.
    pub fn find(resolved: &Resolved) -> Result<Self> {
        let config = &resolved.config;
        let folder = match &config.resume_from_checkpoint {
            ResumeFrom::Nothing => None,
            ResumeFrom::Newest => checkpoints_in(&config.output_dir).pop().map(|(_, folder)| folder),
            ResumeFrom::Folder(folder) => Some(folder.clone()),
        };
        let of_this_one = || unfinished_run(config).filter(|before| is_the_same(&before["config"], config));
        let Some(folder) = folder else {
            return Ok(Self {
                checkpoint: None,
                written: WrittenRun::default(),
                is_in_its_folder: config.resume_from_checkpoint == ResumeFrom::Newest
                    && of_this_one().is_some(),
            });
        };
        let checkpoint = read(&folder).map_err(|error| in_settings(resolved, error))?;
        let refuse = |key: &str, source| {
            let folder = folder.clone();
            let error = CheckpointError::State { folder, source };
            match resolved.origins.of(key) {
                Some(place) => Error::from(error).at(place),
                None => error.into(),
            }
        };
        let matters = |key: &str| !OF_INPUTS.contains(&key) && !OF_OUTPUTS.contains(&key);
        refuse_difference(&checkpoint.file.config, &json!(config), matters).map_err(
            |error| match &error {
                StateError::Differs { what, .. } => refuse(&what.clone(), error),
                _ => refuse("resume_from_checkpoint", error),
            },
        )?;
        let versions = |made_by: &MadeBy| {
            let versions = made_by.versions.iter();
            let named = versions.map(|(name, version)| (format!("the version of {name}"), json!(version)));
            Value::Object(named.collect())
        };
        let (before, now) = (versions(&checkpoint.file.made_by), versions(&MadeBy::this_call()));
        refuse_difference(&before, &now, |_| true)
            .map_err(|error| refuse("resume_from_checkpoint", error))?;
        let whole = |path: &Path| fs::canonicalize(path).ok();
        let is_in_its_folder = whole(&folder.join("..")) == whole(&config.output_dir);
        Ok(Self {
            written: of_this_one()
                .filter(|_| is_in_its_folder)
                .map_or_else(WrittenRun::default, |run| WrittenRun {
                    is_begun: true,
                    has_adapter: is_adapter(&config.output_dir),
                    best_step: step_of_adapter(&run),
                }),
            is_in_its_folder,
            checkpoint: Some(checkpoint),
        })
    }

    /// A state that the training does not take.
    pub fn refusal(&self, source: StateError) -> Error {
        match &self.checkpoint {
            Some(checkpoint) => {
                let folder = checkpoint.folder.clone();
                CheckpointError::State { folder, source }.into()
            }
            None => Error::other(source),
        }
    }

    /// Refuses rows other than those of the checkpoint, which are scored when all is done.
    pub fn check_test_rows(&self, now: Option<&String>) -> Result<()> {
        let Some(checkpoint) = &self.checkpoint else {
            return Ok(());
        };
        let of = |rows: Option<&String>| json!({ "the test rows": rows });
        let before = of(checkpoint.file.test_rows.as_ref());
        refuse_difference(&before, &of(now), |_| true).map_err(|error| self.refusal(error))
    }
}

fn in_settings(resolved: &Resolved, error: CheckpointError) -> Error {
    match resolved.origins.of("resume_from_checkpoint") {
        Some(place) => Error::from(error).at(place),
        None => error.into(),
    }
}

/// Whether there is nothing left to resume: `resume_from_checkpoint: auto`, and the output folder holds the finished training of the same
/// settings.
pub fn is_finished(config: &RunConfig) -> bool {
    let is_whole = |run: &Value| run[FINISHED].as_bool() == Some(true) && is_the_same(&run["config"], config);
    config.resume_from_checkpoint == ResumeFrom::Newest && run_of(config).is_some_and(|run| is_whole(&run))
}

/// `run.json` of a training in the output folder that did not come to its end.
fn unfinished_run(config: &RunConfig) -> Option<Value> {
    let run = run_of(config)?;
    let is_unfinished = [UNFINISHED, INTERRUPTED].iter().any(|key| !run[*key].is_null());
    is_unfinished.then_some(run)
}

fn run_of(config: &RunConfig) -> Option<Value> {
    let text = fs::read(config.output_dir.join(RUN_FILE)).ok()?;
    let run: Value = serde_json::from_slice(&text).ok()?;
    (run["program"] == PROGRAM).then_some(run)
}

/// The same command, as far as settings tell.
fn is_the_same(before: &Value, config: &RunConfig) -> bool {
    refuse_difference(before, &json!(config), |key| !OF_OUTPUTS.contains(&key)).is_ok()
}
