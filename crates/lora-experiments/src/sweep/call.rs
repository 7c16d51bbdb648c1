//! What one call of a sweep is to compute, and where results are and go.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lora_pipeline::bail;
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::Result;

use super::Sweep;
use super::result_files::TRIAL_NAME;
use super::shard::Shard;

/// Which trials of a sweep a call is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrialChoice {
    /// All of them.
    #[default]
    All,
    /// Those with these keys.
    Keys(Vec<String>),
    /// A part that takes about as long as each of the others.
    Shard(Shard),
}

impl TrialChoice {
    /// What tells the results of this choice from those of others, in the name of a file; none for all trials.
    pub fn in_file_names(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Keys(keys) => Some(match &keys[..] {
                [] => format!("{TRIAL_NAME}none"),
                [key] => format!("{TRIAL_NAME}{key}"),
                [first, others @ ..] => format!("{TRIAL_NAME}{first}-and-{}", others.len()),
            }),
            Self::Shard(shard) => Some(shard.in_words()),
        }
    }

    /// The trials by their place in the plan.
    ///
    /// # Errors
    ///
    /// If there is no trial of a key.
    pub fn trials(&self, sweep: &Sweep) -> Result<BTreeSet<usize>> {
        let planned = &sweep.plan.trials;
        match self {
            Self::All => Ok((0..planned.len()).collect()),
            Self::Keys(keys) => {
                let place = |key: &String| {
                    let Some(place) = planned.iter().position(|trial| trial.key == *key) else {
                        bail!(
                            "no trial of this sweep has the key `{key}`; `lora sweep --list` shows them all"
                        );
                    };
                    Ok(place)
                };
                keys.iter().map(place).collect()
            }
            Self::Shard(shard) => {
                let units = sweep.work_units()?;
                let own = shard.part_of(&units).into_iter();
                Ok(own.flat_map(|unit| unit.trials.iter().copied()).collect())
            }
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct SweepCall {
    /// Which trials.
    pub choice: TrialChoice,
    /// Results files, or folders of them: what they hold is not computed again.
    pub known: Vec<PathBuf>,
    /// The file that takes new results. What it holds is known too.
    pub output: PathBuf,
    /// Failed trials are computed again.
    pub retry_failed: bool,
    /// How trainings run.
    pub resources: Resources,
}

impl SweepCall {
    /// All trials, read from one file and written to it.
    pub fn of_file(output: PathBuf, jobs: usize, retry_failed: bool) -> Self {
        Self {
            choice: TrialChoice::All,
            known: Vec::new(),
            output,
            retry_failed,
            resources: Resources {
                jobs,
                devices: Vec::new(),
            },
        }
    }
}

/// How trainings run; results do not depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Trainings at once.
    pub jobs: usize,
    /// Devices in place of that of the settings, each training on one of them; none: that of the settings.
    pub devices: Vec<DeviceName>,
}

impl Resources {
    /// The device of the n-th of the trainings at once.
    pub fn device(&self, job: usize) -> Option<DeviceName> {
        let devices = self.devices.len().max(1);
        self.devices.get(job % devices).copied()
    }
}
