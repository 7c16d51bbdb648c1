//! A base model's files, by folder, GGUF file, hub id or the name of the embedded one.

use std::path::{Path, PathBuf};

use lora_core::peft::{AdapterFolder, CONFIG_FILE};
use lora_models::gguf::Gguf;
use lora_models::{Checkpoint, HubOptions, LoadError, locate};

use super::model_folder::MODEL_CONFIG_FILE;
use crate::bail;
use crate::config::keys::nearest_of;
use crate::error::{Context, Result};

/// Name of the model that the program carries.
pub const EMBEDDED_MODEL: &str = "minilm-l6";
/// The same model on the hub.
const EMBEDDED_ON_HUB: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// The name that other programs know a model by, for `adapter_config.json`.
pub fn public_name(name: &str) -> &str {
    if name == EMBEDDED_MODEL {
        EMBEDDED_ON_HUB
    } else {
        name
    }
}

/// The other way round: the embedded model is the one that an adapter trained here was trained on.
pub fn embedded_name(name: &str) -> &str {
    if name == EMBEDDED_ON_HUB {
        EMBEDDED_MODEL
    } else {
        name
    }
}

/// Whether a model is named by a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "gguf")
}

/// Opens a model by folder, GGUF file, hub id or the name of the embedded one.
///
/// # Errors
///
/// If it is not there, or a file is missing or corrupt.
pub fn open_checkpoint(name: &str, hub: &HubOptions) -> Result<Checkpoint> {
    if name == EMBEDDED_MODEL {
        return embedded(hub);
    }
    let path = Path::new(name);
    if is_gguf(path) {
        return Ok(Gguf::open(path)?.into_checkpoint()?);
    }
    if path.is_file() {
        bail!(
            "`{name}` is a file; give the folder that holds config.json, model.safetensors and tokenizer.json, or a GGUF file"
        );
    }
    if path.join(CONFIG_FILE).is_file() && !path.join(MODEL_CONFIG_FILE).is_file() {
        let base = AdapterFolder::read(path)
            .ok()
            .and_then(|folder| folder.base_model);
        let base = base.filter(|base| !base.is_empty());
        bail!(
            "`{name}` is an adapter, not a model: it is put on {}; give that model here, or make a whole model of both with lora merge",
            base.map_or_else(
                || "a base model that it does not name".to_owned(),
                |base| format!("`{base}`")
            )
        );
    }
    Ok(Checkpoint::open(&folder_of(name, hub)?)?)
}

#[cfg(has_embedded_model)]
fn embedded(_: &HubOptions) -> Result<Checkpoint> {
    Ok(Checkpoint::from_bytes(
        EMBEDDED_MODEL,
        include_bytes!("../../../../assets/minilm-l6/config.json"),
        include_bytes!("../../../../assets/minilm-l6/model.safetensors"),
        include_bytes!("../../../../assets/minilm-l6/tokenizer.json"),
    )?)
}

/// A package of the registry has no room for the model: the hub, or its cache, has it.
#[cfg(not(has_embedded_model))]
fn embedded(hub: &HubOptions) -> Result<Checkpoint> {
    let main = HubOptions {
        revision: "main".to_owned(),
        ..hub.clone()
    };
    let folder = locate(EMBEDDED_ON_HUB, &main).with_context(|| {
        format!(
            "this lora was built from the package registry, without {EMBEDDED_MODEL}, and takes it from the hub; \
             install the wheel or an archive, which hold it, or name another model"
        )
    })?;
    Ok(Checkpoint::open(&folder)?)
}

/// The folder of a model by path or hub id. For a name that looks like the embedded model's, the hub is not asked.
fn folder_of(name: &str, hub: &HubOptions) -> Result<PathBuf> {
    let is_slip = !Path::new(name).is_dir() && nearest_of(name, [EMBEDDED_MODEL]).is_some();
    let here = HubOptions {
        offline: true,
        ..hub.clone()
    };
    match locate(name, if is_slip { &here } else { hub }) {
        Err(LoadError::NotFound { cache, .. }) if is_slip => bail!(
            "`{name}` is no folder here and not in the hub's cache at {}; did you mean `{EMBEDDED_MODEL}`, the embedded model?",
            cache.display()
        ),
        Err(error @ (LoadError::NotFound { .. } | LoadError::Hub { .. })) if !name.contains('/') => {
            Err(error)
                .with_context(|| format!("there is no embedded model `{name}` ({EMBEDDED_MODEL} is one)"))
        }
        found => Ok(found?),
    }
}
