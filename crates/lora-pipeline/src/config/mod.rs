//! The settings of a training: one flat list of keys, from a file and from flags.

mod adalora;
mod checkpoints;
mod checks;
mod data;
pub mod file;
pub mod keys;
mod mask_probability;
mod mlflow;
mod names;
mod origins;
mod overrides;
mod recipe;
mod resolve;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use lora_core::bottleneck::BottleneckActivation;
use lora_core::peft::{Average, EnsembleSettings};
use lora_core::{
    BiasMode, BottleneckConfig, Form, Fp32Precision, HeadConfig, LoraConfig, LoraDropout, MaskAxes,
    Placement, Rescale, Scaling, TargetModules, Tuning,
};
use lora_train::TrainConfig;
use lora_train::swag::SwagSettings;
use lora_train::variational::VariationalSettings;
use serde::{Deserialize, Serialize};

pub use adalora::AdaLoraKeys;
pub use checkpoints::{NEWEST, ResumeFrom, SaveStrategy};
pub use checks::default_values;
pub(crate) use data::changes_nothing;
pub use data::{DataConfig, Lengths};
pub use mask_probability::MaskProbability;
pub use names::{InitWeights, Layers, NamesOrPattern, Patterns, PeftType, ReportTo, TuningKind};
pub use origins::Origins;
pub use overrides::Overrides;
pub use resolve::{Resolved, resolve, resolve_data, resolve_values};

/// The settings of a training. Fields are the keys, under the names of Hugging Face and PEFT where these have one.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in a flat file"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Base model: a folder, a hub id, or the name of the embedded one.
    pub model_name_or_path: String,
    /// Branch, tag or commit of a hub id.
    #[serde(default)]
    pub revision: Option<String>,
    /// Files or a benchmark.
    #[serde(flatten)]
    pub data: DataConfig,
    /// Longest text in tokens.
    #[serde(default = "defaults::max_seq_length")]
    pub max_seq_length: usize,
    /// Tokens that windows of a long context share; none: a third of the longest.
    #[serde(default)]
    pub doc_stride: Option<usize>,
    /// Longest answer in tokens.
    #[serde(default = "defaults::max_answer_length")]
    pub max_answer_length: usize,
    /// Where results go.
    pub output_dir: PathBuf,
    /// Whether an earlier run there may be written over.
    #[serde(default)]
    pub overwrite_output_dir: bool,
    /// Where events of the training go.
    #[serde(default)]
    pub report_to: ReportTo,
    /// The MLflow server.
    #[serde(default)]
    pub mlflow_tracking_uri: Option<String>,
    /// Its experiment; none: the one that every server has.
    #[serde(default)]
    pub mlflow_experiment_name: Option<String>,
    /// Where the tensors are.
    #[serde(default = "defaults::device")]
    pub device: String,
    /// How products with frozen weights are computed.
    #[serde(default)]
    pub fp32_precision: Fp32Precision,

    /// How the model is tuned.
    #[serde(default)]
    pub tuning: TuningKind,
    /// LoRA or AdaLoRA.
    #[serde(default)]
    pub peft_type: PeftType,
    /// Rank.
    #[serde(default = "defaults::rank")]
    pub r: usize,
    /// Numerator of the scaling.
    #[serde(default = "defaults::alpha")]
    pub lora_alpha: f64,
    /// Rank-stabilized scaling.
    #[serde(default)]
    pub use_rslora: bool,
    /// DoRA: the length of every weight column is trained apart from its direction.
    #[serde(default)]
    pub use_dora: bool,
    /// A bias on the factor B.
    #[serde(default)]
    pub lora_bias: bool,
    /// Linears to adapt; none: the family's query and value projections.
    #[serde(default)]
    pub target_modules: Option<NamesOrPattern>,
    /// Linears to leave out.
    #[serde(default)]
    pub exclude_modules: Option<NamesOrPattern>,
    /// Only these layers.
    #[serde(default)]
    pub layers_to_transform: Option<Layers>,
    /// The component before the layer number.
    #[serde(default)]
    pub layers_pattern: Option<NamesOrPattern>,
    /// Ranks of single modules.
    #[serde(default)]
    pub rank_pattern: Patterns<usize>,
    /// Alphas of single modules.
    #[serde(default)]
    pub alpha_pattern: Patterns<f64>,
    /// Biases to train.
    #[serde(default = "defaults::bias")]
    pub bias: BiasMode,
    /// Modules trained in full beside the head.
    #[serde(default)]
    pub modules_to_save: Vec<String>,
    /// Start of the factors.
    #[serde(default)]
    pub init_lora_weights: InitWeights,
    /// PEFT's input dropout.
    #[serde(default)]
    pub lora_dropout: f64,
    /// `BLoB`: a Gaussian over the factors A is learned; none: they are points.
    #[serde(default)]
    pub blob: Option<VariationalSettings>,
    /// SWAG: a Gaussian from the trajectory of the training; none: no collection.
    #[serde(default)]
    pub swag: Option<SwagSettings>,

    /// Features of a bottleneck.
    #[serde(default = "defaults::bottleneck_size")]
    pub bottleneck_size: usize,
    /// Its activation; none: that of the placement.
    #[serde(default)]
    pub bottleneck_activation: Option<BottleneckActivation>,

    /// AdaLoRA.
    #[serde(flatten)]
    pub adalora: AdaLoraKeys,

    /// LoRA Dropout's probability; 0 is plain LoRA.
    #[serde(default)]
    pub mask_probability: MaskProbability,
    /// What a kept mask entry is worth; plain as in the paper's equations.
    #[serde(default = "defaults::rescale")]
    pub mask_rescale: Rescale,
    /// Which axes have masks; rows and columns as in the paper.
    #[serde(default)]
    pub mask_axes: MaskAxes,
    /// Members of the ensemble; none: [`DEFAULT_MEMBERS`] with LoRA Dropout, else 0.
    #[serde(default)]
    pub ensemble_members: Option<u64>,
    /// What the ensemble averages.
    #[serde(default)]
    pub ensemble_average: Average,
    /// Whether a temperature is fitted on the validation rows.
    #[serde(default = "defaults::yes")]
    pub temperature_scaling: bool,

    /// When checkpoints are written; none: after every epoch, the newest alone, until the training is finished.
    #[serde(default, deserialize_with = "lora_train::word_or_no")]
    pub save_strategy: Option<SaveStrategy>,
    /// Optimizer steps between checkpoints, for [`SaveStrategy::Steps`].
    #[serde(default)]
    pub save_steps: Option<u64>,
    /// So many checkpoints are kept, the newest; none: all that were asked for.
    #[serde(default)]
    pub save_total_limit: Option<usize>,
    /// What the training begins with.
    #[serde(default)]
    pub resume_from_checkpoint: ResumeFrom,

    /// The loop.
    #[serde(flatten)]
    pub train: TrainConfig,
}

/// Members of an ensemble for which no number is given.
pub const DEFAULT_MEMBERS: u64 = 8;

mod defaults {
    use lora_core::{BiasMode, Rescale};

    pub(super) fn fraction() -> f64 {
        0.1
    }
    pub(super) fn max_seq_length() -> usize {
        128
    }
    pub(super) fn max_answer_length() -> usize {
        lora_data::tasks::AnswerSettings::default().longest
    }
    pub(super) fn device() -> String {
        crate::device::DEFAULT_DEVICE.to_owned()
    }
    pub(super) fn rank() -> usize {
        8
    }
    pub(super) fn alpha() -> f64 {
        8.0
    }
    pub(super) fn bottleneck_size() -> usize {
        64
    }
    pub(super) fn bias() -> BiasMode {
        BiasMode::None
    }
    pub(super) fn rescale() -> Rescale {
        Rescale::Plain
    }
    pub(super) fn yes() -> bool {
        true
    }
}

impl RunConfig {
    /// How a model with these heads is tuned; for LoRA, `target_modules` are `default` unless given.
    pub fn tuning(&self, heads: &[String], default: &[&str]) -> Tuning {
        let placement = match self.tuning {
            TuningKind::Lora => return Tuning::Lora(self.lora(heads, default)),
            TuningKind::Full => return Tuning::Full(HeadConfig::new(self.saved_modules(heads))),
            TuningKind::BitFit => return Tuning::BitFit(HeadConfig::new(self.saved_modules(heads))),
            TuningKind::Houlsby => Placement::Houlsby,
            TuningKind::Pfeiffer => Placement::Pfeiffer,
        };
        Tuning::Bottleneck(BottleneckConfig {
            placement,
            size: self.bottleneck_size,
            activation: self
                .bottleneck_activation
                .unwrap_or(placement.default_activation()),
            modules_to_save: self.saved_modules(heads),
        })
    }

    fn saved_modules(&self, heads: &[String]) -> Vec<String> {
        let mut modules = heads.to_vec();
        for name in &self.modules_to_save {
            if !modules.contains(name) {
                modules.push(name.clone());
            }
        }
        modules
    }

    /// LoRA's settings for a model with these heads, whose `target_modules` are `default` unless given.
    pub fn lora(&self, heads: &[String], default: &[&str]) -> LoraConfig {
        let modules = match &self.target_modules {
            Some(given) => given.to_target_names(),
            None => TargetModules::names(default.iter().copied()).modules,
        };
        LoraConfig {
            rank: self.r,
            alpha: self.lora_alpha,
            scaling: if self.use_rslora {
                Scaling::RankStabilized
            } else {
                Scaling::Standard
            },
            dropout: self.mask_probability.has_masks().then(|| LoraDropout {
                probability: self.mask_probability.first(),
                rescale: self.mask_rescale,
                axes: self.mask_axes,
            }),
            input_dropout: self.lora_dropout,
            init: self.init_lora_weights.0,
            targets: TargetModules {
                modules,
                exclude: self.exclude_modules.as_ref().map(NamesOrPattern::to_target_names),
                layers: self.layers_to_transform.as_ref().map(Layers::numbers),
                layers_pattern: self
                    .layers_pattern
                    .as_ref()
                    .map_or_else(Vec::new, NamesOrPattern::texts),
            },
            rank_pattern: self.rank_pattern.0.clone(),
            alpha_pattern: self.alpha_pattern.0.clone(),
            form: match (self.peft_type, self.use_dora) {
                (PeftType::AdaLora, _) => Form::Svd(self.adalora.settings()),
                (PeftType::Lora, true) => Form::WeightDecomposed,
                (PeftType::Lora, false) => Form::LowRank,
            },
            lora_bias: self.lora_bias,
            fan_in_fan_out: false,
            bias: self.bias,
            modules_to_save: self.saved_modules(heads),
        }
    }

    /// The ensemble that is scored and recommended; none without masks or members.
    pub fn ensemble(&self) -> Option<EnsembleSettings> {
        let default = if self.mask_probability.has_masks() || self.blob.is_some() || self.swag.is_some() {
            DEFAULT_MEMBERS
        } else {
            0
        };
        let members = self.ensemble_members.unwrap_or(default);
        (members > 0).then_some(EnsembleSettings {
            members,
            seed: self.train.seed,
            average: self.ensemble_average,
        })
    }
}
