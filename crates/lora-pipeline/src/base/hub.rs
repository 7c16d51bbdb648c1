//! Where models of the hub lie, by the variables that Hugging Face's own libraries obey. The one place that reads them.

use std::path::PathBuf;

use lora_models::HubOptions;

/// How the hub is used, by the variables that Hugging Face's own libraries obey: `HF_HUB_CACHE`, `HF_HOME`,
/// `HF_HUB_OFFLINE`.
pub fn hub_options(revision: Option<&str>) -> HubOptions {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = || {
        folder("HF_HOME").unwrap_or_else(|| {
            let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
            cache.unwrap_or_default().join("huggingface")
        })
    };
    let offline = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
    HubOptions {
        cache: folder("HF_HUB_CACHE").unwrap_or_else(|| home().join("hub")),
        revision: revision.unwrap_or("main").to_owned(),
        offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
    }
}
