//! What the demo does: sizes, settings and methods.

use lora_core::{LoraConfig, Rescale, TargetModules};
use lora_train::schedule::Schedule;
use lora_train::{MaskGrouping, TrainConfig};
use serde::{Deserialize, Serialize};

/// Sizes and settings. The dropout probabilities and the rescaling were chosen by `lora demo --choose --seeds 1`, which
/// looks at validation rows only; the rest was set by hand, for time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether this is `--fast`: too small to say anything of the methods.
    #[serde(default)]
    pub fast: bool,
    /// Each draws its own training and validation rows, first values, order and masks.
    pub seeds: Vec<u64>,
    /// Rows to train on.
    pub train: usize,
    /// Rows that the temperature is fitted on.
    pub validation: usize,
    /// Rows of the same domain that are scored once.
    pub test: usize,
    /// Rows of the other domain that are scored once.
    pub shifted: usize,
    /// Passes over the training rows.
    pub epochs: f64,
    /// Rows a step.
    pub batch_size: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// The layers that carry adapters: the upper half, below which no gradient is needed.
    pub layers: Vec<usize>,
    /// Rank of every adapter.
    pub rank: usize,
    /// Alpha of every adapter.
    pub alpha: f64,
    /// Probability of PEFT's input dropout, where it is used.
    pub input_dropout: f64,
    /// LoRA Dropout's probability, where it is used.
    pub mask_probability: f64,
    /// LoRA Dropout's rescaling, where it is used.
    pub mask_rescale: Rescale,
    /// Which rows of a step share a mask.
    pub mask_grouping: MaskGrouping,
    /// Members of the ensemble.
    pub members: u64,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Training {
    /// Plain LoRA.
    Plain,
    /// LoRA with PEFT's input dropout.
    InputDropout,
    /// LoRA Dropout.
    LoraDropout,
}

/// What is trained, and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Plain LoRA.
    Lora,
    /// LoRA with PEFT's input dropout.
    InputDropout,
    /// LoRA Dropout, one pass with the expected update.
    DropoutMean,
    /// LoRA Dropout, probabilities averaged over members.
    DropoutEnsemble,
}

impl Training {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::InputDropout, Self::LoraDropout];

    /// The methods that one training serves.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Self::Plain => &[Method::Lora],
            Self::InputDropout => &[Method::InputDropout],
            Self::LoraDropout => &[Method::DropoutMean, Method::DropoutEnsemble],
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "LoRA",
            Self::InputDropout => "LoRA + input dropout",
            Self::LoraDropout => "LoRA Dropout",
        }
    }
}

impl Method {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [
        Self::Lora,
        Self::InputDropout,
        Self::DropoutMean,
        Self::DropoutEnsemble,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lora => "LoRA",
            Self::InputDropout => "LoRA + input dropout",
            Self::DropoutMean => "LoRA Dropout, mean pass",
            Self::DropoutEnsemble => "LoRA Dropout, ensemble",
        }
    }
}

impl Plan {
    /// The demo as it is meant.
    pub fn usual() -> Self {
        Self {
            fast: false,
            seeds: vec![1, 2, 3],
            train: 200,
            validation: 200,
            test: 200,
            shifted: 200,
            epochs: 8.0,
            batch_size: 16,
            learning_rate: 2e-3,
            layers: vec![3, 4, 5],
            rank: 8,
            alpha: 16.0,
            input_dropout: 0.1,
            mask_probability: 0.1,
            mask_rescale: Rescale::Rescaled,
            mask_grouping: MaskGrouping::Example,
            members: 4,
        }
    }

    /// Under a minute.
    pub fn fast() -> Self {
        Self {
            fast: true,
            seeds: vec![1],
            train: 96,
            validation: 60,
            test: 100,
            shifted: 100,
            epochs: 4.0,
            batch_size: 8,
            learning_rate: 4e-3,
            members: 3,
            ..Self::usual()
        }
    }

    /// Rows that one training goes through, repeated ones counted.
    #[expect(clippy::cast_sign_loss, reason = "both factors are positive")]
    pub fn training_rows(&self) -> u64 {
        (self.train as f64 * self.epochs) as u64
    }

    /// The adapters of a training.
    pub fn lora_config(&self, training: Training) -> LoraConfig {
        let targets = TargetModules {
            layers: Some(self.layers.clone()),
            ..TargetModules::names(["query", "value"])
        };
        let config = LoraConfig::new(self.rank, self.alpha, targets);
        let config = config.with_modules_to_save(["classifier"]);
        match training {
            Training::Plain => config,
            Training::InputDropout => LoraConfig {
                input_dropout: self.input_dropout,
                ..config
            },
            Training::LoraDropout => config.with_dropout(self.mask_probability, self.mask_rescale),
        }
    }

    /// The budget of every training.
    pub fn train_config(&self, seed: u64) -> TrainConfig {
        TrainConfig {
            lr_scheduler_type: Schedule::Linear,
            warmup_ratio: 0.06,
            mask_grouping: self.mask_grouping,
            seed,
            ..TrainConfig::new(self.learning_rate, self.epochs, self.batch_size)
        }
    }
}
