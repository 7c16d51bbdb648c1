//! Where a model is: a local folder, the hub's cache, or the hub.

use std::path::{Path, PathBuf};

use hf_hub::api::Siblings;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::error::LoadError;
use crate::sentence_piece;
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
const TOKENIZER: &str = "tokenizer.json";
/// What is fetched beside config and weights, where the model has it: the tokenizer, chat templates, stop tokens.
const WANTED: [&str; 4] = [
    TOKENIZER,
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
];

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
    let not_found = |fix| LoadError::NotFound {
        name: name.to_owned(),
        cache: options.cache.clone(),
        fix,
    };
    let is_id = name.split('/').count() <= 2 && !name.starts_with(['.', '/', '~']) && !name.is_empty();
    if !is_id {
        return Err(not_found(
            "give a folder that exists, or a hub id such as organization/name",
        ));
    }
    let repo = |revision: &str| Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned());
    let cached = Cache::new(options.cache.clone()).repo(repo(&options.revision));
    let cached_config = match cached.get(CONFIG) {
        Some(config) if weights_are_cached(&cached)? => Some(config),
        _ => None,
    };
    let mut tokenizers = sentence_piece::FILES.into_iter().chain([TOKENIZER]);
    if let Some(config) = &cached_config
        && (options.offline || tokenizers.any(|file| cached.get(file).is_some()))
    {
        return Ok(folder_of(config));
    }
    if options.offline {
        return Err(not_found(
            "offline mode is on: unset HF_HUB_OFFLINE, or give a folder",
        ));
    }
    let hub_error = |file: &str, reason| LoadError::Hub {
        name: name.to_owned(),
        cache: options.cache.clone(),
        file: file.to_owned(),
        reason,
    };
    let hub = ApiBuilder::new()
        .with_cache_dir(options.cache.clone())
        .with_progress(false)
        .build()
        .map_err(|reason| hub_error("the file list", Box::new(reason)))?;
    if let Some(folder) = cached_config.as_deref().map(folder_of) {
        // Without a tokenizer: another program fetched no more than it needed. The rest is taken from the same commit, or not at
        // all: the model is there, and whoever needs a tokenizer says that it is missing.
        let api = hub.repo(repo(&commit_of(&folder, &options.revision)));
        if let Ok(info) = api.info() {
            for file in wanted(&info.siblings) {
                let _ = api.get(file);
            }
        }
        return Ok(folder);
    }
    let api = hub.repo(repo(&options.revision));
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
    for file in wanted(&listed) {
        get(file)?;
    }
    Ok(folder)
}

fn weights_are_cached(cached: &CacheRepo) -> Result<bool, LoadError> {
    let Some(weights) = CHOICES.iter().find_map(|file| cached.get(file)) else {
        return Ok(false);
    };
    Ok(shards(&weights)?.iter().all(|shard| cached.get(shard).is_some()))
}

/// Those of [`WANTED`] that the hub has; a SentencePiece model only where there is no `tokenizer.json`.
fn wanted(listed: &[Siblings]) -> impl Iterator<Item = &'static str> {
    let is_there = |file: &&str| listed.iter().any(|listed| listed.rfilename == **file);
    let has_tokenizer = is_there(&TOKENIZER);
    let others = sentence_piece::FILES.into_iter().filter(move |_| !has_tokenizer);
    WANTED.into_iter().chain(others).filter(is_there)
}

/// The commit of a folder in the cache, which is called after it: a branch may have gone on since.
fn commit_of(folder: &Path, otherwise: &str) -> String {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.unwrap_or(otherwise).to_owned()
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_generation_needs_is_fetched_where_the_model_has_it() {
        let listed = [
            "config.json",
            "generation_config.json",
            "chat_template.jinja",
            "tokenizer.json",
            "tokenizer.model",
            "vocab.txt",
        ];
        let listed = listed.map(|file| Siblings {
            rfilename: file.to_owned(),
        });
        let wanted: Vec<&str> = wanted(&listed).collect();
        assert_eq!(
            wanted,
            ["tokenizer.json", "chat_template.jinja", "generation_config.json"]
        );
    }

    #[test]
    fn a_sentence_piece_model_is_fetched_where_there_is_no_tokenizer_json() {
        let listed = ["config.json", "spm.model", "tokenizer_config.json"];
        let listed = listed.map(|file| Siblings {
            rfilename: file.to_owned(),
        });
        let wanted: Vec<&str> = wanted(&listed).collect();
        assert_eq!(wanted, ["tokenizer_config.json", "spm.model"]);
    }

    #[test]
    fn a_cached_model_is_completed_from_its_own_commit() {
        let folder = Path::new("hub/models--org--name/snapshots/0123abc");
        assert_eq!(commit_of(folder, "main"), "0123abc");
    }
}
