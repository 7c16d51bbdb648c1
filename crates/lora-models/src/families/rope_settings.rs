//! The settings of rotary embeddings in `config.json`, in the form before Transformers 5 and since.

use serde::Deserialize;

use crate::blocks::{RopeScaling, Yarn};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// `rope_parameters`, or the older `rope_scaling`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RopeSettings {
    /// The kind of scaling: `default`, `linear`, `llama3` or `yarn`.
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
    /// See [`RopeScaling::Llama3`], [`Yarn`]; `max_position_embeddings` if not given.
    pub original_max_position_embeddings: Option<f32>,
    /// See [`Yarn`]; 32 if not given.
    pub beta_fast: Option<f64>,
    /// See [`Yarn`]; 1 if not given.
    pub beta_slow: Option<f64>,
    /// See [`Yarn`]; by default it follows from the factor, and the two keys below.
    pub attention_factor: Option<f32>,
    /// Factor of the logarithm in the numerator of `attention_factor`.
    pub mscale: Option<f64>,
    /// Factor of the logarithm in its denominator.
    pub mscale_all_dim: Option<f64>,
    /// See [`Yarn`]; true if not given.
    pub truncate: Option<bool>,
}

const KINDS: &str = "default, linear, llama3, yarn";

/// Base and scaling of a model's frequencies; `theta` is the base where the settings have none.
///
/// # Errors
///
/// [`LoadError::Setting`] for a kind of scaling that is not known, or one that lacks a number.
pub(super) fn rope_of(
    settings: &RopeSettings,
    theta: f32,
    max_positions: usize,
    checkpoint: &Checkpoint,
) -> Result<(f32, RopeScaling), LoadError> {
    let kind = settings.rope_type.as_deref().or(settings.old_type.as_deref());
    let kind = kind.unwrap_or("default");
    let needed = |key, number: Option<f32>| {
        number
            .filter(|number| *number > 0.0)
            .ok_or_else(|| checkpoint.unsupported(key, "missing, or not above 0", "a positive number"))
    };
    let original_context = settings
        .original_max_position_embeddings
        .or(Some(max_positions as f32));
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
                original_context,
            )?,
        },
        "yarn" => {
            let factor = needed("rope_parameters.factor", settings.factor)?;
            let context = needed(
                "rope_parameters.original_max_position_embeddings",
                original_context,
            )?;
            RopeScaling::Yarn(settings.yarn(factor, context))
        }
        other => return Err(checkpoint.unsupported("rope_parameters.rope_type", other, KINDS)),
    };
    Ok((settings.rope_theta.unwrap_or(theta), scaling))
}

impl RopeSettings {
    /// Whether they say a kind of scaling.
    pub(super) fn names_kind(&self) -> bool {
        self.rope_type.is_some() || self.old_type.is_some()
    }

    fn yarn(&self, factor: f32, original_context: f32) -> Yarn {
        // Transformers takes 0 as not given.
        let given = |number: Option<f64>| number.filter(|number| *number != 0.0);
        let length = |scale: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * scale * f64::from(factor).ln() + 1.0
            }
        };
        let inferred = match given(self.mscale).zip(given(self.mscale_all_dim)) {
            Some((above, below)) => length(above) / length(below),
            None => length(1.0),
        };
        Yarn {
            factor,
            beta_fast: given(self.beta_fast).unwrap_or(32.0),
            beta_slow: given(self.beta_slow).unwrap_or(1.0),
            original_context: original_context.into(),
            truncate: self.truncate.unwrap_or(true),
            attention_factor: self.attention_factor.unwrap_or(inferred as f32),
        }
    }
}
