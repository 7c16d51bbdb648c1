//! Opening what a run needs: checkpoint, tokenizer, data. Whatever would only fail later is checked here.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use lora_core::Adapted;
use lora_core::peft::{AdapterFolder, CONFIG_FILE};
use lora_data::{Task, TextTokenizer};
use lora_models::gguf::Gguf;
use lora_models::{
    Checkpoint, FamilyConfig, HeadKind, HeadOptions, HubOptions, LoadError, LoadReport, Transformer, locate,
};
use lora_train::fit::fit_variational;
use lora_train::{FitData, Fitted, Observer, TrainError, fit};

use crate::bail;
use crate::config::RunConfig;
use crate::config::keys::nearest_of;
use crate::error::{Context, Result};
use crate::saved::model_folder::MODEL_CONFIG_FILE;

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

/// Trains as the settings say: factors that are points, or a Gaussian over A.
///
/// # Errors
///
/// If a setting or a data set cannot be used, or the training diverges.
pub fn fit_as_configured(
    adapted: Adapted<Transformer>,
    config: &RunConfig,
    data: &FitData<'_>,
    observer: &mut dyn Observer<Transformer>,
) -> Result<Fitted<Transformer>, TrainError> {
    match config.blob {
        None => fit(adapted, &config.train, data, observer),
        Some(settings) => fit_variational(adapted, &config.train, data, settings, observer),
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
        return Ok(Checkpoint::from_bytes(
            EMBEDDED_MODEL,
            include_bytes!("../../../../assets/minilm-l6/config.json"),
            include_bytes!("../../../../assets/minilm-l6/model.safetensors"),
            include_bytes!("../../../../assets/minilm-l6/tokenizer.json"),
        )?);
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

/// The tokenizer of a checkpoint, cut to a length that the model takes.
///
/// # Errors
///
/// If there is none, it does not fit the model, or the length is more than the model has positions.
pub fn open_tokenizer(checkpoint: &Checkpoint, max_seq_length: usize) -> Result<TextTokenizer> {
    let path = checkpoint.origin.join("tokenizer.json");
    let Some(bytes) = &checkpoint.tokenizer else {
        bail!(
            "`{}` holds no tokenizer.json; save the tokenizer into the model's folder (`save_pretrained` of a fast tokenizer)",
            checkpoint.origin.display()
        );
    };
    let model = FamilyConfig::read(checkpoint)?.outline();
    if let Some(positions) = model.max_tokens.filter(|positions| max_seq_length > *positions) {
        bail!(
            "max_seq_length is {max_seq_length}, but the model takes at most {positions} tokens \
             (max_position_embeddings in `{}`); lower max_seq_length",
            checkpoint.config_path().display()
        );
    }
    let tokenizer = TextTokenizer::from_bytes(bytes, &path)?.with_max_length(max_seq_length)?;
    let rows = model.vocab_size;
    if tokenizer.vocabulary_size() > rows {
        bail!(
            "`{}` has {} tokens, but the model knows {rows} (vocab_size in config.json); the tokenizer belongs to another model",
            path.display(),
            tokenizer.vocabulary_size()
        );
    }
    if tokenizer.pad_id().is_ok() {
        return Ok(tokenizer);
    }
    let Some(pad_id) = checkpoint.padding_id() else {
        bail!(
            "`{}` cannot fill up short texts: its tokenizer names no padding token, and `{}` neither pad_token_id nor \
             eos_token_id; add pad_token_id there",
            checkpoint.origin.display(),
            checkpoint.config_path().display()
        );
    };
    Ok(tokenizer.with_pad_id(pad_id))
}

/// The base model with a head for a task.
///
/// # Errors
///
/// If a tensor is missing or of the wrong shape, or the family is not supported.
pub fn load_model(
    checkpoint: &Checkpoint,
    task: &Task,
    seed: u64,
    device: &Device,
) -> Result<(Transformer, LoadReport)> {
    let kind = HeadKind::Sequence {
        outputs: task.outputs(),
    };
    Ok(Transformer::load(checkpoint, HeadOptions { kind, seed }, device)?)
}
