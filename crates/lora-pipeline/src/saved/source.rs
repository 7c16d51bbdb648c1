//! An adapter folder with its base model's files, before a model is built.

use std::path::Path;

use lora_models::{Checkpoint, HubOptions, locate};

use super::Saved;
use super::task_file::TaskFile;
use crate::bail;
use crate::base::BaseModel;
use crate::base::checkpoint::{EMBEDDED_MODEL, embedded_name, is_gguf, open_checkpoint};
use crate::base::hub::hub_options;
use crate::config::keys::nearest_of;
use crate::error::{Context, Result};

/// An adapter folder with its base model's files, before a model is built.
#[derive(Debug)]
pub struct AdapterSource {
    /// What was trained.
    pub saved: Saved,
    /// What the folder says about its training; none for a folder that PEFT wrote.
    pub task_file: Option<TaskFile>,
    /// The base model.
    pub base: BaseModel,
    /// The base model's files.
    pub checkpoint: Checkpoint,
}

/// Opens an adapter folder and the files of its base model.
///
/// # Errors
///
/// If a part is missing or corrupt.
pub fn open_source(adapter: &Path, base: Option<&str>, revision: Option<&str>) -> Result<AdapterSource> {
    let task_file = TaskFile::read(adapter)?;
    let saved = Saved::read(adapter)?;
    let given = task_file.as_ref().map(|task| task.base_model.clone());
    let named = match saved {
        Saved::Model { .. } if base.is_some() => bail!(
            "`{}` is a whole model and needs no base model; leave --model out",
            adapter.display()
        ),
        Saved::Model { .. } => saved.base_model(),
        Saved::Adapter(_) | Saved::Tuned(_) => {
            given.or_else(|| Some(embedded_name(&saved.base_model()?).to_owned()))
        }
    };
    let Some(base_model) = base.map(str::to_owned).or(named) else {
        bail!(
            "`{}` names no base model; give it with --model",
            adapter.display()
        );
    };
    let revision = revision.or_else(|| task_file.as_ref()?.revision.as_deref());
    let revision = revision.map(str::to_owned);
    let hub = hub_options(revision.as_deref());
    if base.is_none() {
        check_base(adapter, &base_model, &hub, "--model")?;
    }
    let checkpoint = open_checkpoint(&base_model, &hub).with_context(|| {
        format!(
            "the base model of `{}` cannot be opened (--model names another)",
            adapter.display()
        )
    })?;
    Ok(AdapterSource {
        saved,
        task_file,
        base: BaseModel {
            name: base_model,
            revision,
        },
        checkpoint,
    })
}

/// Refuses a base model that an adapter names by a relative path which leads nowhere from here. A name that can be one of the hub is
/// looked for there. `flag` gives another base model.
///
/// # Errors
///
/// If the base model is not there: with the place that was looked at.
pub fn check_base(adapter: &Path, base_model: &str, hub: &HubOptions, flag: &str) -> Result<()> {
    let path = Path::new(base_model);
    if base_model == EMBEDDED_MODEL || path.is_absolute() || path.exists() {
        return Ok(());
    }
    let here = std::env::current_dir().unwrap_or_default();
    let place = || {
        format!(
            "the base model of `{}` is called `{base_model}`, and there is no `{}` (a relative path starts at the current folder, `{}`); \
             go to the folder from which it was trained, or give the model with {flag}",
            adapter.display(),
            here.join(path).display(),
            here.display()
        )
    };
    let is_path = path.starts_with(".")
        || path.starts_with("..")
        || path.components().count() > 2
        || is_gguf(path)
        || nearest_of(base_model, [EMBEDDED_MODEL]).is_some();
    if is_path {
        bail!("{}", place());
    }
    locate(base_model, hub).with_context(place)?;
    Ok(())
}
