//! What the user chooses about the adapters.

use serde::{Deserialize, Serialize};

use crate::adalora::AdaLora;
use crate::config_error::ConfigError;
use crate::dropout::{LoraDropout, MaskAxes, Rescale};
use crate::targets::{TargetModules, pattern_matches};

/// Settings of LoRA and LoRA Dropout. Plain data; [`LoraConfig::validate`] checks it once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank `r` of the update, at least 1.
    pub rank: usize,
    /// Numerator `α` of the scaling.
    pub alpha: f64,
    /// How rank and alpha give the factor `s`.
    pub scaling: Scaling,
    /// LoRA Dropout; `None` is plain LoRA.
    pub dropout: Option<LoraDropout>,
    /// PEFT's `lora_dropout`: probability of fresh element-wise dropout on the branch's input while training.
    pub input_dropout: f64,
    /// How the factors are initialized.
    pub init: Init,
    /// Which linears are adapted.
    pub targets: TargetModules,
    /// Ranks of single modules, by pattern; the first that matches wins (PEFT's `rank_pattern`).
    pub rank_pattern: Vec<(String, usize)>,
    /// Alphas of single modules, by pattern; the first that matches wins (PEFT's `alpha_pattern`).
    pub alpha_pattern: Vec<(String, f64)>,
    /// Which form the update has.
    pub form: Form,
    /// PEFT's `lora_bias`: a bias of the factor B is trained too.
    pub lora_bias: bool,
    /// PEFT's `fan_in_fan_out`, as it was read. It changes no number, here or there: PEFT looks at the class of each module,
    /// and corrects the setting with a warning.
    pub fan_in_fan_out: bool,
    /// Which biases are trained.
    pub bias: BiasMode,
    /// Modules that are trained in full and saved with the adapter, by the end of their path.
    pub modules_to_save: Vec<String>,
}

/// How the factor `s` of the branch follows from rank and alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// `α / r` (LoRA, arXiv 2106.09685).
    Standard,
    /// `α / √r` (rsLoRA, arXiv 2312.03732).
    RankStabilized,
}

/// Which form the update of a linear has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// LoRA: `s · A B`.
    LowRank,
    /// DoRA (arXiv 2402.09353): LoRA gives the direction of every weight column, a trained vector its length.
    WeightDecomposed,
    /// AdaLoRA (arXiv 2303.10512): `s · A diag(E) B`, whose ranks are shared out while training.
    Svd(AdaLora),
}

/// How the factors are initialized. In all of them training starts at the base model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// `A ~ U(−1/√d_input, 1/√d_input)`, B zero: Kaiming uniform with a = √5, PEFT's default.
    KaimingUniform,
    /// `A ~ N(0, 1/rank)`, standard deviation 1/rank, B zero: PEFT's `gaussian`.
    Gaussian,
    /// A and B are the largest singular triplets of the base weight, which is left with the rest (arXiv 2404.02948).
    Pissa,
    /// As [`Init::Pissa`], with the triplets found by so many rounds of subspace iteration from a random sketch (Halko et al.
    /// 2011, arXiv 0909.4061, algorithms 4.4 and 5.1; PEFT's `pissa_niter_N`). The sketch depends on the path alone, so
    /// that a reader of the adapter finds the same triplets; PEFT draws another one each time.
    PissaNiter(u32),
    /// B is an orthonormal basis of what the first r inputs give, and A the weight in it; the base weight is left with
    /// the rest (arXiv 2406.01775).
    Olora,
    /// A and B are random with rows in two halves of one orthonormal basis, so that their product is zero.
    Orthogonal,
}

impl Init {
    /// PEFT's word for it in `init_lora_weights`; none for PEFT's default, which is `true`.
    pub fn word(self) -> Option<String> {
        let word = match self {
            Self::KaimingUniform => return None,
            Self::Gaussian => "gaussian",
            Self::Orthogonal => "orthogonal",
            Self::Pissa => "pissa",
            Self::Olora => "olora",
            Self::PissaNiter(rounds) => return Some(format!("pissa_niter_{rounds}")),
        };
        Some(word.to_owned())
    }

    /// The initialization that PEFT's word means, if it is one of these.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "gaussian" => Some(Self::Gaussian),
            "orthogonal" => Some(Self::Orthogonal),
            "pissa" => Some(Self::Pissa),
            "olora" => Some(Self::Olora),
            _ => word
                .strip_prefix("pissa_niter_")?
                .parse()
                .ok()
                .map(Self::PissaNiter),
        }
    }

    /// Whether the adapter absorbs part of the base weight, so that a reader must do the same.
    pub fn changes_base(self) -> bool {
        matches!(self, Self::Pissa | Self::PissaNiter(_) | Self::Olora)
    }
}

/// Which biases are trained (PEFT's `bias`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasMode {
    /// None of them.
    None,
    /// Those of the adapted linears.
    LoraOnly,
    /// All of the model, those of norms too.
    All,
}

impl BiasMode {
    /// PEFT's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LoraOnly => "lora_only",
            Self::All => "all",
        }
    }
}

/// Rank, alpha and the factors that follow from them, for one adapted linear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowRankSettings {
    /// Rank `r`.
    pub rank: usize,
    /// The factor `s`.
    pub scale: f64,
    /// What a pass without masks multiplies the update by; see [`LoraDropout::mean_factor`].
    pub mean_factor: f64,
}

impl LowRankSettings {
    /// What the product of the factors is multiplied by in a pass without masks.
    pub fn mean_scale(&self) -> f64 {
        self.scale * self.mean_factor
    }
}

impl LoraConfig {
    /// Plain LoRA with PEFT's defaults for everything but what the user must choose.
    pub fn new(rank: usize, alpha: f64, targets: TargetModules) -> Self {
        Self {
            rank,
            alpha,
            scaling: Scaling::Standard,
            dropout: None,
            input_dropout: 0.0,
            init: Init::KaimingUniform,
            targets,
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            form: Form::LowRank,
            lora_bias: false,
            fan_in_fan_out: false,
            bias: BiasMode::None,
            modules_to_save: Vec::new(),
        }
    }

    /// The same settings with LoRA Dropout.
    #[must_use]
    pub fn with_dropout(mut self, probability: f64, rescale: Rescale) -> Self {
        self.dropout = Some(LoraDropout::new(probability, rescale));
        self
    }

    /// The same settings with these modules trained in full.
    #[must_use]
    pub fn with_modules_to_save(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.modules_to_save = names.into_iter().map(Into::into).collect();
        self
    }

    /// The same settings with another form of the update.
    #[must_use]
    pub fn with_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// The settings of AdaLoRA, if that is the form.
    pub fn adalora(&self) -> Option<&AdaLora> {
        match &self.form {
            Form::Svd(adalora) => Some(adalora),
            Form::LowRank | Form::WeightDecomposed => None,
        }
    }

    /// Checks every value that can be checked without a model.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranks = std::iter::once(("r".to_owned(), self.rank)).chain(
            self.rank_pattern
                .iter()
                .map(|(key, rank)| (format!("rank_pattern `{key}`"), *rank)),
        );
        for (key, rank) in ranks {
            if rank == 0 {
                return Err(ConfigError::ZeroRank { key });
            }
        }
        let alphas = std::iter::once(("lora_alpha".to_owned(), self.alpha)).chain(
            self.alpha_pattern
                .iter()
                .map(|(key, alpha)| (format!("alpha_pattern `{key}`"), *alpha)),
        );
        for (key, found) in alphas {
            if !(found.is_finite() && found > 0.0) {
                return Err(ConfigError::Alpha { key, found });
            }
        }
        let probabilities = [
            (
                "mask_probability",
                self.dropout.map_or(0.0, |dropout| dropout.probability),
            ),
            ("lora_dropout", self.input_dropout),
        ];
        for (key, found) in probabilities {
            if !(0.0..1.0).contains(&found) {
                return Err(ConfigError::Probability { key, found });
            }
        }
        for (pattern, _) in &self.rank_pattern {
            pattern_matches("rank_pattern", pattern, "")?;
        }
        for (pattern, _) in &self.alpha_pattern {
            pattern_matches("alpha_pattern", pattern, "")?;
        }
        if let Form::Svd(adalora) = &self.form {
            adalora.validate()?;
            if self.dropout.is_some_and(|dropout| dropout.axes == MaskAxes::Rank) {
                return Err(ConfigError::Conflict {
                    one: "peft_type ADALORA",
                    other: "mask_axes rank",
                    reason: "a masked triplet has no gradient, so chance would decide which triplets look important; mask rows \
                             and columns, or use LORA",
                });
            }
            if self.init != Init::KaimingUniform {
                return Err(ConfigError::Conflict {
                    one: "peft_type ADALORA",
                    other: "init_lora_weights",
                    reason: "its factors are drawn from a normal distribution; leave init_lora_weights true",
                });
            }
            if self.lora_bias {
                return Err(ConfigError::Conflict {
                    one: "peft_type ADALORA",
                    other: "lora_bias",
                    reason: "its B has no bias",
                });
            }
        }
        if self.lora_bias && self.init != Init::KaimingUniform {
            return Err(ConfigError::Conflict {
                one: "lora_bias",
                other: "init_lora_weights",
                reason: "PEFT accepts a bias with its default initialization only; leave init_lora_weights true",
            });
        }
        if self.form == Form::WeightDecomposed && self.lora_bias {
            return Err(ConfigError::Conflict {
                one: "use_dora",
                other: "lora_bias",
                reason: "DoRA scales weights, and PEFT refuses to merge a bias with them",
            });
        }
        self.targets.validate()
    }

    /// Rank and scale of the linear at a path, patterns applied.
    ///
    /// # Panics
    ///
    /// Panics if a pattern is not a regular expression: call [`LoraConfig::validate`] first.
    pub fn low_rank_of(&self, path: &str) -> LowRankSettings {
        if let Form::Svd(adalora) = &self.form {
            return LowRankSettings {
                rank: adalora.rank_of(path),
                scale: adalora.scale(self.alpha),
                mean_factor: self.mean_factor(),
            };
        }
        let rank = first_match("rank_pattern", &self.rank_pattern, path).unwrap_or(self.rank);
        let alpha = first_match("alpha_pattern", &self.alpha_pattern, path).unwrap_or(self.alpha);
        let scale = match self.scaling {
            Scaling::Standard => alpha / rank as f64,
            Scaling::RankStabilized => alpha / (rank as f64).sqrt(),
        };
        LowRankSettings {
            rank,
            scale,
            mean_factor: self.mean_factor(),
        }
    }

    /// What a pass without masks multiplies the update by.
    pub fn mean_factor(&self) -> f64 {
        self.dropout.map_or(1.0, |dropout| dropout.mean_factor())
    }
}

fn first_match<T: Copy>(key: &'static str, patterns: &[(String, T)], path: &str) -> Option<T> {
    let hit = patterns.iter().find(|(pattern, _)| {
        pattern_matches(key, pattern, path).expect("patterns are checked by `validate`")
    });
    hit.map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_probability_is_named_by_the_key_that_holds_it() {
        let plain = LoraConfig::new(4, 8.0, TargetModules::names(["query"]));
        let masked = plain.clone().with_dropout(1.5, Rescale::Plain);
        let noisy = LoraConfig {
            input_dropout: 1.5,
            ..plain
        };
        for (config, name) in [(masked, "mask_probability"), (noisy, "lora_dropout")] {
            let refused = ConfigError::Probability {
                key: name,
                found: 1.5,
            };
            assert_eq!(config.validate(), Err(refused));
        }
    }
}
