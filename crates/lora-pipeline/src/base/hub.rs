//! Where models of the hub lie and who pushes there, by the variables that Hugging Face's own libraries obey. The one place that reads them.

use std::env;
use std::fs;
use std::path::PathBuf;

use lora_models::HubOptions;

/// Where the hub is if nothing else is said.
const ENDPOINT: &str = "https://huggingface.co";

/// Who pushes, and to which hub.
#[derive(Clone)]
pub struct HubAccount {
    /// The hub's address.
    pub endpoint: String,
    /// A token that may write.
    pub token: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn folder(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn home() -> PathBuf {
    folder("HF_HOME").unwrap_or_else(|| {
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        cache.unwrap_or_default().join("huggingface")
    })
}

/// How the hub is used, by `HF_HUB_CACHE`, `HF_HOME` and `HF_HUB_OFFLINE`.
pub fn hub_options(revision: Option<&str>) -> HubOptions {
    let offline = env::var("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
    HubOptions {
        cache: folder("HF_HUB_CACHE").unwrap_or_else(|| home().join("hub")),
        revision: revision.unwrap_or("main").to_owned(),
        offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
    }
}

/// Who pushes, by `HF_ENDPOINT`, and by `HF_TOKEN` or the file that `hf auth login` writes (`HF_TOKEN_PATH`, `HF_HOME`).
pub fn hub_account() -> HubAccount {
    let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home().join("token"));
    let of_file = || fs::read_to_string(file).ok();
    let token = variable("HF_TOKEN").or_else(of_file);
    HubAccount {
        endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
        token: token
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty()),
    }
}
