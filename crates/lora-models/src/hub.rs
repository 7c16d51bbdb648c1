//! Where a model is: a local folder, the hub's cache, or the hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::error::LoadError;
use crate::weight_files::{CHOICES, shards};

/// How the hub is used.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// The cache folder, usually `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// Branch, tag or commit; `main` if not given.
    pub revision: String,
    /// Never touch the network.
    pub offline: bool,
}

const CONFIG: &str = "config.json";
const WANTED: [&str; 1] = ["tokenizer.json"];

/// The folder of a model given as a path or a hub id (`organization/name`). A path that exists never touches the network.
///
/// # Errors
///
/// [`LoadError::NotFound`], [`LoadError::Hub`].
pub fn locate(name: &str, options: &HubOptions) -> Result<PathBuf, LoadError> {
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    let not_found = |mend| LoadError::NotFound {
        name: name.to_owned(),
        cache: options.cache.clone(),
        mend,
    };
    let is_id = name.split('/').count() <= 2 && !name.starts_with(['.', '/', '~']) && !name.is_empty();
    if !is_id {
        return Err(not_found(
            "give a folder that exists, or a hub id such as organization/name",
        ));
    }
    let repo = Repo::with_revision(name.to_owned(), RepoType::Model, options.revision.clone());
    let cached = Cache::new(options.cache.clone()).repo(repo.clone());
    if let Some(config) = cached.get(CONFIG)
        && let Some(weights) = CHOICES.iter().find_map(|file| cached.get(file))
        && shards(&weights)?.iter().all(|shard| cached.get(shard).is_some())
    {
        return Ok(folder_of(&config));
    }
    if options.offline {
        return Err(not_found(
            "offline mode is on: unset HF_HUB_OFFLINE, or give a folder",
        ));
    }
    let hub_error = |file: &str, reason| LoadError::Hub {
        name: name.to_owned(),
        file: file.to_owned(),
        reason,
    };
    let api = ApiBuilder::new()
        .with_cache_dir(options.cache.clone())
        .with_progress(false)
        .build()
        .map_err(|reason| hub_error("the file list", Box::new(reason)))?
        .repo(repo);
    let get = |file: &str| {
        let fetched = api.get(file);
        fetched.map_err(|reason| hub_error(file, Box::new(reason)))
    };
    let info = api.info();
    let listed = info
        .map_err(|reason| hub_error("the file list", Box::new(reason)))?
        .siblings;
    let is_there = |file: &str| listed.iter().any(|listed| listed.rfilename == file);
    let choice = CHOICES
        .into_iter()
        .find(|file| is_there(file))
        .unwrap_or(CHOICES[0]);
    let folder = folder_of(&get(CONFIG)?);
    for shard in shards(&get(choice)?)? {
        get(&shard)?;
    }
    for file in WANTED {
        // A model without a tokenizer loads; whoever needs the tokenizer says that it is missing.
        let _ = api.get(file);
    }
    Ok(folder)
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}
