//! Models of named shapes with made-up weights, for benches of rows without padding, where time does not depend on the numbers;
//! a decoder of the sizes of SmolLM2 ([`decoder`]); and a real model on real text ([`real`]), for those where it does.

pub mod decoder;
pub mod real;

use std::path::Path;

use burn::tensor::Device;
use lora_core::tensors::TensorFile;
use lora_core::{Adapted, Fp32Precision, LoraConfig, Rescale, TargetModules};
use lora_data::{Batch, Targets};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer, WeightFiles};
use lora_train::{MaskGrouping, TrainConfig, Trainer};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Every program that links this crate allocates as `lora` does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The sizes of a model and of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// For tables.
    pub name: &'static str,
    /// `d_model`.
    pub d_model: usize,
    /// `d_ff`.
    pub d_ff: usize,
    /// `n_heads`.
    pub n_heads: usize,
    /// Layers.
    pub n_layers: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Tokens of a row.
    pub seq: usize,
}

/// MiniLM-L6 and BERT-base; a model whose sizes divide by no vector; and one short row. `peft_reference.py` has the same.
pub const SHAPES: [Shape; 5] = [
    Shape {
        name: "minilm-16x64",
        d_model: 384,
        d_ff: 1536,
        n_heads: 12,
        n_layers: 6,
        batch: 16,
        seq: 64,
    },
    Shape {
        name: "minilm-32x24",
        d_model: 384,
        d_ff: 1536,
        n_heads: 12,
        n_layers: 6,
        batch: 32,
        seq: 24,
    },
    Shape {
        name: "base-8x128",
        d_model: 768,
        d_ff: 3072,
        n_heads: 12,
        n_layers: 12,
        batch: 8,
        seq: 128,
    },
    Shape {
        name: "odd-3x37",
        d_model: 200,
        d_ff: 456,
        n_heads: 5,
        n_layers: 3,
        batch: 3,
        seq: 37,
    },
    Shape {
        name: "single-1x7",
        d_model: 384,
        d_ff: 1536,
        n_heads: 12,
        n_layers: 6,
        batch: 1,
        seq: 7,
    },
];

/// A training step that is timed, by how it draws masks.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// For tables.
    pub name: &'static str,
    /// Probability of LoRA Dropout, rescaled; 0 for plain LoRA.
    pub probability: f64,
    /// Masks that the step averages over, one pass each.
    pub masks_per_step: usize,
    /// Rows of a pass that share a mask.
    pub mask_grouping: MaskGrouping,
    /// How products with frozen weights are computed.
    pub precision: Fp32Precision,
}

impl Step {
    /// Plain LoRA.
    pub const PLAIN: Self = Self {
        name: "training step, plain LoRA",
        probability: 0.0,
        masks_per_step: 1,
        mask_grouping: MaskGrouping::Pass,
        precision: Fp32Precision::Ieee,
    };
    /// Plain LoRA with each f32 number as two bf16 numbers.
    pub const BF16X3: Self = Self {
        name: "training step, bf16x3",
        precision: Fp32Precision::Bf16x3,
        ..Self::PLAIN
    };
    /// Plain LoRA with frozen weights in bf16.
    pub const BF16: Self = Self {
        name: "training step, bf16",
        precision: Fp32Precision::Bf16,
        ..Self::PLAIN
    };
    /// LoRA Dropout as in the paper, with one mask.
    pub const ONE_MASK: Self = Self {
        name: "training step, one mask a pass",
        probability: 0.5,
        ..Self::PLAIN
    };
    /// One pass with a mask for each row.
    pub const EXAMPLE_MASKS: Self = Self {
        name: "training step, one mask an example",
        mask_grouping: MaskGrouping::Example,
        ..Self::ONE_MASK
    };
    /// Four passes with a mask each.
    pub const FOUR_MASKS: Self = Self {
        name: "training step, 4 masks a step",
        masks_per_step: 4,
        ..Self::ONE_MASK
    };
    /// One pass with four masks, each for a quarter of the rows.
    pub const FOUR_GROUPS: Self = Self {
        name: "training step, 4 masks in one pass",
        mask_grouping: MaskGrouping::Groups(4),
        ..Self::ONE_MASK
    };
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PLAIN,
        Self::BF16X3,
        Self::BF16,
        Self::ONE_MASK,
        Self::EXAMPLE_MASKS,
        Self::FOUR_GROUPS,
        Self::FOUR_MASKS,
    ];

    /// A trainer that does this step on the shape's model.
    ///
    /// # Panics
    ///
    /// As [`Shape::model`].
    pub fn trainer(&self, shape: &Shape, device: &Device) -> Trainer<Transformer> {
        let config = self.train_config(shape.train_config());
        let adapted = shape.adapted_in(self.precision, |config| self.lora_config(config), device);
        Trainer::new(adapted, config, 1_000_000).expect("the settings are valid")
    }

    /// With this step's LoRA Dropout.
    fn lora_config(&self, config: LoraConfig) -> LoraConfig {
        match self.probability {
            0.0 => config,
            probability => config.with_dropout(probability, Rescale::Rescaled),
        }
    }

    /// With this step's masks.
    fn train_config(&self, mut config: TrainConfig) -> TrainConfig {
        config.masks_per_step = self.masks_per_step;
        config.mask_grouping = self.mask_grouping;
        config
    }
}

/// Words of every model.
pub const VOCABULARY: usize = 30_522;
const CLASSES: usize = 2;
/// Rank and alpha of every bench.
pub const RANK: usize = 8;
/// See [`RANK`].
pub const ALPHA: f64 = 16.0;

impl Shape {
    /// Tokens of a batch.
    pub fn tokens(&self) -> usize {
        self.batch * self.seq
    }

    /// Multiplications of a plain training step with frozen weights: forward, and backward to the inputs of all linears but
    /// those of the first layer's query, key and value, whose input nothing trained precedes. The head reads one token of a
    /// row, so of the last layer only keys and values are products of all tokens.
    pub fn step_multiplications(&self) -> usize {
        let square = self.d_model * self.d_model;
        let (projections, rest) = (3 * square, square + 2 * self.d_model * self.d_ff);
        let layer = self.tokens() * (projections + rest);
        let last = self.tokens() * 2 * square + self.batch * (square + rest);
        let forward = layer * (self.n_layers - 1) + last;
        let first = if self.n_layers == 1 {
            0
        } else {
            self.tokens() * projections
        };
        2 * forward - first
    }

    /// The model without adapters.
    ///
    /// # Panics
    ///
    /// Panics if the family cannot load what this function wrote.
    pub fn model(&self, device: &Device) -> Transformer {
        self.model_in(Fp32Precision::Ieee, device)
    }

    fn model_in(&self, precision: Fp32Precision, device: &Device) -> Transformer {
        let mut checkpoint = self.checkpoint();
        checkpoint.weights.set_fp32_precision(precision);
        let head = HeadOptions {
            kind: HeadKind::SequenceClassification { outputs: CLASSES },
            seed: 0,
        };
        let (model, _) =
            Transformer::load(&checkpoint, head, device).expect("the checkpoint was written to fit");
        model
    }

    /// The model with LoRA on query and value.
    ///
    /// # Panics
    ///
    /// As [`Shape::model`].
    pub fn adapted(
        &self,
        change: impl FnOnce(LoraConfig) -> LoraConfig,
        device: &Device,
    ) -> Adapted<Transformer> {
        self.adapted_in(Fp32Precision::Ieee, change, device)
    }

    fn adapted_in(
        &self,
        precision: Fp32Precision,
        change: impl FnOnce(LoraConfig) -> LoraConfig,
        device: &Device,
    ) -> Adapted<Transformer> {
        let config = LoraConfig::new(RANK, ALPHA, TargetModules::names(["query", "value"]))
            .with_modules_to_save(["classifier"]);
        Adapted::attach(self.model_in(precision, device), change(config), 0)
            .expect("query and value exist")
            .0
    }

    /// A batch without padding.
    pub fn batch(&self) -> Batch {
        let tokens = self.tokens();
        Batch {
            batch: self.batch,
            seq: self.seq,
            input_ids: (0..tokens)
                .map(|token| (token * 7919 % VOCABULARY) as i32)
                .collect(),
            token_type_ids: vec![0; tokens],
            attention_mask: vec![1.0; tokens],
            targets: Targets::Classes((0..self.batch).map(|row| row % CLASSES).collect()),
            rows: (0..self.batch).collect(),
        }
    }

    /// Settings of the training step that is timed.
    pub fn train_config(&self) -> TrainConfig {
        TrainConfig::new(1e-4, 1.0, self.batch)
    }

    fn checkpoint(&self) -> Checkpoint {
        let Self {
            d_model,
            d_ff,
            n_heads,
            n_layers,
            ..
        } = *self;
        let config = serde_json::json!({
            "model_type": "bert", "hidden_size": d_model, "num_hidden_layers": n_layers, "num_attention_heads": n_heads,
            "intermediate_size": d_ff, "vocab_size": VOCABULARY, "max_position_embeddings": 512,
        });
        let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
        let mut linear = |path: String, d_input: usize, d_output: usize| {
            shapes.push((format!("{path}.weight"), vec![d_output, d_input]));
            shapes.push((format!("{path}.bias"), vec![d_output]));
        };
        for layer in 0..n_layers {
            for name in [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
            ] {
                linear(format!("bert.encoder.layer.{layer}.{name}"), d_model, d_model);
            }
            linear(
                format!("bert.encoder.layer.{layer}.intermediate.dense"),
                d_model,
                d_ff,
            );
            linear(format!("bert.encoder.layer.{layer}.output.dense"), d_ff, d_model);
        }
        let mut norms = vec!["bert.embeddings.LayerNorm".to_owned()];
        for layer in 0..n_layers {
            norms.push(format!("bert.encoder.layer.{layer}.attention.output.LayerNorm"));
            norms.push(format!("bert.encoder.layer.{layer}.output.LayerNorm"));
        }
        for norm in norms {
            shapes.extend([
                (format!("{norm}.weight"), vec![d_model]),
                (format!("{norm}.bias"), vec![d_model]),
            ]);
        }
        for (table, count) in [("word", VOCABULARY), ("position", 512), ("token_type", 2)] {
            shapes.push((
                format!("bert.embeddings.{table}_embeddings.weight"),
                vec![count, d_model],
            ));
        }
        Checkpoint {
            origin: Path::new(self.name).to_owned(),
            config,
            weights: made_up(self.name, &shapes, Dtype::F16),
            tokenizer: None,
            gguf_template: None,
        }
    }
}

/// Tensors of these names and shapes, in 16 bits to keep the file small: small numbers of both signs.
fn made_up(name: &str, shapes: &[(String, Vec<usize>)], dtype: Dtype) -> WeightFiles {
    let largest = shapes
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .max()
        .unwrap_or(0);
    let number = |i: usize| (i * 40_503 % 65_536) as f32 / 655_360.0 - 0.05;
    let numbers: Vec<u8> = (0..largest)
        .flat_map(|i| match dtype {
            Dtype::BF16 => half::bf16::from_f32(number(i)).to_le_bytes(),
            _ => half::f16::from_f32(number(i)).to_le_bytes(),
        })
        .collect();
    let views = shapes.iter().map(|(name, shape)| {
        let bytes = &numbers[..2 * shape.iter().product::<usize>()];
        (
            name,
            TensorView::new(dtype, shape.clone(), bytes).expect("the bytes were cut to the shape"),
        )
    });
    let bytes = safetensors::serialize(views, None).expect("every tensor has its own name");
    let file = TensorFile::from_bytes(bytes, Path::new(name)).expect("the file was just written");
    WeightFiles::of_safetensors(file)
}
