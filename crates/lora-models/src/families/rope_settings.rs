//! The settings of rotary embeddings in `config.json`, in the form before Transformers 5 and since.

use serde::Deserialize;

use super::llama::LlamaConfig;
use crate::blocks::RopeScaling;
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// `rope_parameters`, or the older `rope_scaling`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RopeSettings {
    /// The kind of scaling: `default`, `linear` or `llama3`.
    pub rope_type: Option<String>,
    /// The old name of `rope_type`. Some versions of Transformers wrote both, and `rope_type` holds.
    #[serde(rename = "type")]
    pub old_type: Option<String>,
    /// Base of the frequencies.
    pub rope_theta: Option<f32>,
    /// What frequencies are divided by.
    pub factor: Option<f32>,
    /// See [`RopeScaling::Llama3`].
    pub low_freq_factor: Option<f32>,
    /// See [`RopeScaling::Llama3`].
    pub high_freq_factor: Option<f32>,
    /// See [`RopeScaling::Llama3`].
    pub original_max_position_embeddings: Option<f32>,
}

const KINDS: &str = "default, linear, llama3";

/// Base and scaling of a model's frequencies.
///
/// # Errors
///
/// [`LoadError::Setting`] for a kind of scaling that is not known, or one that lacks a number.
pub(super) fn rope_of(
    config: &LlamaConfig,
    checkpoint: &Checkpoint,
) -> Result<(f32, RopeScaling), LoadError> {
    let given = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
    let settings = given.cloned().unwrap_or_default();
    let kind = settings.rope_type.as_deref().or(settings.old_type.as_deref());
    let kind = kind.unwrap_or("default");
    let needed = |key, number: Option<f32>| {
        number
            .filter(|number| *number > 0.0)
            .ok_or_else(|| checkpoint.unsupported(key, "missing, or not above 0", "a positive number"))
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear {
            factor: needed("rope_parameters.factor", settings.factor)?,
        },
        "llama3" => RopeScaling::Llama3 {
            factor: needed("rope_parameters.factor", settings.factor)?,
            low_freq_factor: needed("rope_parameters.low_freq_factor", settings.low_freq_factor)?,
            high_freq_factor: needed("rope_parameters.high_freq_factor", settings.high_freq_factor)?,
            original_context: needed(
                "rope_parameters.original_max_position_embeddings",
                settings.original_max_position_embeddings,
            )?,
        },
        other => return Err(checkpoint.unsupported("rope_parameters.rope_type", other, KINDS)),
    };
    let theta = settings.rope_theta.or(config.rope_theta).unwrap_or(10_000.0);
    Ok((theta, scaling))
}
