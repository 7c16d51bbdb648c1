//! Where a model is: a local folder, the hub's cache, or the hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::error::LoadError;

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

const NEEDED: [&str; 2] = ["config.json", "model.safetensors"];
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
    if let Some(weights) = cached.get(NEEDED[1])
        && cached.get(NEEDED[0]).is_some()
    {
        return Ok(folder_of(&weights));
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
    let mut folder = PathBuf::new();
    for file in NEEDED {
        folder = folder_of(
            &api.get(file)
                .map_err(|reason| hub_error(file, Box::new(reason)))?,
        );
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
