//! What is trained: the one place that decides it, for every way of tuning.

use serde::{Deserialize, Serialize};

use crate::bottleneck::BottleneckConfig;
use crate::config::{BiasMode, LoraConfig};
use crate::config_error::ConfigError;
use crate::linear::BaseTraining;
use crate::trained::Role;

/// A way to tune a pretrained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one in a model")]
pub enum Tuning {
    /// LoRA in one of its forms, with or without LoRA Dropout.
    Lora(LoraConfig),
    /// All weights of the pretrained model.
    Full(HeadConfig),
    /// All biases of the pretrained model and the head (`BitFit`, Ben Zaken et al. 2022, arXiv 2106.10199).
    BitFit(HeadConfig),
    /// Small networks between the frozen blocks.
    Bottleneck(BottleneckConfig),
}

/// The settings of tuners that have no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// Modules that the pretrained model lacks, by the end of their path: trained in full, with the head's learning rate.
    pub modules_to_save: Vec<String>,
}

impl HeadConfig {
    /// A head by the names of its modules.
    pub fn new(modules: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            modules_to_save: modules.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<LoraConfig> for Tuning {
    fn from(config: LoraConfig) -> Self {
        Self::Lora(config)
    }
}

impl From<BottleneckConfig> for Tuning {
    fn from(config: BottleneckConfig) -> Self {
        Self::Bottleneck(config)
    }
}

impl Tuning {
    /// What it is called in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lora(_) => "lora",
            Self::Full(_) => "full",
            Self::BitFit(_) => "bitfit",
            Self::Bottleneck(config) => match config.placement {
                crate::Placement::Houlsby => "houlsby",
                crate::Placement::Pfeiffer => "pfeiffer",
            },
        }
    }

    /// The settings of LoRA, if that is the way.
    pub fn lora(&self) -> Option<&LoraConfig> {
        match self {
            Self::Lora(config) => Some(config),
            Self::Full(_) | Self::BitFit(_) | Self::Bottleneck(_) => None,
        }
    }

    /// Modules that are trained in full beside what the way trains.
    pub fn modules_to_save(&self) -> &[String] {
        match self {
            Self::Lora(config) => &config.modules_to_save,
            Self::Full(config) | Self::BitFit(config) => &config.modules_to_save,
            Self::Bottleneck(config) => &config.modules_to_save,
        }
    }

    /// Checks every value that can be checked without a model.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Lora(config) => config.validate(),
            Self::Bottleneck(config) => config.validate(),
            Self::Full(_) | Self::BitFit(_) => Ok(()),
        }
    }

    /// Which part of a pretrained linear is trained.
    pub(crate) fn base_training(&self, path: &str, is_adapted: bool) -> BaseTraining {
        if self.saves(path) && !is_adapted {
            return BaseTraining::Full;
        }
        match self.unfrozen() {
            Unfrozen::Everything => BaseTraining::Pretrained,
            Unfrozen::Biases => BaseTraining::Bias,
            Unfrozen::AdaptedBiases if is_adapted => BaseTraining::Bias,
            Unfrozen::AdaptedBiases | Unfrozen::Nothing => BaseTraining::Frozen,
        }
    }

    /// Whether a tensor that belongs to no linear, such as a norm's, is trained, and as what.
    pub(crate) fn role_of(&self, name: &str) -> Option<Role> {
        let (module, tensor) = name.rsplit_once('.').unwrap_or(("", name));
        if self.saves(module) {
            return Some(Role::Head);
        }
        match self.unfrozen() {
            Unfrozen::Everything => Some(Role::Pretrained),
            Unfrozen::Biases if tensor == "bias" => Some(Role::Bias),
            Unfrozen::Biases | Unfrozen::AdaptedBiases | Unfrozen::Nothing => None,
        }
    }

    /// PEFT's `modules_to_save` names modules; a linear belongs to one if the path, or the path of a module
    /// around it, ends in the name. Ends as text does: PEFT saves DistilBERT's `pre_classifier` for `classifier`.
    pub(crate) fn saves(&self, path: &str) -> bool {
        self.modules_to_save().iter().any(|name| saves(name, path))
    }

    /// Trains and saves these modules in full too, by their paths. One that belongs to a module to save is not named again.
    pub fn save_also(&mut self, modules: impl IntoIterator<Item = String>) {
        for module in modules {
            if !self.saves(&module) {
                match self {
                    Self::Lora(config) => config.modules_to_save.push(module),
                    Self::Full(config) | Self::BitFit(config) => config.modules_to_save.push(module),
                    Self::Bottleneck(config) => config.modules_to_save.push(module),
                }
            }
        }
    }

    fn unfrozen(&self) -> Unfrozen {
        match self {
            Self::Full(_) => Unfrozen::Everything,
            Self::BitFit(_) => Unfrozen::Biases,
            Self::Bottleneck(_) => Unfrozen::Nothing,
            Self::Lora(config) => match config.bias {
                BiasMode::None => Unfrozen::Nothing,
                BiasMode::LoraOnly => Unfrozen::AdaptedBiases,
                BiasMode::All => Unfrozen::Biases,
            },
        }
    }
}

/// What is trained of the pretrained model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfrozen {
    Nothing,
    /// Biases of adapted linears.
    AdaptedBiases,
    /// All biases.
    Biases,
    Everything,
}

/// Whether a module to save is the module at a path, or one around it.
pub(crate) fn saves(name: &str, path: &str) -> bool {
    let around = path.match_indices('.').map(|(end, _)| &path[..end]).chain([path]);
    around.into_iter().any(|module| module.ends_with(name))
}
